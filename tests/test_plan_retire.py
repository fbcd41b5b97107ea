from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tasks import plan
from tests.plans import FREEBSD, Here, folder_to_plan_in

if TYPE_CHECKING:
    from pathlib import Path

RETIRING = f"""\
public_index: PUBLIC
targets:
  freebsd: {{instance: freebsd/15.1, arch: x86_64, platform_tag: {FREEBSD}, python: [cp312, cp313], upstream: ignore}}
  linux: {{instance: ubuntu/24.04, arch: x86_64, platform_tag: manylinux_2_28_x86_64, python: [cp312, cp313]}}
packages:
  X: [latest, '1.0']
  Y: {{versions: [latest], abi: abi3}}
  Z: {{versions: [3.0], sdist: "https://files.example/z-3.0.tar.gz#sha256={"0" * 64}"}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return folder_to_plan_in(tmp_path, monkeypatch)


def retiring(here: Here) -> None:
    both = [f"x-2.0-cp3{minor}-cp3{minor}-manylinux2014_x86_64.whl" for minor in (12, 13)]
    here.serve("x", "x-1.0.tar.gz", "x-2.0.tar.gz", *both, "x-1.0-cp312-cp312-manylinux2014_x86_64.whl")
    here.serve("y", "y-1.0.tar.gz", f"y-1.0-cp311-abi3-{FREEBSD}.whl")
    here.ask("", RETIRING)


def test_retire_lists_what_the_public_index_has_made_needless(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    retiring(here)
    here.plan.parent.mkdir()
    here.plan.write_text("there")
    assert plan.main(["--retire"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        (
            "X latest on linux: the public index serves "
            "x-2.0-cp312-cp312-manylinux2014_x86_64.whl, x-2.0-cp313-cp313-manylinux2014_x86_64.whl"
        ),
        f"Y latest on freebsd: the public index serves y-1.0-cp311-abi3-{FREEBSD}.whl",
    ]
    assert said.err == ""
    assert here.plan.read_text() == "there"


def test_retire_is_narrowed_as_a_plan_is(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    retiring(here)
    assert plan.main(["--retire", "--json", "--target", "free*"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "errors": [],
        "needless": [
            {"package": "Y", "target": "freebsd", "version": "latest", "wheels": [f"y-1.0-cp311-abi3-{FREEBSD}.whl"]}
        ],
    }


def test_retire_says_when_nothing_is_needless(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz", f"x-1.0-cp311-cp311-{FREEBSD}.whl")
    here.ask("  X: [latest]\n")
    assert plan.main(["--retire"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "the public index has made nothing in wheel_matrix.yml needless\n")


def test_retire_names_what_could_not_be_found_out(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    retiring(here)
    here.ask("  Missing: [latest]\n", RETIRING)
    assert plan.main(["--retire", "--json"]) == 1
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert [entry["package"] for entry in document["needless"]] == ["X", "Y"]
    missing = f"missing is not on the public index file://{here.public}/"
    assert {(error["target"], error["message"]) for error in document["errors"]} == {
        ("freebsd", missing),
        ("linux", missing),
    }
    assert said.err == f"error: Missing latest: {missing} (for freebsd cp312, linux cp312)\n"


@pytest.mark.parametrize("option", [["--expand"], ["--explain", "X"]])
def test_retire_is_a_question_of_its_own(here: Here, capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    retiring(here)
    assert plan.main(["--retire", *option]) == 2
    assert capsys.readouterr().err == "error: --retire is a question of its own: leave out --expand and --explain\n"
