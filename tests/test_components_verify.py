from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.components import main
from tests.monorepos import ROOT, copy_example

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPOSITORY = Path(__file__).parent.parent
TOOLS = Path("dist/components/acme.tools.release")
SLUG = Path("dist/components/acme.text.slug")
PEX = TOOLS / "newest-version.pex"
NEWEST = ".deps/acme_tools_release-1.4.0-py3-none-any.whl/acme/tools/release/newest.py"
CHOSEN = f"{ROOT}/acme/tools"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("example")
    copy_example(folder)
    command = [sys.executable, "-m", "tasks.components", "build", "--quiet"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=True)
    return folder


@pytest.fixture
def here(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SPARE_TIRE_INDEX", "SPARE_TIRE_MATRIX", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(example, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rewrite(path: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Change the files of a ZIP archive."""
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        members = {name: archive.read(name) for name in infos}
    change(members)
    path.write_bytes(path.read_bytes()[: min(info.header_offset for info in infos.values())])  # the first line of a PEX
    with zipfile.ZipFile(path, "a") as archive:
        for name, data in members.items():
            archive.writestr(infos.get(name, name), data)


def record_anew(folder: Path) -> None:
    """Have the record say what lies there now, as who wants to hide a change would."""
    record = json.loads((folder / "record.json").read_bytes())
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in record["files"]}
    (folder / "record.json").write_text(json.dumps({**record, "files": files}))


