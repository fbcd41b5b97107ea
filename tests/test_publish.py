from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.core.index import ProjectPage, digest_of
from tasks.core.protocol import Context, publish
from tasks.distfiles import read_dist
from tasks.pages import Pages
from tasks.publish import main
from tasks.stores.directory import DirectoryStore
from tasks.stores.driver import drive
from tests.stores.memory import CountingStore
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent
EPOCH = "1767323045"
EPOCH_TIME = "2026-01-02T03:04:05.000000Z"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, on a day that does not change."""
    for name in ("SPARE_TIRE_INDEX", "SPARE_TIRE_MATRIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def page(index: Path, name: str = "demo") -> ProjectPage:
    path = index / "simple" / name / "index.json"
    return ProjectPage.from_json(path.read_bytes(), str(path))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_record(wheel: Path, sha256: str, recipe: str = "k1") -> bytes:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": wheel.name, "digest": {"sha256": sha256}}],
        "predicate": {"buildDefinition": {"internalParameters": {"recipeKey": recipe}}},
    }
    path = wheel.parent.parent / "records" / f"{wheel.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(statement))
    return path.read_bytes()


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


# ── Publishing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_build_left_is_published_to_dist_index(here: Path) -> None:
    wheel = make_wheel(here / "dist" / "wheels", headers="Requires-Python: >=3.9\n")
    record = write_record(wheel, digest(wheel))
    logs, visits = here / "dist" / "logs", here / "dist" / "visits"
    logs.mkdir()
    visits.mkdir()
    (logs / f"{wheel.name}.txt.gz").write_bytes(gzip.compress(b"log", mtime=0))
    (visits / "local-20260102T030405Z.json").write_text("{}")

    assert main([]) == 0

    index = snapshot(here / "dist" / "index")
    assert sorted(index) == [
        "index.html",
        "logs/demo-1.0-py3-none-any.whl.txt.gz",
        "packages/demo-1.0-py3-none-any.whl",
        "packages/demo-1.0-py3-none-any.whl.metadata",
        "pypi/demo/1.0/json",
        "pypi/demo/json",
        "records/demo-1.0-py3-none-any.whl.json",
        "simple/demo/index.html",
        "simple/demo/index.json",
        "simple/index.html",
        "simple/index.json",
        "visits/local-20260102T030405Z.json",
    ]
    assert index["packages/demo-1.0-py3-none-any.whl"] == wheel.read_bytes()
    metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Python: >=3.9\n"
    assert index["packages/demo-1.0-py3-none-any.whl.metadata"] == metadata
    assert index["records/demo-1.0-py3-none-any.whl.json"] == record
    assert json.loads(index["simple/demo/index.json"])["files"] == [
        {
            "_recipe": "k1",
            "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()},
            "filename": "demo-1.0-py3-none-any.whl",
            "hashes": {"sha256": digest(wheel)},
            "requires-python": ">=3.9",
            "size": len(wheel.read_bytes()),
            "upload-time": EPOCH_TIME,
            "url": "../../packages/demo-1.0-py3-none-any.whl",
        }
    ]


def test_nothing_to_publish_is_no_error_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    assert errors(capsys) == ["nothing to publish to dist/index"]
    assert list(here.iterdir()) == []


def test_publishing_again_changes_no_file(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")
    make_wheel(here / "dist" / "wheels", "other")
    (here / "dist" / "visits").mkdir()
    (here / "dist" / "visits" / "local-1.json").write_text("{}")
    assert main([]) == 0
    before = {path: path.stat() for path in (here / "dist" / "index").rglob("*")}

    assert main([]) == 0

    after = {path: path.stat() for path in (here / "dist" / "index").rglob("*")}
    assert {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in after.items()} == {
        path: (stat.st_ino, stat.st_mtime_ns) for path, stat in before.items()
    }


def test_publishing_again_later_asks_for_two_objects_and_each_project(here: Path) -> None:
    for name in ("demo", "other"):
        make_wheel(here / "dist" / "wheels", name)
    store = CountingStore(DirectoryStore(str(here / "index")))
    requests = []
    for upload_time in ("2026-01-01T00:00:00.000000Z", "2027-01-01T00:00:00.000000Z"):
        store.requests.clear()
        context = Context(render=Pages(), token_of=store.token_of, upload_time=upload_time)
        drive(publish(read_dist(here / "dist").wheels, context), store)
        requests.append(dict(store.requests))

    # First the home page, the list and its page, and for each project its state and its page; then the writes.
    assert requests == [{"get": 7, "put": 15}, {"get": 4}]


def test_the_same_wheels_published_elsewhere_give_the_same_bytes(here: Path) -> None:
    for name in ("demo", "other"):
        make_wheel(here / "dist" / "wheels", name)

    assert main(["--index", "one"]) == 0
    assert main(["--index", "two"]) == 0

    assert snapshot(here / "one") == snapshot(here / "two")


def test_the_upload_time_stays_that_of_the_first_publish(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(here / "dist" / "wheels")
    main([])
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    make_wheel(here / "dist" / "wheels", version="2.0")

    assert main([]) == 0

    first, second = page(here / "dist" / "index").files
    assert first.upload_time == EPOCH_TIME
    assert second.upload_time is not None
    assert second.upload_time > EPOCH_TIME


def test_a_wheel_without_a_record_goes_out_with_a_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_wheel(here / "dist" / "wheels")

    assert main([]) == 0

    assert errors(capsys) == [
        "warning: demo-1.0-py3-none-any.whl has no build record: nobody will know how it was built",
        "dist/index: 1 published",
    ]


def test_other_bytes_under_a_published_name_are_refused_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    main([])
    old = digest(wheel)
    make_wheel(here / "dist" / "wheels", text="changed = True\n")
    make_wheel(here / "dist" / "wheels", "other")
    capsys.readouterr()

    assert main([]) == 4

    assert errors(capsys) == [
        "warning: other-1.0-py3-none-any.whl has no build record: nobody will know how it was built",
        (
            f"error: demo-1.0-py3-none-any.whl: it is published with other bytes: sha256 {old}, "
            f"offered {digest(wheel)}; raise its version or its build number"
        ),
        "dist/index: 1 published, 1 refused",
    ]
    assert digest(here / "dist" / "index" / "packages" / wheel.name) == old
    assert page(here / "dist" / "index", "other").versions == ("1.0",)


def test_a_wheel_that_is_not_well_formed_is_refused_by_name_and_the_others_go_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheels = here / "dist" / "wheels"
    make_wheel(wheels, "good")
    make_wheel(wheels, "bad", record=False)
    (wheels / "torn-1.0-py3-none-any.whl").write_bytes(b"PK")
    (wheels / "dir-1.0-py3-none-any.whl").mkdir()
    make_wheel(here).rename(wheels / "demo-1.0-<b>-any.whl")

    assert main(["--quiet"]) == 1

    assert errors(capsys) == [
        "warning: good-1.0-py3-none-any.whl has no build record: nobody will know how it was built",
        (
            "error: bad-1.0-py3-none-any.whl: bad.py is not in RECORD; bad-1.0.dist-info/METADATA is not in RECORD; "
            "bad-1.0.dist-info/WHEEL is not in RECORD"
        ),
        "error: demo-1.0-<b>-any.whl: its name holds characters that no wheel's name may (PEP 427)",
        "error: dir-1.0-py3-none-any.whl: dist/wheels/dir-1.0-py3-none-any.whl cannot be read: Is a directory",
        "error: torn-1.0-py3-none-any.whl: File is not a zip file",
    ]
    assert sorted(path.name for path in (here / "dist/index/simple").iterdir()) == ["good", "index.html", "index.json"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"nonsense", "it is not JSON"),
        (b"{}", "it is no in-toto statement: subject[0].digest.sha256 is missing"),
        (b'{"subject": [{"digest": {"sha256": "0"}}]}', "it is about other bytes: sha256 0, the wheel has {sha256}"),
    ],
)
def test_a_wheel_with_a_record_of_something_else_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], record: bytes, reason: str
) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    path = here / "dist" / "records" / f"{wheel.name}.json"
    path.parent.mkdir()
    path.write_bytes(record)

    assert main(["--quiet"]) == 4

    assert errors(capsys) == [
        (
            f"error: {wheel.name}: its record dist/records/{wheel.name}.json is unfit: "
            f"{reason.format(sha256=digest(wheel))}; build it again"
        )
    ]
    assert not (here / "dist" / "index").exists()


def test_a_dry_run_lists_every_write_and_does_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_wheel(here / "dist" / "wheels")

    assert main(["--dry-run", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["writes"] == [
        "index.html",
        "packages/demo-1.0-py3-none-any.whl",
        "packages/demo-1.0-py3-none-any.whl.metadata",
        "pypi/demo/1.0/json",
        "pypi/demo/json",
        "simple/demo/index.html",
        "simple/demo/index.json",
        "simple/index.html",
        "simple/index.json",
    ]
    assert not (here / "dist" / "index").exists()


def test_the_result_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_wheel(here / "dist" / "wheels")

    assert main(["--json", "--quiet"]) == 0

    assert json.loads(capsys.readouterr().out) == {
        "index": "dist/index",
        "wheels": [{"filename": "demo-1.0-py3-none-any.whl", "note": "", "outcome": "published"}],
    }


def test_a_local_version_is_installed_from_its_quoted_link(here: Path) -> None:
    make_wheel(here / "dist" / "wheels", version="1.0+cu1")

    assert main([]) == 0

    assert (
        b'href="../../packages/demo-1.0%2Bcu1-py3-none-any.whl#sha256='
        in (here / "dist/index/simple/demo/index.html").read_bytes()
    )
    assert pip_install(here, (here / "dist/index/simple").as_uri(), "demo").returncode == 0


# ── Where the index is ────────────────────────────────────────────────────────────────────────────────────────────────

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


# ── Rebuilding ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
            "packages/ is of foreign: left alone"
        ),
        (
            "error: spoiled-1.0-py3-none-any.whl: packages/spoiled-1.0-py3-none-any.whl has not the bytes that its page "
            f"states (sha256 {spoiled}): restore it from a backup"
        ),
        "error: torn-1.0-py3-none-any.whl: packages/torn-1.0-py3-none-any.whl cannot be listed as it is: File is not a zip file",
    ]
    assert snapshot(here / "index") == before


# ── Installing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def environment(**more: str) -> Mapping[str, str]:
    """Return an environment in which no installer is configured otherwise, and our package is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1", **more}


