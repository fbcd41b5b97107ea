from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tasks.publish import main
from tests.publishes import digest, environment, errors, folder_to_publish_in, page, write_record
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


MATRIX = "index: {index}\ninstances:\n  local: {{worker: local}}\ntargets:\n  host: {{instance: local}}\npackages:\n  demo: [latest]\n"


def test_a_misspelt_bucket_in_a_matrix_is_no_directory_beside_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "config").mkdir()
    (here / "config" / "m.yml").write_text("index: s3:/wheels/team\npackages: {}\n")

    assert main(["--matrix=config/m.yml"]) == 2

    message = "the index is 's3:/wheels/team', expected a directory or s3://bucket/prefix"
    assert capsys.readouterr().err == f"error: {message}\n"


def test_the_matrix_names_the_index_relative_to_itself(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")
    (here / "team").mkdir()
    (here / "team" / "matrix.yml").write_text(MATRIX.format(index="ours"))

    assert main(["--matrix", "team/matrix.yml"]) == 0

    assert (here / "team" / "ours" / "index.html").is_file()


def test_the_environment_is_stronger_than_the_matrix_and_the_option_stronger_than_both(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(here / "dist" / "wheels")
    (here / "wheel_matrix.yml").write_text(MATRIX.format(index="ours"))
    monkeypatch.setenv("SPARE_TIRE_INDEX", "environment")

    assert main([]) == 0
    assert main(["--index", "option"]) == 0

    assert sorted(path.parent.name for path in here.glob("*/index.html")) == ["environment", "option"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--index", "gopher://x"], "the index is 'gopher://x', expected a directory or s3://bucket/prefix"),
        (
            ["--index", "https://team:secret@host.example/x"],
            "the index https://host.example/x is read over HTTP, which plan alone can do: name where it lies itself",
        ),
        (["--matrix", "missing.yml"], "missing.yml: there is no such file; name one with --matrix"),
    ],
)
def test_bad_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert errors(capsys) == [f"error: {message}"]


def test_folders_of_ci_artifacts_are_searched_however_nested(here: Path) -> None:
    wheel = make_wheel(here / "artifacts" / "1 build" / "freebsd" / "wheels")
    record = write_record(wheel, digest(wheel))
    make_wheel(here / "artifacts" / "2 build" / "wheels", "other")
    make_wheel(here / "dist" / "wheels", "local")

    assert main(["artifacts"]) == 0

    index = here / "dist" / "index"
    assert sorted(path.name for path in (index / "packages").glob("*.whl")) == [
        "demo-1.0-py3-none-any.whl",
        "other-1.0-py3-none-any.whl",
    ]
    assert (index / "records" / f"{wheel.name}.json").read_bytes() == record


def test_a_wheel_that_two_jobs_built_is_one_if_its_bytes_are_equal(here: Path) -> None:
    for job in ("1", "2"):
        make_wheel(here / "artifacts" / job)

    assert main(["artifacts/1", "artifacts/2"]) == 0

    assert [file.filename for file in page(here / "dist" / "index").files] == ["demo-1.0-py3-none-any.whl"]


def test_a_wheel_that_two_jobs_built_differently_is_refused_and_the_others_go_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(here / "artifacts" / "1")
    make_wheel(here / "artifacts" / "2", text="# other")
    make_wheel(here / "artifacts" / "2", "other")

    assert main(["artifacts"]) == 4

    name = "demo-1.0-py3-none-any.whl"
    assert f"error: {name}: artifacts/1/{name} and artifacts/2/{name} have the same name and other bytes" in errors(
        capsys
    )
    assert [path.name for path in (here / "dist/index/packages").glob("*.whl")] == ["other-1.0-py3-none-any.whl"]


def test_what_a_build_has_not_finished_is_not_published(here: Path) -> None:
    make_wheel(here / "artifacts" / "wheels")
    make_wheel(here / "artifacts" / ".staging" / "run-1", "half")

    assert main(["artifacts"]) == 0

    assert [path.name for path in (here / "dist/index/packages").glob("*.whl")] == ["demo-1.0-py3-none-any.whl"]


def test_two_visits_of_one_name_are_both_filed(here: Path) -> None:
    for job in ("1", "2", "3"):
        make_wheel(here / "artifacts" / job)
        (here / "artifacts" / job / "visits").mkdir()
        (here / "artifacts" / job / "visits" / "local-20260101T000000Z.json").write_text(f'{{"job": {int(job) // 2}}}')

    assert main(["artifacts"]) == 0
    assert main(["artifacts"]) == 0

    filed = sorted((here / "dist/index/visits").iterdir())
    assert [(path.name, path.read_text()) for path in filed] == [
        ("local-20260101T000000Z-2.json", '{"job": 1}'),
        ("local-20260101T000000Z.json", '{"job": 0}'),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["artifacts", "--rebuild"], "--rebuild publishes no folders: leave out artifacts, or --rebuild"),
        (["artifacts", "--serve"], "--serve publishes no folders: leave out artifacts, or --serve"),
        (["--serve", "--dry-run"], "--serve writes nothing anyway: leave out --dry-run"),
        (["--serve", "--one-publisher"], "--serve writes nothing: leave out --one-publisher"),
        (["--port", "1"], "--port is for --serve"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "artifacts").mkdir()
    assert main(arguments) == 2
    assert errors(capsys) == [f"error: {message}"]


def test_a_wheel_deeper_in_packages_is_not_listed_by_a_rebuild(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_wheel(here / "dist/index/packages/sub")

    assert main(["--rebuild"]) == 1

    path = "packages/sub/demo-1.0-py3-none-any.whl"
    assert (
        f"error: sub/demo-1.0-py3-none-any.whl: {path} cannot be listed as it is: it does not lie directly in packages/"
        in errors(capsys)
    )


def test_an_epoch_that_is_none_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")

    assert main([]) == 2
    assert errors(capsys) == ["error: SOURCE_DATE_EPOCH is 'yesterday', expected seconds since 1970"]


def test_an_unknown_option_is_bad_input() -> None:
    assert main(["--nonsense"]) == 2
    assert main(["--port", "70000"]) == 2
    assert main(["--dist", "missing"]) == 2
    assert main(["--serve", "--rebuild"]) == 2
    assert main(["--yank", "x", "--unyank", "y"]) == 2


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--rebuild" in capsys.readouterr().out


def test_a_damaged_state_stops_the_publish_and_is_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_wheel(here / "dist" / "wheels")
    state = here / "dist" / "index" / "simple" / "demo" / "index.json"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"half")

    assert main(["--quiet"]) == 3

    assert errors(capsys) == [
        (
            'error: simple/demo/index.json is "half", expected a JSON document; the page was not written by spare-tire, '
            "or is damaged: move it away and run publish -- --rebuild"
        )
    ]
    assert state.read_bytes() == b"half"


def test_a_read_only_index_is_a_failed_service_and_one_message(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")
    (here / "index").mkdir(mode=0o555)
    command = [sys.executable, "-m", "tasks.publish", "--index", "index"]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv") or pytest.skip("root ignores permissions, and setpriv is not here to stop it")
        command = [setpriv, "--bounding-set=-dac_override", *command]

    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (
        3,
        (
            "error: cannot write index/packages/demo-1.0-py3-none-any.whl: the index index is read-only for this user; "
            "give write permission, or another index by --index\n"
        ),
    )