def verified(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = main(["verify", *(arguments or [CHOSEN])])
    return code, capsys.readouterr().out.splitlines()


def test_what_was_built_is_proved(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    assert capsys.readouterr() == ("", "4 components: 0 findings\n")
    assert sorted(path.name for path in (here / "dist/components").iterdir() if path.name.startswith(".")) == []


def test_a_pex_with_one_file_added_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(here / PEX, "a") as archive:
        archive.writestr("acme/tools/release/more.py", "")
    assert verified(capsys) == (
        1,
        [
            f"acme.tools.release: {TOOLS} holds other bytes than its record in newest-version.pex",
            "acme.tools.release: newest-version.pex holds acme/tools/release/more.py, which is not in what pip installs",
        ],
    )


CHANGES: Mapping[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "added, loose": (
        lambda members: members.update({"more.py": b""}),
        "newest-version.pex holds more.py, which is not in what pip installs",
    ),
    "added, in a distribution": (
        lambda members: members.update({NEWEST.replace("newest", "more"): b""}),
        "newest-version.pex holds acme/tools/release/more.py, which is not in what pip installs",
    ),
    "added, as a distribution": (
        lambda members: members.update({".deps/more-1.0-py3-none-any.whl/more.py": b""}),
        "newest-version.pex holds more.py, which is not in what pip installs",
    ),
    "changed": (
        lambda members: members.update({NEWEST: members[NEWEST] + b"\n"}),
        "newest-version.pex holds other bytes than what pip installs in acme/tools/release/newest.py",
    ),
    "removed": (
        lambda members: members.pop(NEWEST.replace("newest", "notes")),
        "newest-version.pex lacks acme/tools/release/notes.py, which is in what pip installs",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_pex_fails_even_if_its_record_agrees(
    here: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    apply, message = CHANGES[change]
    rewrite(here / PEX, apply)
    record_anew(here / TOOLS)
    assert verified(capsys) == (1, [f"acme.tools.release: {message}"])


def test_a_changed_wheel_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = "acme_text_slug-1.4.0-py3-none-any.whl"
    rewrite(here / SLUG / wheel, lambda members: members.update({"acme/text/slug/more.py": b""}))
    record_anew(here / SLUG)
    assert verified(capsys, f"{ROOT}/acme/text") == (
        1,
        [
            f"acme.text.slug: {wheel} holds acme/text/slug/more.py, which is not in the sources",
            f"acme.text.slug: acme_text_slug-1.4.0.tar.gz lacks acme/text/slug/more.py, which is in {wheel}",
        ],
    )


def test_an_sdist_that_gives_another_wheel_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sdist = here / SLUG / "acme_text_slug-1.4.0.tar.gz"
    with tarfile.open(sdist) as archive:
        members = {info.name: archive.extractfile(info) for info in archive if info.isreg()}
        files = {name: file.read() for name, file in members.items() if file}
    files["acme_text_slug-1.4.0/acme/text/slug/__init__.py"] += b"# more\n"
    sdist_of(sdist, files)
    record_anew(here / SLUG)
    assert verified(capsys, f"{ROOT}/acme/text") == (
        1,
        [
            (
                "acme.text.slug: acme_text_slug-1.4.0.tar.gz holds other bytes than acme_text_slug-1.4.0-py3-none-any.whl "
                "in acme/text/slug/__init__.py"
            )
        ],
    )


def sdist_of(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_an_sdist_of_two_folders_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sdist = SLUG / "acme_text_slug-1.4.0.tar.gz"
    sdist_of(here / sdist, {"acme_text_slug-1.4.0/pyproject.toml": b"", "other/x": b""})
    record_anew(here / SLUG)
    assert verified(capsys, f"{ROOT}/acme/text") == (
        1,
        [f"acme.text.slug: {sdist} holds acme_text_slug-1.4.0, other, expected one folder"],
    )


def test_an_sdist_that_does_not_build_is_named_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sdist_of(here / SLUG / "acme_text_slug-1.4.0.tar.gz", {"acme_text_slug-1.4.0/pyproject.toml": b"x"})
    record_anew(here / SLUG)
    code, lines = verified(capsys, f"{ROOT}/acme/text")
    assert (code, lines[0]) == (1, "acme.text.slug: build ended with 1:")


def test_a_record_without_a_wheel_is_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = here / SLUG / "record.json"
    record.write_text(json.dumps({**json.loads(record.read_bytes()), "files": {}}))
    assert verified(capsys, f"{ROOT}/acme/text") == (
        1,
        [f"acme.text.slug: {SLUG} holds no record of a build; run: components -- build"],
    )
    assert main(["build", f"{ROOT}/acme/text"]) == 0
    assert capsys.readouterr().err == "1 component: 1 built, 0 unchanged, 0 failed\n"


@pytest.mark.parametrize("name", ["acme_text_slug-1.4.0.tar.gz", "acme_text_slug-1.4.0-py3-none-any.whl"])
def test_what_cannot_be_read_fails(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (here / SLUG / name).write_bytes(b"none")
    record_anew(here / SLUG)
    code, lines = verified(capsys, f"{ROOT}/acme/text")
    assert code == 1
    assert len(lines) == 1
    assert "cannot be" in lines[0]


def test_what_is_not_built_cannot_be_proved(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(here / SLUG)
    assert verified(capsys, f"{ROOT}/acme/text", "--json") == (
        1,
        json.dumps(
            {
                "components": [
                    {
                        "findings": [f"{SLUG} holds no record of a build; run: components -- build"],
                        "name": "acme.text.slug",
                    }
                ]
            },
            indent=2,
        ).splitlines(),
    )


def test_what_a_component_requires_is_proved_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(
        here / SLUG / "acme_text_slug-1.4.0-py3-none-any.whl",
        lambda members: members.update({"acme/text/slug/__init__.py": b""}),
    )
    assert verified(capsys, f"{ROOT}/acme/release/notes")[1][:1] == [
        f"acme.text.slug: {SLUG} holds other bytes than its record in acme_text_slug-1.4.0-py3-none-any.whl"
    ]


def test_what_a_component_requires_comes_from_no_index(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(here / SLUG)
    missing = "acme.text.slug, which it requires, is not built; run: components -- build"
    assert verified(capsys) == (
        1,
        [
            f"acme.text.slug: {SLUG} holds no record of a build; run: components -- build",
            f"acme.release.notes: {missing}",
            f"acme.tools.release: {missing}",
        ],
    )


def test_what_was_built_of_other_sources_fails(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = here / ROOT / "acme/text/slug/__init__.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")
    assert verified(capsys, f"{ROOT}/acme/text") == (
        1,
        [
            f"acme.text.slug: {SLUG} was built of other sources or by other tools; run: components -- build",
            (
                "acme.text.slug: acme_text_slug-1.4.0-py3-none-any.whl holds other bytes than the sources in "
                "acme/text/slug/__init__.py"
            ),
        ],
    )


def test_each_console_script_has_to_start_from_both(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = here / ROOT / "acme/tools/release/newest.py"
    path.write_text(path.read_text().replace("import argparse\n", "import argparse\nimport nowhere_to_be_found\n"))
    assert main(["build", "--quiet"]) == 0
    code, lines = verified(capsys)
    reason = "does not start: --help ended with 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert (code, lines) == (
        1,
        [
            f"acme.tools.release: the console script newest-version {reason}",
            f"acme.tools.release: newest-version.pex {reason}",
        ],
    )


def test_a_pex_of_older_third_party_releases_than_pip_would_take_now_is_right(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where a newer one was released since it was made; the component requires packaging>=24."""
    (here / "constraints.txt").write_text("packaging==24.0\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(here / "constraints.txt"))
    shutil.rmtree(here / TOOLS)
    assert main(["build", "--quiet", CHOSEN]) == 0
    monkeypatch.delenv("PIP_CONSTRAINT")
    assert verified(capsys) == (0, [])


def test_files_that_came_or_went_are_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / PEX).unlink()
    (here / TOOLS / "other.pex").write_bytes(b"")
    code, lines = verified(capsys)
    assert code == 1
    assert lines[0] == f"acme.tools.release: {TOOLS} holds other.pex, which is not in its record"
    assert lines[1] == f"acme.tools.release: {TOOLS} lacks newest-version.pex, which is in its record"
