"""What was published since the last receipt costs two requests, and nothing is hidden by one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tasks.distfiles import read_dist
from tasks.publish import main
from tasks.receipts import FILE, Receipt
from tasks.stores.probe import PROBE_PATH
from tests.publishes import folder_to_publish_in
from tests.stores.s3_proxy import Fault
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stores.s3_proxy import Proxy


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


@pytest.fixture
def bucket(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of its own, reached through the proxy."""
    for name, value in proxy.server.environment.items():
        monkeypatch.setenv(name, value)
    made = proxy.server.new_bucket()
    monkeypatch.setenv("SPARE_TIRE_INDEX", f"s3://{made}/team")
    proxy.reset()
    return made


def three_projects(here: Path) -> None:
    """Three projects, one of them with a record and a log, and a visit."""
    for name in ("demo", "other", "third"):
        make_wheel(here / "dist" / "wheels", name)
    wheel = here / "dist" / "wheels" / "demo-1.0-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for part, name, text in (
        ("records", f"{wheel.name}.json", json.dumps({"subject": [{"digest": {"sha256": digest}}]})),
        ("logs", f"{wheel.name}.txt.gz", "log"),
        ("visits", "local-20260102T030405Z.json", "{}"),
    ):
        (here / "dist" / part).mkdir()
        (here / "dist" / part / name).write_text(text)


def asked(proxy: Proxy) -> list[str]:
    """Return the requests since the last time, sorted, without bucket and prefix."""
    found = sorted(re.sub(r" /bucket-\d+/team/", " ", one) for one in proxy.asked)
    proxy.asked.clear()
    return found


LOOKS = ["GET index.html", "GET simple/index.json"]
VISIT = "GET visits/local-20260102T030405Z.json"
DEMO, OTHER = "GET simple/demo/index.json", "GET simple/other/index.json"


@pytest.mark.usefixtures("bucket")
def test_nothing_in_dist_costs_two_requests(here: Path, proxy: Proxy) -> None:
    three_projects(here)
    assert main([]) == 0
    (here / "empty").mkdir()
    asked(proxy)

    assert main(["--dist", "empty"]) == 0

    assert asked(proxy) == LOOKS
    assert list((here / "empty").iterdir()) == []


def test_nothing_since_the_receipt_costs_two_requests_reads_no_wheel_and_writes_nothing(
    here: Path, bucket: str, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    three_projects(here)
    assert main([]) == 0
    asked(proxy)
    receipt = (here / "dist" / FILE).stat()
    capsys.readouterr()

    assert main(["--json", "--quiet"]) == 0

    assert asked(proxy) == LOOKS
    assert [one["outcome"] for one in json.loads(capsys.readouterr().out)["wheels"]] == ["unchanged"] * 3
    assert (here / "dist" / FILE).stat().st_ino == receipt.st_ino
    read = read_dist(here / "dist", Receipt.read(here / "dist", f"s3://{bucket}/team"))
    assert (read.wheels, read.visits) == ((), ())
    assert [name.partition("-")[0] for name in read.published] == ["demo", "other", "third"]


@pytest.mark.usefixtures("bucket")
def test_without_a_receipt_it_is_one_request_more_for_each_project_and_visit_and_never_a_write(
    here: Path, proxy: Proxy
) -> None:
    three_projects(here)
    assert main([]) == 0
    (here / "dist" / FILE).unlink()
    asked(proxy)

    assert main([]) == 0

    assert asked(proxy) == [
        LOOKS[0],
        DEMO,
        LOOKS[1],
        OTHER,
        "GET simple/third/index.json",
        VISIT,
    ]
    assert main([]) == 0
    assert asked(proxy) == LOOKS


def test_a_visit_that_could_not_be_filed_is_filed_by_a_later_run(
    here: Path, bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    three_projects(here)
    assert main([]) == 0
    (here / "dist" / "visits" / "local-later.json").write_text("{}")
    proxy.lay("PUT", ".*/visits/", Fault(status=503, code="SlowDown"), times=1)
    capsys.readouterr()

    assert main(["--quiet"]) == 0
    assert f"warning: the visits are not filed: cannot write s3://{bucket}/team/visits/" in capsys.readouterr().err
    asked(proxy)

    assert main([]) == 0
    assert asked(proxy) == [*LOOKS, "GET visits/local-later.json", "PUT visits/local-later.json"]
    assert main([]) == 0
    assert asked(proxy) == LOOKS


@pytest.mark.usefixtures("bucket")
def test_visits_without_wheels_cost_two_requests_once_they_are_filed(here: Path, proxy: Proxy) -> None:
    three_projects(here)
    assert main([]) == 0
    (here / "only" / "visits").mkdir(parents=True)
    for number in range(3):
        (here / "only" / "visits" / f"local-{number}.json").write_text(str(number))
    asked(proxy)

    assert main(["--dist=only"]) == 0
    filed = [f"{verb} visits/local-{number}.json" for verb in ("GET", "PUT") for number in range(3)]
    assert asked(proxy) == sorted([*LOOKS, *filed])
    assert main(["--dist=only"]) == 0
    assert asked(proxy) == LOOKS
    make_wheel(here / "dist" / "wheels", "demo", "2.0")
    assert main([]) == 0
    asked(proxy)
    assert main(["--dist=only"]) == 0
    assert asked(proxy) == LOOKS


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "gone back"])
def test_visits_without_wheels_are_filed_again_on_an_index_that_went_back(here: Path, *, gone: bool) -> None:
    make_wheel(here / "first" / "wheels")
    assert main(["--index=index", "--dist=first"]) == 0
    shutil.copytree(here / "index", here / "before")
    make_wheel(here / "second" / "wheels", version="2.0")
    assert main(["--index=index", "--dist=second"]) == 0
    (here / "dist" / "visits").mkdir(parents=True)
    (here / "dist" / "visits" / "local-1.json").write_text("{}")
    assert main(["--index=index"]) == 0
    shutil.rmtree(here / "index")
    if not gone:
        (here / "before").rename(here / "index")

    assert main(["--index=index"]) == 0

    assert (here / "index/visits/local-1.json").is_file()