def pip_install(here: Path, index: str, *requirements: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--index-url", index, "--no-deps", "--only-binary", ":all:", "--target", str(here / "site")]
    return subprocess.run([*command, *requirements], env=environment(), capture_output=True, text=True, check=False)


def uv_install(here: Path, index: str, *requirements: str) -> subprocess.CompletedProcess[str]:
    command = ["uv", "pip", "install", "--no-config", "--no-cache", "--python", sys.executable]
    command += ["--index-url", index, "--no-deps", "--only-binary", ":all:", "--target", str(here / "site")]
    return subprocess.run([*command, *requirements], env=environment(), capture_output=True, text=True, check=False)


Install = Callable[..., "subprocess.CompletedProcess[str]"]
INSTALLERS = [
    pytest.param(pip_install, id="pip"),
    pytest.param(uv_install, id="uv", marks=pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not here")),
]


@pytest.mark.parametrize("install", INSTALLERS)
def test_an_installer_takes_the_newest_wheel_from_the_directory(here: Path, install: Install) -> None:
    make_wheel(here / "dist" / "wheels", "Demo.Project", "1.9")
    make_wheel(here / "dist" / "wheels", "Demo.Project", "1.10")
    main([])

    ran = install(here, (here / "dist" / "index" / "simple").as_uri(), "demo-project")

    assert ran.returncode == 0, ran.stderr
    assert (here / "site" / "demo.project.py").read_text() == "VERSION = '1.10'\n"


def test_pip_notices_a_wheel_that_was_tampered_with(here: Path) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    main([])
    make_wheel(here / "dist" / "index" / "packages", text="evil = True\n")

    ran = pip_install(here, (here / "dist" / "index" / "simple").as_uri(), "demo")

    assert ran.returncode != 0
    assert f"Expected sha256 {digest(wheel)}" in ran.stderr
    assert not (here / "site").exists()


# ── Killed, and side by side ──────────────────────────────────────────────────────────────────────────────────────────


def start(here: Path, dist: str, index: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tasks.publish", "--quiet", "--dist", dist, "--index", index]
    return subprocess.Popen(command, cwd=here, env=environment(), stderr=subprocess.DEVNULL)


def check_links(index: Path) -> None:
    """Check that every link on every state resolves to the stated bytes."""
    for state in index.glob("simple/*/index.json"):
        for file in page(index, state.parent.name).files:
            assert digest(index / "packages" / file.filename) == file.sha256
            assert digest(index / "packages" / f"{file.filename}.metadata") == file.core_metadata


def test_a_publisher_that_is_killed_leaves_whole_pages_and_the_rerun_completes_them(here: Path) -> None:
    for number in range(8):
        make_wheel(here / "dist" / "wheels", f"project{number % 3}", f"{number}.0")
    main(["--index", "undisturbed"])
    expected = snapshot(here / "undisturbed")
    interrupted = 0

    for files in (1, 2, 3, 5, 8, 11, 14, 17, 20, 22, 23, 24, 25):
        index = here / f"killed-{files}"
        publisher = start(here, "dist", index.name)
        while publisher.poll() is None and sum(len(found) for _, _, found in os.walk(index)) < files:
            time.sleep(0.0005)
        publisher.kill()
        publisher.wait()
        interrupted += not (index / "index.html").exists()
        check_links(index)

        assert main(["--index", index.name]) == 0

        assert snapshot(index) == expected
    assert interrupted >= 1


def test_an_interrupted_publisher_says_so_and_the_rerun_goes_on(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")
    slow = here / "dist" / "wheels" / "slow-1.0-py3-none-any.whl"
    os.mkfifo(slow)
    command = [sys.executable, "-m", "tasks.publish"]
    publisher = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    with slow.open("wb"):  # the publisher is reading it by now
        publisher.send_signal(signal.SIGINT)
        _, said = publisher.communicate()

    assert (publisher.returncode, said) == (130, "error: interrupted; run the same command again to go on\n")
    slow.unlink()
    assert main([]) == 0


def test_publishers_side_by_side_lose_no_link(here: Path) -> None:
    for number in range(6):
        for version in ("1", "2", "3"):
            make_wheel(here / f"dist{number}" / "wheels", "demo", f"{version}.{number}")
        make_wheel(here / f"dist{number}" / "wheels", f"own{number}")

    publishers = [start(here, f"dist{number}", "index") for number in range(6)]

    assert [publisher.wait() for publisher in publishers] == [0] * 6
    assert len(page(here / "index").files) == 18
    check_links(here / "index")
    listed = json.loads((here / "index" / "simple" / "index.json").read_bytes())
    assert [project["name"] for project in listed["projects"]] == ["demo", *(f"own{number}" for number in range(6))]
    before = snapshot(here / "index")
    assert main(["--index", "index", "--rebuild"]) == 0
    assert snapshot(here / "index") == before
