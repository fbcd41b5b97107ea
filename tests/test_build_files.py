"""The files around a build: ``dist/`` and what is in progress, the sdist as it came."""

from __future__ import annotations

import fcntl
import gzip
import io
import tarfile
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tasks.distdir import TAIL, DistDir, Log, read_log
from tasks.scratch import private_directory, scratch
from tasks.sdistfile import read_pyproject
from tests.builds import pack

if TYPE_CHECKING:
    from pathlib import Path


def written(path: Path, *lines: str) -> Log:
    with Log(path) as log:
        for line in lines:
            log.add(line)
    return log


def test_a_log_holds_the_lines_without_control_sequences_and_passwords(tmp_path: Path) -> None:
    written(tmp_path / "log.gz", "\x1b[31mred\x1b[0m", "", "grüße from https://me:secret@x.test/")
    assert list(read_log(tmp_path / "log.gz")) == ["red", "", "grüße from https://x.test/"]


def test_the_same_lines_give_the_same_log(tmp_path: Path) -> None:
    written(tmp_path / "one.gz", "a", "b")
    written(tmp_path / "two.gz", "a", "b")
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


def test_a_log_remembers_the_last_lines_that_say_something(tmp_path: Path) -> None:
    log = written(tmp_path / "log.gz", *map(str, range(100)), "", " ")
    assert list(log.tail) == [str(number) for number in range(100 - TAIL, 100)]


def test_a_wheel_without_its_record_is_not_kept(tmp_path: Path) -> None:
    dist = DistDir(tmp_path / "dist")
    (tmp_path / "x-1.0-py3-none-any.whl").write_bytes(b"wheel")
    dist.keep(tmp_path / "x-1.0-py3-none-any.whl", b'{"subject": []}', written(tmp_path / "log.gz", "built").path)

    assert (tmp_path / "dist/wheels/x-1.0-py3-none-any.whl").read_bytes() == b"wheel"
    assert gzip.decompress((tmp_path / "dist/logs/x-1.0-py3-none-any.whl.txt.gz").read_bytes()) == b"built\n"
    assert dist.kept() == {}


def test_visits_of_the_same_second_have_names_of_their_own(tmp_path: Path) -> None:
    dist, moment = DistDir(tmp_path), datetime(2026, 1, 31, tzinfo=UTC)
    names = [dist.write_visit("freebsd/15.1", moment, data).name for data in (b"1", b"2")]
    assert names == ["freebsd-15.1-20260131T000000Z.json", "freebsd-15.1-20260131T000000Z-2.json"]
    assert [(tmp_path / "visits" / name).read_bytes() for name in names] == [b"1", b"2"]


def test_scratch_is_gone_at_the_end_whatever_happened(tmp_path: Path) -> None:
    def interrupted() -> None:
        with scratch(tmp_path, "run-") as path:
            (path / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_scratch_removes_what_a_killed_owner_left_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "run-dead").mkdir()
    (tmp_path / "run-dead.lock").touch()
    (tmp_path / "run-alive").mkdir()
    (tmp_path / "else").mkdir()
    with (tmp_path / "run-alive.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with scratch(tmp_path, "run-") as path:
            there = {each.name for each in tmp_path.iterdir()}
    assert there == {"run-alive", "run-alive.lock", "else", path.name, f"{path.name}.lock"}


def test_a_private_directory_is_made_for_this_user_alone(tmp_path: Path) -> None:
    assert private_directory(tmp_path / "own").stat().st_mode & 0o777 == 0o700
    assert private_directory(tmp_path / "own") == tmp_path / "own"


@pytest.mark.parametrize("kind", ["open", "file", "link"])
def test_what_others_could_change_is_no_private_directory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "own"
    if kind == "open":
        path.mkdir()
        path.chmod(0o755)
    elif kind == "file":
        path.touch(mode=0o600)
    else:
        (tmp_path / "other").mkdir(mode=0o700)
        path.symlink_to("other")
    with pytest.raises(PermissionError) as caught:
        private_directory(path)
    assert str(caught.value) == f"{path} is not a directory of this user alone (mode 0700)"


def test_pyproject_is_that_of_the_top_directory(tmp_path: Path) -> None:
    files = {"a/pyproject.toml": "wrong", "pyproject.toml": "right"}
    assert read_pyproject(pack(tmp_path, "spam", "1.0", files)) == b"right"
    assert read_pyproject(pack(tmp_path, "eggs", "1.0", {"a/pyproject.toml": "wrong"})) is None


def test_pyproject_is_found_in_the_zip_archives_of_old(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "spam-1.0.zip", "w") as archive:
        archive.writestr("spam-1.0/pyproject.toml", "right")
    assert read_pyproject(tmp_path / "spam-1.0.zip") == b"right"


def test_pyproject_that_is_a_link_or_in_no_archive_is_none(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "spam-1.0.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("spam-1.0/pyproject.toml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link, io.BytesIO())
    (tmp_path / "eggs-1.0.tar.gz").write_bytes(b"\x1f\x8bnothing")
    assert read_pyproject(tmp_path / "spam-1.0.tar.gz") is None
    assert read_pyproject(tmp_path / "eggs-1.0.tar.gz") is None
