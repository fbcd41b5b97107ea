from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks import plan
from tests.plans import FREEBSD, TARGETS, Here, folder_to_plan_in

ROOT = Path(__file__).parent.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return folder_to_plan_in(tmp_path, monkeypatch)


def test_what_is_missing_is_planned(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz", "x-1.1.tar.gz")
    here.ask("  X: [latest]\n")
    assert plan.main([]) == 0
    assert here.planned() == [f"x-1.1-cp312-cp312-{FREEBSD}.whl"]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[0] == "planning wheel_matrix.yml"
    assert (
        "1 wheel to build (0 on this machine), 0 wheels needed no build; the plan is build/plan.json; next: nox -s build"
        in said.err
    )


def test_nothing_to_build_is_one_line(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.publish("x", f"x-1.0-cp312-cp312-{FREEBSD}.whl")
    here.ask("  X: [latest]\n")
    assert plan.main([]) == 0
    assert here.planned() == []
    assert capsys.readouterr().err.splitlines() == [
        "planning wheel_matrix.yml",
        "nothing to build, 1 wheel needed no build",
    ]


def test_an_error_of_one_package_leaves_the_rest_planned(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest]\n  Missing: [latest]\n")
    assert plan.main([]) == 1
    assert here.planned() == [f"x-1.0-cp312-cp312-{FREEBSD}.whl"]
    message = f"Missing latest: missing is not on the public index file://{here.public}/ (for freebsd cp312)"
    assert f"error: {message}" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("files", "asked", "message"),
    [
        (("x-1.0.tar.gz",), "2.0", "X 2.0: X has no version 2.0 (newest: 1.0)"),
        (("x-1.0-py3-none-any.whl",), "latest", "X latest: X 1.0 has no sdist on the public index; pin one"),
    ],
)
def test_what_cannot_be_planned_says_why(
    here: Here, capsys: pytest.CaptureFixture[str], files: tuple[str, ...], asked: str, message: str
) -> None:
    here.serve("x", *files)
    here.ask(f"  X: {{versions: [{asked}], upstream: ignore}}\n")
    assert plan.main([]) == 1
    assert f"error: {message}" in capsys.readouterr().err


def test_a_failed_plan_leaves_no_old_one_behind(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.plan.parent.mkdir()
    here.plan.write_text("yesterday's")
    here.ask("  X: [latst]\n")
    assert plan.main([]) == 2
    assert not here.plan.exists()
    assert capsys.readouterr().err.splitlines() == [
        "planning wheel_matrix.yml",
        "error: wheel_matrix.yml:5: packages.X[0]: expected latest, a version or a specifier, found 'latst'",
    ]


def test_a_matrix_that_is_not_there_is_exit_2(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--matrix", "none.yml"]) == 2
    assert capsys.readouterr().err.splitlines()[1:] == [
        "error: none.yml: there is no such file; name one with --matrix"
    ]
    assert here.folder.exists()


def test_a_public_index_that_is_not_reachable_is_exit_3(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.ask("  X: [latest]\n", TARGETS.replace("PUBLIC", "PUBLIC/nowhere/"))
    assert plan.main([]) == 3
    assert "nowhere/ is no directory; the index is named by public_index in the matrix" in capsys.readouterr().err


@pytest.mark.parametrize("own", ["dist/index", "dist/index/simple"])
def test_our_own_index_cannot_be_the_public_one(here: Here, capsys: pytest.CaptureFixture[str], own: str) -> None:
    here.ask("  X: [latest]\n", TARGETS.replace("PUBLIC", f"file://{here.folder}/{own}"))
    assert plan.main([]) == 2
    assert "which is our own index dist/index: 'latest' would be circular" in capsys.readouterr().err


@pytest.mark.parametrize("root", ["", "simple/", "json/"])
def test_the_address_that_installers_have_of_our_index_cannot_be_the_public_one_either(
    here: Here, capsys: pytest.CaptureFixture[str], root: str
) -> None:
    targets = TARGETS.replace("PUBLIC", f"http://127.0.0.1:1/team/{root}")
    here.ask("  X: [latest]\n", f"index_url: http://127.0.0.1:1/team\n{targets}")

    assert plan.main(["--index", "s3://bucket/team"]) == 2

    assert "which is our own index s3://bucket/team: 'latest' would be circular" in capsys.readouterr().err


def test_pips_environment_names_the_public_index(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"file://{here.public}")
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest]\n", TARGETS.replace("public_index: PUBLIC\n", ""))
    assert plan.main(["--quiet"]) == 0
    assert here.planned() == [f"x-1.0-cp312-cp312-{FREEBSD}.whl"]
    assert capsys.readouterr().err == ""


def test_json_is_the_plan_on_standard_output(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest]\n")
    assert plan.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(here.plan.read_bytes())


def test_equal_input_gives_equal_bytes(here: Here) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest]\n")
    assert plan.main(["--plan", "a.json"]) == plan.main(["--plan", "b.json"]) == 0
    assert (here.folder / "a.json").read_bytes() == (here.folder / "b.json").read_bytes()


def test_the_index_is_the_options_then_the_environments_then_the_matrixs(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.publish("x", f"x-1.0-cp312-cp312-{FREEBSD}.whl")
    here.ask("  X: [latest]\n", "index: dist/index\n" + TARGETS)
    assert plan.main([]) == 0
    assert here.planned() == []
    monkeypatch.setenv("SPARE_TIRE_INDEX", "empty")
    assert plan.main([]) == 0
    assert len(here.planned()) == 1
    assert plan.main(["--index", "dist/index"]) == 0
    assert here.planned() == []


def test_an_index_in_a_matrix_is_relative_to_the_matrix(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.publish("x", f"x-1.0-cp312-cp312-{FREEBSD}.whl")
    here.ask("  X: [latest]\n", "index: dist/index\n" + TARGETS)
    (here.folder / "elsewhere").mkdir()
    monkeypatch.chdir(here.folder / "elsewhere")
    assert plan.main(["--matrix", "../wheel_matrix.yml", "--plan", str(here.plan)]) == 0
    assert here.planned() == []


def test_an_index_of_an_unknown_kind_is_exit_2(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.ask("  X: [latest]\n")
    assert plan.main(["--index", "gopher://x"]) == 2
    assert "error: the index is 'gopher://x', expected a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("narrow", "built"),
    [
        (["--package", "Y"], [f"y-1.0-cp312-cp312-{FREEBSD}.whl"]),
        (
            ["--package", "x", "--package", "y"],
            [f"x-1.0-cp312-cp312-{FREEBSD}.whl", f"y-1.0-cp312-cp312-{FREEBSD}.whl"],
        ),
        (["--target", "free*", "--package", "x"], [f"x-1.0-cp312-cp312-{FREEBSD}.whl"]),
        (["--instance", "freebsd/15.1", "--package", "x"], [f"x-1.0-cp312-cp312-{FREEBSD}.whl"]),
    ],
)
def test_a_plan_can_be_narrowed(here: Here, narrow: list[str], built: list[str]) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.serve("y", "y-1.0.tar.gz")
    here.ask("  x: [latest]\n  y: [latest]\n")
    assert plan.main(narrow) == 0
    assert here.planned() == built


def test_narrowing_to_what_the_matrix_does_not_have_is_exit_2(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.ask("  x: [latest]\n")
    assert plan.main(["--package", "z"]) == 2
    assert "error: --package z: wheel_matrix.yml has nothing of that name" in capsys.readouterr().err


def test_explain_says_why(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz", f"x-1.0-cp312-abi3-{FREEBSD}.whl")
    here.ask("  x: [latest]\n")
    assert plan.main(["--explain", "x"]) == 0
    said = capsys.readouterr().out
    assert said == f"freebsd cp312 x 1.0: on the public index: x-1.0-cp312-abi3-{FREEBSD}.whl\n"


def test_azure_gets_two_variables_and_a_summary_and_nothing_else_on_standard_output(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_BUILD", "True")
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest]\n")
    assert plan.main([]) == 0
    matrix, has_jobs, summary = capsys.readouterr().out.splitlines()
    prefix = "##vso[task.setvariable variable=matrix;isOutput=true]"
    assert matrix.startswith(prefix)
    node = json.loads(matrix.removeprefix(prefix))[f"wheel_{FREEBSD}"]
    assert {key: node[key] for key in ("instance", "arch", "python", "pythons")} == {
        "instance": "freebsd/15.1",
        "arch": "x86_64",
        "python": "3.12",
        "pythons": "",
    }
    assert [package["name"] for package in json.loads(node["job_data"])["packages"]] == ["X"]
    assert has_jobs == "##vso[task.setvariable variable=matrix_has_jobs;isOutput=true]true"
    assert summary == f"##vso[task.uploadsummary]{here.folder}/build/plan.md"
    assert (here.folder / "build/plan.md").read_text().startswith("### Plan: 1 wheel to build (0 on this machine), ")


def test_azure_is_not_told_of_jobs_when_there_are_none(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_BUILD", "True")
    here.serve("x", "x-1.0.tar.gz")
    here.publish("x", f"x-1.0-cp312-cp312-{FREEBSD}.whl")
    here.ask("  X: [latest]\n")
    assert plan.main([]) == 0
    matrix, _ = capsys.readouterr().out.splitlines()
    assert matrix == "##vso[task.setvariable variable=matrix;isOutput=true]{}"


def test_azures_lines_do_not_mix_with_json(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_BUILD", "True")
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest]\n")
    assert plan.main(["--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["format"] == "spare-tire/plan"
    assert "##vso[task.setvariable variable=matrix_has_jobs;isOutput=true]true" in said.err.splitlines()


def test_github_gets_outputs_and_a_summary(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(here.folder / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here.folder / "summary"))
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest]\n")
    assert plan.main([]) == 0
    outputs = dict(line.split("=", 1) for line in (here.folder / "output").read_text().splitlines())
    assert [node["name"] for node in json.loads(outputs["matrix"])["include"]] == [f"wheel_{FREEBSD}"]
    assert outputs["matrix_has_jobs"] == "true"
    assert "| freebsd |  |  |  |  | 1: X 1.0 |" in (here.folder / "summary").read_text()


def test_the_expanded_matrix_gives_the_same_plan(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz", "x-2.0.tar.gz", "x-2.0-py3-none-any.whl")
    rules = "build: [{when: '<2', env: {A: '1'}}, {on: 'host', env: {B: '2'}}]"
    here.ask(
        f"  X: {{versions: [latest, '1.0', '<2'], {rules}, check: {{import: [x], requires: [eggs<2]}}}}\n",
        TARGETS.replace("targets:\n", "instances: {local: {worker: local}}\ntargets:\n  host: {instance: local}\n"),
    )
    assert plan.main([]) == 0
    compact = here.plan.read_bytes()
    capsys.readouterr()
    assert plan.main(["--expand"]) == 0
    here.matrix.write_text(capsys.readouterr().out)
    assert plan.main([]) == 0
    assert here.plan.read_bytes() == compact
    assert {action["target"] for action in json.loads(compact)["actions"]} == {"host", "freebsd"}


def test_a_plan_for_other_machines_does_not_depend_on_this_one(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.ask(
        "  X: [latest]\n",
        TARGETS.replace("targets:\n", "instances: {local: {worker: local}}\ntargets:\n  host: {instance: local}\n"),
    )
    arguments = ["--target", "freebsd"]
    assert plan.main([]) == 0
    whole = json.loads(here.plan.read_bytes())
    assert plan.main(arguments) == 0
    anywhere = here.plan.read_bytes()
    assert json.loads(anywhere)["matrix"] != whole["matrix"]

    monkeypatch.setenv("PATH", str(here.folder))  # where no Python is
    assert plan.main(arguments) == 0
    assert here.plan.read_bytes() == anywhere
    assert here.planned() == [f"x-1.0-cp312-cp312-{FREEBSD}.whl"]
    assert plan.main(["--target", "h*"]) == 2
    assert plan.main([*arguments, "--package", "x", "--target", "host"]) == 2


def test_expand_leaves_the_plan_alone_and_lists_every_freebsd_wheel(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    here.plan.parent.mkdir()
    here.plan.write_text("there")
    assert plan.main(["--expand", "--json", "--matrix", str(ROOT / "wheel_matrix.yml")]) == 0
    flat = json.loads(capsys.readouterr().out)
    wheels = [
        (package, version, wheel["platform_tag"], python["tag"])
        for package, asked in flat["packages"].items()
        for version, listed in asked["versions"].items()
        for wheel in listed["wheels"]
        for python in wheel["python"]
    ]
    assert len([wheel for wheel in wheels if "freebsd" in wheel[2]]) == 108
    assert here.plan.read_text() == "there"


def test_a_patch_that_is_not_there_is_exit_2(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: {versions: [latest], build: {patches: [none.patch]}}\n")
    assert plan.main([]) == 2
    assert "the patch none.patch cannot be read: No such file or directory" in capsys.readouterr().err


def test_help_is_exit_0_and_a_bad_option_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--help"]) == 0
    assert "--explain PACKAGE" in capsys.readouterr().out
    assert plan.main(["--plam"]) == 2


def test_an_interrupted_plan_is_exit_130(here: Here) -> None:
    os.mkfifo(here.folder / "slow.yml")  # reading it waits for ever
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks.plan", "--matrix", str(here.folder / "slow.yml")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("planning ")
    time.sleep(0.2)
    process.send_signal(2)
    assert process.communicate(timeout=10)[1] == "error: interrupted; run the same command again to go on\n"
    assert process.returncode == 130


def test_explain_of_an_unknown_package_is_exit_2(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.ask("  x: [latest]\n")
    assert plan.main(["--explain", "z"]) == 2
    assert "error: --explain z: wheel_matrix.yml has nothing of that name" in capsys.readouterr().err


def test_explain_with_json_is_the_plan_of_that_package_alone(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.serve("y", "y-1.0.tar.gz")
    here.ask("  x: [latest]\n  y: [latest]\n")
    assert plan.main(["--explain", "y", "--json"]) == 0
    assert [action["package"] for action in json.loads(capsys.readouterr().out)["actions"]] == ["y"]


# ── Wheels that no page of ours lists ──


def test_a_legacy_index_of_packages_and_foreign_pages_counts_as_present(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    here.serve("x", "x-1.0.tar.gz")
    for path in (f"packages/X-1.0-cp312-cp312-{FREEBSD}.whl", "simple/x/index.html", "pypi/x/json"):
        (here.folder / "dist/index" / path).parent.mkdir(parents=True, exist_ok=True)
        (here.folder / "dist/index" / path).write_bytes(b"anything")
    here.ask("  X: [latest, '2.0']\n")
    assert plan.main(["--explain", "x"]) == 0
    assert capsys.readouterr().out == (
        f"freebsd cp312 x 1.0: on the index: X-1.0-cp312-cp312-{FREEBSD}.whl\n"
        "freebsd cp312 x 2.0: in error: X has no version 2.0 (newest: 1.0)\n"
    )


def test_a_plan_says_where_the_private_keys_are(here: Here) -> None:
    here.serve("x", "x-1.0.tar.gz")
    said = "{worker: ssh, host: h, identity_file: FILE}"
    for file, found in (
        ("keys/id", f"{here.matrix.absolute().parent}/keys/id"),
        ("~/.ssh/id", "~/.ssh/id"),
        ("/k/id", "/k/id"),
    ):
        instances = f"instances: {{freebsd/15.1: {said.replace('FILE', file)}}}\ntargets:\n"
        here.ask("  X: [latest]\n", TARGETS.replace("targets:\n", instances))
        assert plan.main(["--matrix", str(here.matrix.absolute())]) == 0
        assert json.loads(here.plan.read_bytes())["instances"]["freebsd/15.1"]["identity_file"] == found
