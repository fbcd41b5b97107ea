"""Hostile and broken sdists: each is refused with its own sentence, and nothing of it runs."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from tasks.workers.helper import EARLIEST, LATEST, Failed, unpack
from tests.workers.helper_jobs import job_for, perform

GOOD = ("spam-1.0/pyproject.toml", tarfile.REGTYPE, "")
Row = tuple[str, bytes, str]


def pack(path: Path, *rows: Row, mode: int = 0o644, mtime: float = 0) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, target in rows:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode, info.mtime = kind, target, mode, mtime
            content = b"text" if kind == tarfile.REGTYPE else b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def tree(folder: Path) -> Path:
    into = folder / "source"
    into.mkdir()
    return into


HOSTILE: list[tuple[str, list[Row], str]] = [
    ("absolute", [GOOD, ("/spam-1.0/x", tarfile.REGTYPE, "")], "/spam-1.0/x is an absolute path"),
    ("parent", [GOOD, ("spam-1.0/../x", tarfile.REGTYPE, "")], "spam-1.0/../x leaves the sdist"),
    ("two tops", [GOOD, ("eggs/x", tarfile.REGTYPE, "")],
     "it has more than one top entry: eggs and spam-1.0; expected one directory"),
    ("top is a file", [("setup.py", tarfile.REGTYPE, "")], "it has no top directory"),
    ("top is a link", [("spam-1.0", tarfile.SYMTYPE, "/etc")], "it has no top directory"),
    ("empty", [], "it has no top directory"),
    ("absolute link", [GOOD, ("spam-1.0/x", tarfile.SYMTYPE, "/etc/passwd")],
     "spam-1.0/x is a symbolic link out of the sdist, to /etc/passwd"),
    ("relative link", [GOOD, ("spam-1.0/x", tarfile.SYMTYPE, "../../x")],
     "spam-1.0/x is a symbolic link out of the sdist, to ../../x"),
    ("link beside the top", [GOOD, ("spam-1.0/x", tarfile.SYMTYPE, "../spam-1.0.evil")],
     "spam-1.0/x is a symbolic link out of the sdist, to ../spam-1.0.evil"),
    ("link through a link",
     [GOOD, ("spam-1.0/a/b/c", tarfile.SYMTYPE, "../.."), ("spam-1.0/a/b/d", tarfile.SYMTYPE, "c/../x")],
     "spam-1.0/a/b/d is a symbolic link out of the sdist, to c/../x"),
    ("file through a link", [GOOD, ("spam-1.0/x", tarfile.SYMTYPE, "."), ("spam-1.0/x/y", tarfile.REGTYPE, "")],
     "spam-1.0/x is in it twice, once as a symbolic link"),
    ("hard link out", [GOOD, ("spam-1.0/x", tarfile.LNKTYPE, "../../x")],
     "spam-1.0/x is a hard link out of the sdist, to ../../x"),
    ("absolute hard link", [GOOD, ("spam-1.0/x", tarfile.LNKTYPE, "/etc/passwd")],
     "spam-1.0/x is a hard link out of the sdist, to /etc/passwd"),
    ("hard link to nothing", [GOOD, ("spam-1.0/x", tarfile.LNKTYPE, "spam-1.0/y")],
     "spam-1.0/x is a hard link to spam-1.0/y, which is no file before it"),
    ("fifo", [GOOD, ("spam-1.0/x", tarfile.FIFOTYPE, "")], "spam-1.0/x is neither a file, a directory nor a link"),
    ("character device", [GOOD, ("spam-1.0/x", tarfile.CHRTYPE, "")],
     "spam-1.0/x is neither a file, a directory nor a link"),
    ("block device", [GOOD, ("spam-1.0/x", tarfile.BLKTYPE, "")],
     "spam-1.0/x is neither a file, a directory nor a link"),
    ("nothing to build", [("spam-1.0/README", tarfile.REGTYPE, "")],
     "it has neither pyproject.toml nor setup.py, so nothing says how to build it"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_a_hostile_sdist_is_refused(tmp_path: Path, rows: list[Row], message: str) -> None:
    sdist = pack(tmp_path / "spam-1.0.tar.gz", *rows)
    with pytest.raises(Failed) as refusal:
        unpack(str(sdist), str(tree(tmp_path)))
    assert str(refusal.value) == f"spam-1.0.tar.gz is refused: {message}"


def test_a_refusal_is_the_reason_of_the_result(tmp_path: Path) -> None:
    sdist = pack(tmp_path / "spam-1.0.tar.gz", GOOD, ("spam-1.0/../x", tarfile.REGTYPE, ""))
    outcome = perform(job_for(sdist, tmp_path), tmp_path)
    assert outcome.status == 1
    assert outcome.reason == "spam-1.0.tar.gz is refused: spam-1.0/../x leaves the sdist"


def test_a_zip_is_refused_by_the_same_rules(tmp_path: Path) -> None:
    sdist = tmp_path / "spam-1.0.zip"
    with zipfile.ZipFile(sdist, "w") as archive:
        archive.writestr("spam-1.0/setup.py", "")
        link = zipfile.ZipInfo("spam-1.0/x")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(Failed) as refusal:
        unpack(str(sdist), str(tree(tmp_path)))
    assert str(refusal.value) == (
        "spam-1.0.zip is refused: spam-1.0/x is a symbolic link out of the sdist, to /etc/passwd"
    )


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    sdist = tmp_path / "spam-1.0.rar"
    sdist.write_bytes(b"")
    with pytest.raises(Failed) as refusal:
        unpack(str(sdist), str(tree(tmp_path)))
    assert str(refusal.value) == (
        "spam-1.0.rar is refused: its name does not end in .tar.gz, .tar.bz2, .tar.xz or .zip"
    )


@pytest.mark.parametrize("name", ["spam-1.0.tar.gz", "spam-1.0.tar.bz2", "spam-1.0.tar.xz", "spam-1.0.zip"])
def test_bytes_that_are_no_archive_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(Failed, match=f"^{name} cannot be read: "):
        unpack(str(tmp_path / name), str(tree(tmp_path)))


def test_a_truncated_sdist_is_refused(tmp_path: Path) -> None:
    sdist = pack(tmp_path / "spam-1.0.tar.gz", GOOD)
    sdist.write_bytes(sdist.read_bytes()[:-30])
    with pytest.raises(Failed, match=r"^spam-1.0.tar.gz cannot be read: "):
        unpack(str(sdist), str(tree(tmp_path)))


def test_another_digest_is_refused(tmp_path: Path) -> None:
    sdist = pack(tmp_path / "spam-1.0.tar.gz", GOOD)
    job = job_for(sdist, tmp_path)
    expected, job["sha256"] = job["sha256"], "0" * 64
    outcome = perform(job, tmp_path)
    assert outcome.status == 1
    assert outcome.reason == f"spam-1.0.tar.gz has the sha256 {expected}, expected {'0' * 64}; fetch it again"


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_every_tar_compression_is_unpacked(tmp_path: Path, mode: str) -> None:
    sdist = tmp_path / f"spam-1.0.tar.{mode[2:]}"
    with tarfile.open(sdist, mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("./Spam_1/setup.py")
        archive.addfile(info)
    top, _ = unpack(str(sdist), str(tree(tmp_path)))
    assert top == str(tmp_path / "source" / "Spam_1")


def test_links_within_the_sdist_are_kept(tmp_path: Path) -> None:
    rows = [GOOD, ("spam-1.0/x", tarfile.SYMTYPE, "pyproject.toml"), ("spam-1.0/y", tarfile.LNKTYPE, GOOD[0])]
    top, _ = unpack(str(pack(tmp_path / "spam-1.0.tar.gz", *rows)), str(tree(tmp_path)))
    assert Path(top, "x").readlink() == Path("pyproject.toml")
    assert Path(top, "y").read_text() == "text"
    assert not Path(top, "y").samefile(Path(top, "pyproject.toml"))


@pytest.mark.parametrize(("packed", "unpacked"), [(0o6755, 0o755), (0o4777, 0o755), (0o600, 0o644), (0o444, 0o644)])
def test_modes_are_plain_and_never_set_id(tmp_path: Path, packed: int, unpacked: int) -> None:
    top, _ = unpack(str(pack(tmp_path / "spam-1.0.tar.gz", GOOD, mode=packed)), str(tree(tmp_path)))
    assert stat.S_IMODE(Path(top, "pyproject.toml").stat().st_mode) == unpacked


@pytest.mark.parametrize(
    ("mtime", "epoch"),
    [(0, EARLIEST), (-5.5, EARLIEST), (1_700_000_000.75, 1_700_000_000), (1e12, LATEST), (float("inf"), LATEST)],
)
def test_the_epoch_is_the_newest_member_s_within_what_a_wheel_can_hold(
    tmp_path: Path, mtime: float, epoch: int
) -> None:
    sdist = pack(tmp_path / "spam-1.0.tar.gz", GOOD)
    with tarfile.open(sdist, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(GOOD[0])
        info.pax_headers = {"mtime": str(mtime)}
        archive.addfile(info)
    assert unpack(str(sdist), str(tree(tmp_path)))[1] == epoch


def test_a_name_that_is_no_text_is_told_all_the_same(tmp_path: Path) -> None:
    sdist = pack(tmp_path / "spam-1.0.tar.gz", GOOD, ("spam-1.0/\udcff", tarfile.FIFOTYPE, ""))
    outcome = perform(job_for(sdist, tmp_path), tmp_path, {"LC_ALL": "C"})
    assert outcome.reason == ("spam-1.0.tar.gz is refused: spam-1.0/\udcff is neither a file, a directory nor a link")
    assert "spam-1.0/\\udcff is neither" in outcome.log
