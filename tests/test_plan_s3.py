"""Planning against an index in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks import plan
from tasks.core.storage import Kind
from tasks.stores.s3 import S3Store
from tests.plans import FREEBSD, Here, folder_to_plan_in
from tests.stores.s3_faults import READING, SECRETS, Trouble

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.s3_proxy import Proxy


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return folder_to_plan_in(tmp_path, monkeypatch)


@pytest.fixture
def index(here: Here, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """An index in a bucket, with x 1.0 for FreeBSD, of which the matrix wants x and y."""
    for name, value in {**proxy.server.environment, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    here.serve("x", "x-1.0.tar.gz")
    here.serve("y", "y-1.0.tar.gz")
    here.publish("x", f"x-1.0-cp312-cp312-{FREEBSD}.whl")
    here.ask("  X: [latest]\n  Y: [latest]\n")
    location = f"s3://{proxy.server.new_bucket()}/team"
    store = S3Store(location)
    local = here.folder / "dist" / "index"
    for path in (path for path in local.rglob("*") if path.is_file()):
        store.put(path.relative_to(local).as_posix(), path.read_bytes(), kind=Kind.STATE)
    proxy.reset()
    return location


def test_what_the_bucket_has_is_not_planned(here: Here, index: str, proxy: Proxy) -> None:
    assert plan.main([f"--index={index}"]) == 0

    assert here.planned() == [f"y-1.0-cp312-cp312-{FREEBSD}.whl"]
    path = index.removeprefix("s3:/")
    assert proxy.asked == [f"GET {path}/simple/index.json", f"GET {path}/simple/x/index.json"]


def test_planning_again_is_one_request(here: Here, index: str, proxy: Proxy) -> None:
    assert plan.main([f"--index={index}"]) == 0
    proxy.reset()

    assert plan.main([f"--index={index}"]) == 0

    assert here.planned() == [f"y-1.0-cp312-cp312-{FREEBSD}.whl"]
    assert proxy.asked == [f"GET {index.removeprefix('s3:/')}/simple/index.json"]


def test_a_bucket_of_wheels_alone_is_listed(here: Here, index: str) -> None:
    bare = S3Store(f"{index}/bare")
    bare.put(f"packages/y-1.0-cp312-cp312-{FREEBSD}.whl", b"", kind=Kind.WHEEL)

    assert plan.main([f"--index={bare.location}"]) == 0

    assert here.planned() == [f"x-1.0-cp312-cp312-{FREEBSD}.whl"]


@pytest.mark.parametrize("trouble", READING.values(), ids=READING)
def test_no_trouble_with_a_bucket_is_taken_for_emptiness(
    here: Here,
    index: str,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trouble: Trouble,
) -> None:
    trouble.befall(proxy, monkeypatch)

    assert plan.main([f"--index={index}", "--json"]) == 3

    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "planning wheel_matrix.yml",
        f"error: cannot read {index}/simple/index.json: {trouble.words(proxy)}",
    ]
    assert [secret for secret in SECRETS if secret in said.err] == []
    assert said.out == ""
    assert not here.plan.exists()


def test_a_page_that_cannot_be_read_is_not_taken_for_a_project_without_wheels(
    here: Here, index: str, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = READING["access denied"].fault
    assert fault is not None
    proxy.lay("GET", ".*/simple/x/", fault)

    assert plan.main([f"--index={index}"]) == 3

    assert f"error: cannot read {index}/simple/x/index.json: 403 AccessDenied" in capsys.readouterr().err
    assert not here.plan.exists()


@pytest.mark.usefixtures("index")
def test_a_bucket_that_is_not_there_is_an_error(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--index=s3://no-such-bucket"]) == 3

    said = f"error: cannot read s3://no-such-bucket/simple/index.json: {READING['no bucket'].said}"
    assert said in capsys.readouterr().err.splitlines()
    assert not here.plan.exists()