def later_record(here: Path) -> None:
    wheel = here / "dist" / "wheels" / "other-1.0-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    record = {"subject": [{"digest": {"sha256": digest}}]}
    (here / "dist" / "records" / f"{wheel.name}.json").write_text(json.dumps(record))


def touched(here: Path) -> None:
    os.utime(here / "dist" / "wheels" / "other-1.0-py3-none-any.whl", ns=(1, 1))


def same_times_other_bytes(here: Path) -> None:
    path = here / "dist" / "wheels" / "other-1.0-py3-none-any.whl"
    found = path.stat()
    path.write_bytes(bytes(found.st_size))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("change", "code", "looked_at"),
    [
        pytest.param(later_record, 0, [OTHER], id="a record came"),
        pytest.param(touched, 0, [OTHER], id="the wheel was touched"),
        pytest.param(same_times_other_bytes, 1, [], id="it has other bytes: torn ones here, of the same size and time"),
    ],
)
def test_a_wheel_whose_files_changed_is_looked_at_again(
    here: Path, proxy: Proxy, change: Callable[[Path], None], code: int, looked_at: list[str]
) -> None:
    three_projects(here)
    assert main([]) == 0
    change(here)
    asked(proxy)

    assert main([]) == code

    assert asked(proxy) == sorted([*LOOKS, *looked_at])


@pytest.mark.usefixtures("bucket")
def test_a_project_that_somebody_else_changed_is_looked_at_again_and_once(here: Path, proxy: Proxy) -> None:
    three_projects(here)
    assert main([]) == 0
    make_wheel(here / "theirs" / "wheels", "demo", "2.0")
    assert main(["--dist", "theirs"]) == 0
    asked(proxy)

    assert main([]) == 0
    assert asked(proxy) == sorted([*LOOKS, DEMO, VISIT])
    assert main([]) == 0
    assert asked(proxy) == LOOKS


def went_back(here: Path, before: dict[str, bytes]) -> None:
    """The index is again what it was before we published, and then somebody else publishes: the serials are as ours."""
    shutil.rmtree(here / "index")
    for path, data in before.items():
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).write_bytes(data)
    make_wheel(here / "more" / "wheels", "demo", "3.0")
    assert main(["--index=index", "--dist=more"]) == 0


def made_anew(here: Path, before: dict[str, bytes]) -> None:
    del before
    shutil.rmtree(here / "index")
    make_wheel(here / "more" / "wheels", "demo", "3.0")
    assert main(["--index=index", "--dist=more"]) == 0


def gone(here: Path, before: dict[str, bytes]) -> None:
    del before
    shutil.rmtree(here / "index")


@pytest.mark.parametrize("happens", [went_back, made_anew, gone])
def test_a_receipt_hides_nothing_of_an_index_that_lost_what_we_published(
    here: Path, happens: Callable[[Path, dict[str, bytes]], None]
) -> None:
    make_wheel(here / "first" / "wheels", "demo", "1.0")
    assert main(["--index=index", "--dist=first"]) == 0
    (here / "dist" / "visits").mkdir(parents=True)
    before = {str(path.relative_to(here)): path.read_bytes() for path in (here / "index").rglob("*") if path.is_file()}
    make_wheel(here / "dist" / "wheels", "demo", "2.0")
    (here / "dist" / "visits" / "local-1.json").write_text("{}")
    assert main(["--index=index"]) == 0
    happens(here, before)

    assert main(["--index=index"]) == 0

    page = json.loads((here / "index/simple/demo/index.json").read_bytes())
    assert "demo-2.0-py3-none-any.whl" in [file["filename"] for file in page["files"]]
    assert (here / "index/visits/local-1.json").is_file()


