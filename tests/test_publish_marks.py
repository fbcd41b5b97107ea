"""What else is said of published wheels and projects: yanks, statuses, attestations, and wheels without records."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tasks.publish import main
from tests.attested import attestation, provenance, statement
from tests.publishes import digest, environment, errors, folder_to_publish_in, page, snapshot, write_record
from tests.test_publish_installers import INSTALLERS
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.test_publish_installers import Install

OLD, NEW = "demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"
MATRIX = """
index: index
{more}
instances:
  local: {{worker: local}}
targets:
  host: {{instance: local}}
packages:
  Demo: {{versions: [latest], {package}}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


def publish_two(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")
    make_wheel(here / "dist" / "wheels", version="2.0")
    assert main(["--index", "index", "--quiet"]) == 0


def write_matrix(here: Path, package: str, more: str = "") -> None:
    (here / "wheel_matrix.yml").write_text(MATRIX.format(package=package, more=more))


def served(here: Path, name: str = "demo") -> Any:  # noqa: ANN401 - whatever JSON holds
    return json.loads((here / "index" / "simple" / name / "index.json").read_bytes())


# ── Yanking ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_yank_is_shown_with_its_reason_in_json_and_html(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_two(here)
    capsys.readouterr()

    assert main(["--index", "index", "--yank", NEW, "--reason", "breaks <b>"]) == 0

    assert errors(capsys) == ["index: 1 yanked"]
    assert [file.get("yanked") for file in served(here)["files"]] == [None, "breaks <b>"]
    html = (here / "index" / "simple" / "demo" / "index.html").read_text()
    assert 'data-yanked="breaks &lt;b&gt;"' in html
    assert html.count("data-yanked") == 1


def test_a_yank_without_a_reason_and_an_unyank(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_two(here)
    before = page(here / "index").files

    assert main(["--index", "index", "--yank", OLD, NEW]) == 0
    assert [file.get("yanked") for file in served(here)["files"]] == [True, True]
    assert 'data-yanked=""' in (here / "index" / "simple" / "demo" / "index.html").read_text()

    assert main(["--index", "index", "--unyank", OLD, "--unyank", NEW]) == 0
    assert page(here / "index").files == before
    assert errors(capsys)[-2:] == ["index: 2 yanked", "index: 2 unyanked"]


def test_the_same_yank_again_changes_no_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_two(here)
    main(["--index", "index", "--yank", NEW, "--reason", "broken"])
    before = snapshot(here / "index")
    capsys.readouterr()

    assert main(["--index", "index", "--yank", NEW, "--reason", "broken"]) == 0

    assert errors(capsys) == ["index: 1 unchanged"]
    assert snapshot(here / "index") == before


def test_a_wheel_that_is_not_there_is_bad_input_and_nothing_is_yanked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_two(here)
    before = snapshot(here / "index")
    capsys.readouterr()

    assert main(["--index", "index", "--yank", OLD, "demo-3.0-py3-none-any.whl"]) == 2

    assert errors(capsys) == [f"error: the index does not list demo-3.0-py3-none-any.whl; did you mean {NEW}, {OLD}?"]
    assert snapshot(here / "index") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reason", "x"], "--reason says why wheels are yanked: name them with --yank"),
        (["--unyank", OLD, "--reason", "x"], "--reason says why wheels are yanked: name them with --yank"),
        ([".", "--yank", OLD], "--yank publishes no folders: leave out ., or --yank"),
        (
            ["--rebuild", "--require-records"],
            "--rebuild reads no records: leave out --require-records",
        ),
    ],
)
def test_options_that_say_nothing_together(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert errors(capsys) == [f"error: {message}"]


def test_a_dry_run_of_a_yank_lists_the_writes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_two(here)
    before = snapshot(here / "index")
    capsys.readouterr()

    assert main(["--index", "index", "--yank", NEW, "--dry-run", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["writes"] == [
        "index.html",
        "pypi/demo/2.0/json",
        "pypi/demo/json",
        "simple/demo/index.html",
        "simple/demo/index.json",
        "simple/index.html",
        "simple/index.json",
    ]
    assert snapshot(here / "index") == before


@pytest.mark.parametrize("install", INSTALLERS)
def test_installers_take_the_wheel_before_the_yanked_one_and_the_yanked_one_if_it_is_pinned(
    here: Path, install: Install
) -> None:
    publish_two(here)
    main(["--index", "index", "--yank", NEW, "--reason", "broken"])
    simple = (here / "index" / "simple").as_uri()

    assert install(here, simple, "demo").returncode == 0
    assert (here / "site" / "demo.py").read_text() == "VERSION = '1.0'\n"
    pinned = install(here, simple, "--upgrade", "demo==2.0")
    assert pinned.returncode == 0, pinned.stderr
    assert "broken" in pinned.stdout + pinned.stderr


def test_a_yank_beside_publishers_is_kept(here: Path) -> None:
    publish_two(here)
    for number in range(4):
        make_wheel(here / f"dist{number}" / "wheels", version=f"3.{number}")
    command = [sys.executable, "-m", "tasks.publish", "--quiet", "--index", "index"]
    runs = [subprocess.Popen([*command, "--dist", f"dist{number}"], env=environment()) for number in range(4)]
    runs.append(subprocess.Popen([*command, "--yank", NEW], env=environment()))

    assert [run.wait() for run in runs] == [0] * 5
    assert {file.filename: file.yanked for file in page(here / "index").files if file.yanked is not None} == {NEW: ""}
    assert len(page(here / "index").files) == 6
    before = snapshot(here / "index")
    assert main(["--index", "index", "--rebuild", "--quiet"]) == 0
    assert snapshot(here / "index") == before


# ── What the matrix says of a project ─────────────────────────────────────────────────────────────────────────────────


def test_what_the_matrix_says_is_on_the_projects_pages(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_two(here)
    write_matrix(
        here,
        "status: {state: deprecated, reason: use other}, tracks: [https://a.test/simple/demo/], "
        "alternate_locations: [https://b.test/demo]",
    )
    capsys.readouterr()

    assert main(["--dist", "dist"]) == 0

    assert errors(capsys) == ["index: 2 unchanged, 1 with other settings"]
    made = served(here)
    assert made["project-status"] == {"status": "deprecated", "reason": "use other"}
    assert (made["meta"]["tracks"], made["alternate-locations"]) == (
        ["https://a.test/simple/demo/"],
        ["https://b.test/demo"],
    )
    html = (here / "index" / "simple" / "demo" / "index.html").read_text()
    assert '<meta name="pypi:project-status" content="deprecated">' in html


def test_an_archived_project_refuses_a_new_wheel_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_two(here)
    make_wheel(here / "dist" / "wheels", version="3.0")
    make_wheel(here / "dist" / "wheels", "other")
    write_matrix(here, "status: {state: archived}")

    assert main(["--quiet"]) == 4

    assert errors(capsys)[-1] == (
        "error: demo-3.0-py3-none-any.whl: demo is archived, so that no new wheel of it is published (PEP 792); "
        "change its status in the matrix first"
    )
    assert served(here, "other")["versions"] == ["1.0"]


@pytest.mark.parametrize("install", INSTALLERS)
def test_a_quarantined_project_cannot_be_installed_until_it_is_released(here: Path, install: Install) -> None:
    publish_two(here)
    simple = (here / "index" / "simple").as_uri()
    write_matrix(here, "status: {state: quarantined}")
    assert main(["--quiet"]) == 0
    assert install(here, simple, "demo").returncode != 0

    write_matrix(here, "upstream: use")
    assert main(["--quiet"]) == 0
    assert install(here, simple, "demo").returncode == 0


# ── Attestations ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_attestations_beside_a_wheel_go_out_with_it(here: Path) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    told = json.dumps(provenance(attestation(statement(wheel.name, digest(wheel)))))
    wheel.with_name(f"{wheel.name}.provenance").write_text(told)
    write_matrix(here, "upstream: use", "index_url: https://wheels.example.test/team")

    assert main(["--quiet"]) == 0

    assert (here / "index" / "packages" / f"{wheel.name}.provenance").read_text() == told
    url = f"https://wheels.example.test/team/packages/{wheel.name}.provenance"
    assert served(here)["files"][0]["provenance"] == url
    assert f'data-provenance="{url}"' in (here / "index" / "simple" / "demo" / "index.html").read_text()


def test_single_attestations_become_one_provenance_object(here: Path) -> None:
    wheel = make_wheel(here / "artifacts" / "1" / "wheels")
    publishes = attestation(statement(wheel.name, digest(wheel)))
    built = attestation(statement(wheel.name, digest(wheel), predicateType="https://slsa.dev/provenance/v1"))
    elsewhere = here / "artifacts" / "2"
    elsewhere.mkdir()
    (elsewhere / f"{wheel.name}.publish.attestation").write_text(json.dumps(publishes))
    (elsewhere / f"{wheel.name}.slsa.attestation").write_text(json.dumps(built))

    assert main(["artifacts", "--index", "index", "--quiet"]) == 0

    made = json.loads((here / "index" / "packages" / f"{wheel.name}.provenance").read_bytes())
    assert made["attestation_bundles"] == [
        {"attestations": [publishes, built], "publisher": {"kind": "unstated"}},
    ]
    assert "provenance" not in served(here)["files"][0], "no address, no URL"
    assert page(here / "index").files[0].attested


def test_a_wheel_with_attestations_of_other_bytes_is_refused_and_the_others_go_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    make_wheel(here / "dist" / "wheels", "other")
    wrong = wheel.with_name(f"{wheel.name}.publish.attestation")
    wrong.write_text(json.dumps(attestation(statement(wheel.name, "0" * 64))))

    assert main(["--index", "index", "--quiet"]) == 4

    assert errors(capsys)[-1] == (
        f"error: {wheel.name}: its attestations are unfit: dist/wheels/{wrong.name}: "
        "attestation_bundles[0].attestations[0].envelope.statement.subject[0].digest.sha256 is "
        f"'{'0' * 64}', expected '{digest(wheel)}'; remove them or have it attested again"
    )
    assert [path.name for path in (here / "index" / "packages").glob("*.whl")] == ["other-1.0-py3-none-any.whl"]


def test_rebuilding_finds_attestations_again(here: Path) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    wheel.with_name(f"{wheel.name}.provenance").write_text(
        json.dumps(provenance(attestation(statement(wheel.name, digest(wheel)))))
    )
    assert main(["--index", "index", "--quiet"]) == 0
    before = snapshot(here / "index")
    (here / "index" / "simple" / "demo" / "index.json").unlink()
    (here / "index" / "simple" / "index.json").unlink()

    assert main(["--index", "index", "--rebuild", "--quiet"]) == 0

    assert snapshot(here / "index") == before


# ── Records, and folders of artifacts ─────────────────────────────────────────────────────────────────────────────────


def test_wheels_without_records_are_refused_by_name_where_records_are_required(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    write_record(wheel, digest(wheel))
    make_wheel(here / "dist" / "wheels", "other")

    assert main(["--index", "index", "--require-records"]) == 4

    assert errors(capsys) == [
        (
            "error: other-1.0-py3-none-any.whl: it has no build record, and --require-records asks for one: "
            "build it with spare-tire"
        ),
        "index: 1 published, 1 refused",
    ]
    assert [path.name for path in (here / "index" / "packages").glob("*.whl")] == [OLD]


def test_all_that_belongs_to_a_wheel_is_found_in_nested_folders_of_artifacts(here: Path) -> None:
    wheel = make_wheel(here / "artifacts" / "job 1" / "a" / "b")
    about = here / "artifacts" / "job 2" / "deep" / "er"
    about.mkdir(parents=True)
    subject = [{"name": wheel.name, "digest": {"sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}}]
    (about / f"{wheel.name}.json").write_text(json.dumps({"subject": subject}))
    (about / f"{wheel.name}.txt.gz").write_bytes(b"log")
    told = json.dumps(provenance(attestation(statement(wheel.name, digest(wheel)))))
    (about / f"{wheel.name}.provenance").write_text(told)
    (about / "visits").mkdir()
    (about / "visits" / "local-1.json").write_text("{}")

    assert main(["artifacts", "--index", "index", "--quiet", "--require-records"]) == 0

    found = snapshot(here / "index")
    assert {
        f"packages/{wheel.name}",
        f"packages/{wheel.name}.metadata",
        f"packages/{wheel.name}.provenance",
        f"records/{wheel.name}.json",
        f"logs/{wheel.name}.txt.gz",
        "visits/local-1.json",
    } <= found.keys()
    assert main(["artifacts", "--index", "index", "--quiet"]) == 0
    assert snapshot(here / "index") == found
