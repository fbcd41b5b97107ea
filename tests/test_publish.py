from __future__ import annotations

import gzip
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tasks.core.protocol import Context, publish
from tasks.distfiles import read_dist
from tasks.pages import Pages
from tasks.publish import main
from tasks.stores.directory import DirectoryStore
from tasks.stores.driver import drive
from tests.publishes import EPOCH_TIME, digest, errors, folder_to_publish_in, page, snapshot, write_record
from tests.stores.memory import CountingStore
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


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