@pytest.mark.parametrize(
    "receipt",
    [
        b"half",
        b"[]",
        b'{"format": 2}',
        b'{"format": 1, "indexes": {"index": {"wheels": [], "visits": {}}}}',
        b'{"format": 1, "indexes": {"index": {"wheels": {"demo-1.0-py3-none-any.whl": 1}, "visits": {}}}}',
        b'{"format": 1, "indexes": {"index": {"wheels": {}, "visits": {"x": {"y": [1]}}}}}',
        b'{"format": 1, "indexes": {"index": {"wheels": {}, "visits": {"x": {"y": [1e999, 0, 0]}}}}}',
        b"[" * 100_000,
    ],
)
def test_a_receipt_that_cannot_be_understood_counts_for_nothing_and_is_replaced(here: Path, receipt: bytes) -> None:
    make_wheel(here / "dist" / "wheels")
    (here / "dist" / FILE).write_bytes(receipt)

    assert main(["--index=index"]) == 0

    assert (here / "index/packages/demo-1.0-py3-none-any.whl").is_file()
    assert list(Receipt.read(here / "dist", "index").wheels) == ["demo-1.0-py3-none-any.whl"]


def test_a_receipt_of_another_format_counts_for_nothing(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")
    assert main(["--index=index"]) == 0
    path = here / "dist" / FILE
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))

    assert Receipt.read(here / "dist", "index") == Receipt()


def test_each_index_has_its_receipt(here: Path) -> None:
    make_wheel(here / "dist" / "wheels")

    assert main(["--index=one"]) == 0
    assert main(["--index=two"]) == 0

    assert (here / "two/packages/demo-1.0-py3-none-any.whl").is_file()
    for index in ("one", "two"):
        assert list(Receipt.read(here / "dist", index).wheels) == ["demo-1.0-py3-none-any.whl"]


def test_what_was_refused_or_adopted_is_said_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_wheel(here / "dist" / "wheels")
    make_wheel(here / "index" / "packages", text="# theirs\n")

    assert main(["--index=index", "--quiet"]) == 0
    assert "with other bytes: those were kept and listed" in capsys.readouterr().err
    for _ in range(2):
        assert main(["--index=index", "--quiet"]) == 4
        assert "it is published with other bytes" in capsys.readouterr().err


def test_a_wheel_without_a_record_is_refused_under_require_records_whatever_the_receipt_says(here: Path) -> None:
    three_projects(here)
    assert main(["--index=index"]) == 0

    assert main(["--index=index", "--require-records"]) == 4


def test_a_dry_run_keeps_no_receipt_and_an_unwritable_dist_costs_a_warning(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(here / "dist" / "wheels")
    assert main(["--index=index", "--dry-run"]) == 0
    assert not (here / "dist" / FILE).exists()
    (here / "dist" / FILE).mkdir()
    capsys.readouterr()

    assert main(["--index=index", "--quiet"]) == 0

    assert "warning: no receipt is kept in dist: Is a directory; it only saves time" in capsys.readouterr().err


# ── A dry run ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    capsys.readouterr()
    assert main([*arguments, "--dry-run", "--json"]) == 0
    writes: list[str] = json.loads(capsys.readouterr().out)["writes"]
    return writes


def wheels_of_all_kinds(here: Path) -> list[str]:
    three_projects(here)
    return []


def one_more(here: Path) -> list[str]:
    three_projects(here)
    assert main([]) == 0
    make_wheel(here / "dist" / "wheels", "demo", "2.0")
    (here / "dist" / "visits" / "local-20260102T030405Z.json").write_text('{"other": 1}')
    return []


def a_yank(here: Path) -> list[str]:
    three_projects(here)
    assert main([]) == 0
    return ["--yank", "demo-1.0-py3-none-any.whl"]


def a_rebuild(here: Path) -> list[str]:
    three_projects(here)
    assert main([]) == 0
    return ["--rebuild"]


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("prepare", [wheels_of_all_kinds, one_more, a_yank, a_rebuild])
def test_a_dry_run_lists_just_the_writes_of_the_run_that_follows(
    here: Path,
    proxy: Proxy,
    capsys: pytest.CaptureFixture[str],
    prepare: Callable[[Path], list[str]],
) -> None:
    arguments = prepare(here)
    asked(proxy)

    listed = dry_run(capsys, *arguments)
    assert [one for one in asked(proxy) if not one.startswith(("GET", "HEAD"))] == []
    assert main(arguments) == 0

    puts = [one.removeprefix("PUT ") for one in asked(proxy) if one.startswith("PUT")]
    assert sorted(path for path in puts if path != PROBE_PATH) == listed
    assert dry_run(capsys, *arguments) == []


@pytest.mark.parametrize("path", ["records/demo-1.0-py3-none-any.whl.json", "wheels/demo-1.0-py3-none-any.whl"])
def test_a_file_that_leads_nowhere_costs_its_wheel_and_no_other(
    here: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    make_wheel(here / "dist" / "wheels")
    make_wheel(here / "dist" / "wheels", version="2.0")
    assert main(["--index=index"]) == 0
    file = here / "dist" / path
    file.parent.mkdir(exist_ok=True)
    file.unlink(missing_ok=True)
    file.symlink_to("nowhere")
    capsys.readouterr()

    assert main(["--index=index"]) == 1

    assert capsys.readouterr().err.splitlines() == [
        f"error: demo-1.0-py3-none-any.whl: dist/{path} cannot be read: No such file or directory",
        "index: 1 unchanged, 1 invalid",
    ]
