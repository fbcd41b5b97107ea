"""An index as dumb-pypi leaves it, HTML without hashes, becomes one of ours by a rebuild."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pypi_simple import ProjectPage

from tasks.publish import main
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence

DUMB_PYPI = Path(sys.executable).with_name("dumb-pypi")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767323045")
    index = tmp_path / "index"
    for name, version in (("demo", "1.0"), ("demo", "2.0"), ("Other.Name", "1.0")):
        make_wheel(index / "packages", name, version)
    dumb_pypi(index, sorted(path.name for path in (index / "packages").iterdir()))
    return index


def dumb_pypi(index: Path, files: Sequence[str]) -> None:
    """Write dumb-pypi's pages for these files."""
    listing = index.parent / "files"
    listing.write_text("".join(f"{name}\n" for name in files))
    options = ["--package-list", str(listing), "--packages-url", "../../packages", "--output-dir", str(index)]
    subprocess.run([str(DUMB_PYPI), *options], check=True)


def snapshot(index: Path) -> dict[str, bytes]:
    return {str(path.relative_to(index)): path.read_bytes() for path in index.rglob("*") if path.is_file()}


def hashes(index: Path, project: str) -> dict[str, str | None]:
    """Return the files of a project's HTML page with their sha256, as another reader sees them."""
    page = ProjectPage.from_html(project, (index / "simple" / project / "index.html").read_text())
    return {file.filename: file.digests.get("sha256") for file in page.packages}


def test_every_page_of_dumb_pypi_is_replaced_and_says_hashes(index: Path) -> None:
    theirs = snapshot(index)
    assert set(hashes(index, "demo").values()) == {None}

    assert main(["--index", "index", "--rebuild", "--quiet"]) == 0

    ours = snapshot(index)
    assert sorted(path for path in theirs if ours[path] == theirs[path] and not path.startswith("packages/")) == [
        "changelog/page1.html",
        "packages.json",
    ]
    expected = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in index.glob("packages/*.whl")}
    assert {**hashes(index, "demo"), **hashes(index, "other-name")} == expected
    assert main(["--index", "index", "--rebuild", "--quiet"]) == 0
    assert snapshot(index) == ours


def test_a_page_of_dumb_pypi_with_an_sdist_stays_while_that_link_would_be_lost(
    index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (index / "packages" / "demo-1.0.tar.gz").write_bytes(b"sdist")
    dumb_pypi(index, sorted(path.name for path in (index / "packages").iterdir()))
    page = (index / "simple" / "demo" / "index.html").read_bytes()
    capsys.readouterr()

    assert main(["--index", "index", "--rebuild", "--quiet"]) == 1

    assert (index / "simple" / "demo" / "index.html").read_bytes() == page
    assert not (index / "simple" / "demo" / "index.json").exists()
    assert set(hashes(index, "other-name")) == {"Other.Name-1.0-py3-none-any.whl"}
    assert capsys.readouterr().err.splitlines() == [
        "error: demo-1.0.tar.gz: packages/demo-1.0.tar.gz cannot be listed as it is: it is no wheel",
        (
            "error: simple/demo/index.html: simple/demo/index.html was written by another tool and links to "
            "../../packages/demo-1.0.tar.gz, which our page could not list: left alone; move that file to packages/ as "
            "a whole wheel, or take the link out, and rebuild again; meanwhile our list of projects does not name it"
        ),
    ]
