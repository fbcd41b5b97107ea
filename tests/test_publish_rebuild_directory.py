from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tasks.core.index import digest_of
from tasks.publish import main
from tests.publishes import EPOCH_TIME, digest, errors, folder_to_publish_in, page, snapshot, write_record
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


def test_bare_wheels_become_a_whole_index(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")
    make_wheel(here / "dist" / "wheels", "other", "2.0")
    main(["--index", "published"])
    shutil.copytree(here / "dist" / "wheels", here / "bare" / "packages")

    assert main(["--index", "bare", "--rebuild"]) == 0

    assert snapshot(here / "bare") == snapshot(here / "published")


@pytest.mark.parametrize("arguments", [[], ["--rebuild"], ["--yank", "demo-1.0-py3-none-any.whl"]])
def test_a_state_that_somebody_went_back_with_is_listed_as_a_newer_one(here: Path, arguments: list[str]) -> None:
    states = []
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(here / "dist" / "wheels", version=version)
        assert main([]) == 0
        states.append((here / "dist/index/simple/demo/index.json").read_bytes())
    (here / "dist/index/simple/demo/index.json").write_bytes(states[0])
    (here / "dist/published.json").unlink()

    assert main(arguments) == 0

    state = (here / "dist/index/simple/demo/index.json").read_bytes()
    (listed,) = json.loads((here / "dist/index/simple/index.json").read_bytes())["projects"]
    assert (listed["_last-serial"], listed["_state"]) == (4, digest_of(state))
    assert (here / "dist/index/simple/demo/index.html").read_text().endswith("<!--SERIAL 4-->\n")


def test_rebuilding_a_whole_index_changes_nothing(here: Path) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    write_record(wheel, digest(wheel))
    main(["--index", "index"])
    before = snapshot(here / "index")

    assert main(["--index", "index", "--rebuild"]) == 0

    assert snapshot(here / "index") == before


def test_rebuilding_keeps_what_the_state_knows_and_finds_the_rest_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    write_record(wheel, digest(wheel))
    main(["--index", "index"])
    state = here / "index" / "simple" / "demo" / "index.json"
    state.write_bytes(
        state.read_bytes().replace(b'"size"', b'"yanked":"broken","size"').replace(b'"_recipe":"k1",', b"")
    )
    for path in ("simple/index.json", "simple/demo/index.html", f"packages/{wheel.name}.metadata"):
        (here / "index" / path).unlink()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")

    assert main(["--index", "index", "--rebuild"]) == 0

    (file,) = page(here / "index").files
    assert (file.upload_time, file.yanked, file.recipe) == (EPOCH_TIME, "broken", "k1")
    assert b'data-yanked="broken"' in (here / "index" / "simple" / "demo" / "index.html").read_bytes()
    assert (here / "index" / "packages" / f"{wheel.name}.metadata").read_bytes().startswith(b"Metadata-Version")


def test_rebuilding_takes_the_place_of_another_tools_pages(here: Path) -> None:
    make_wheel(here / "index" / "packages")
    (here / "index" / "simple" / "demo").mkdir(parents=True)
    for path in ("simple/demo/index.html", "simple/index.html", "index.html"):
        (here / "index" / path).write_text("foreign")

    assert main(["--index", "index", "--rebuild"]) == 0

    assert not [path for path, data in snapshot(here / "index").items() if data == b"foreign"]


def test_rebuilding_reports_what_it_cannot_use_and_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    make_wheel(here / "dist" / "wheels", "gone")
    make_wheel(here / "dist" / "wheels", "spoiled")
    main(["--index", "index", "--quiet"])
    packages = here / "index" / "packages"
    (packages / "gone-1.0-py3-none-any.whl").unlink()
    spoiled = digest(packages / "spoiled-1.0-py3-none-any.whl")
    make_wheel(packages, "spoiled", text="other = True\n")
    (packages / "torn-1.0-py3-none-any.whl").write_bytes(b"PK")
    (packages / "demo-1.0.tar.gz").write_bytes(b"")
    (packages / wheel.name).rename(packages / "moved")
    (packages / "moved").rename(packages / wheel.name)
    foreign = here / "index" / "simple" / "foreign" / "index.html"
    foreign.parent.mkdir()
    foreign.write_text("foreign")
    before = snapshot(here / "index")
    capsys.readouterr()

    assert main(["--index", "index", "--rebuild", "--quiet"]) == 1

    assert errors(capsys) == [
        "error: demo-1.0.tar.gz: packages/demo-1.0.tar.gz cannot be listed as it is: it is no wheel",
        "error: gone-1.0-py3-none-any.whl: simple/gone/index.json lists it, and packages/ has it not: restore it",
        (
            "error: simple/foreign/index.html: simple/foreign/index.html was written by another tool and nothing in "
            "packages/ is of foreign: left alone; meanwhile our list of projects does not name it"
        ),
        (
            "error: spoiled-1.0-py3-none-any.whl: packages/spoiled-1.0-py3-none-any.whl has not the bytes that its page "
            f"states (sha256 {spoiled}): restore it from a backup"
        ),
        "error: torn-1.0-py3-none-any.whl: packages/torn-1.0-py3-none-any.whl cannot be listed as it is: File is not a zip file",
    ]
    assert snapshot(here / "index") == before
