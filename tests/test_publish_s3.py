"""Publishing to a bucket: what is written there, what it takes to write there, and what any trouble leaves undone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tasks.publish import main
from tasks.stores.probe import PROBE_PATH, memory
from tasks.stores.s3 import S3Store
from tests.publishes import folder_to_publish_in
from tests.stores.s3_faults import READING, SECRETS, Trouble
from tests.stores.s3_proxy import Fault, Proxy
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.s3_servers import Server


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


@pytest.fixture
def bucket(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of its own, reached through the proxy, by one attempt each."""
    return reach(proxy.server, monkeypatch)


def reach(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**server.environment, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    return server.new_bucket()


def objects(server: Server, bucket: str) -> dict[str, str]:
    """Return the ETag of each object."""
    listed = server.client.list_objects_v2(Bucket=bucket)
    return {found["Key"]: found["ETag"] for found in listed.get("Contents", [])}


def test_an_index_in_a_bucket_is_the_same_as_in_a_directory(
    here: Path, moto: Server, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(here / "dist" / "wheels")
    assert main(["--index=index"]) == 0
    capsys.readouterr()

    assert main([f"--index=s3://{bucket}/team"]) == 0

    assert capsys.readouterr().err.splitlines()[-1] == f"s3://{bucket}/team: 1 published"
    store = S3Store(f"s3://{bucket}/team")
    for path in (path for path in (here / "index").rglob("*") if path.is_file()):
        name = path.relative_to(here / "index").as_posix()
        stored = store.get(name)
        assert stored is not None
        if name == "simple/index.json":
            listing = json.loads(stored.data)
            assert listing["meta"].pop(next(iter(memory(store)))) is True
            assert listing == json.loads(path.read_bytes())
        else:
            assert stored.data == path.read_bytes()
    served = moto.client.head_object(Bucket=bucket, Key="team/simple/demo/index.html")
    assert served["ContentType"] == "text/html; charset=utf-8"


def test_publishing_again_writes_nothing(here: Path, proxy: Proxy, bucket: str) -> None:
    make_wheel(here / "dist" / "wheels")
    assert main([f"--index=s3://{bucket}"]) == 0
    proxy.reset()

    assert main([f"--index=s3://{bucket}"]) == 0

    assert [request for request in proxy.asked if request.startswith("PUT")] == []


def test_a_bucket_is_probed_once(here: Path, proxy: Proxy, bucket: str) -> None:
    make_wheel(here / "dist" / "wheels")
    assert main([f"--index=s3://{bucket}"]) == 0
    probed = objects(proxy.upstream, bucket)[PROBE_PATH]

    make_wheel(here / "dist" / "wheels", "other")
    assert main([f"--index=s3://{bucket}"]) == 0

    assert objects(proxy.upstream, bucket)[PROBE_PATH] == probed
    assert "packages/other-1.0-py3-none-any.whl" in objects(proxy.upstream, bucket)


def test_nothing_to_publish_is_two_requests(here: Path, proxy: Proxy, bucket: str) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    assert main([f"--index=s3://{bucket}"]) == 0
    wheel.unlink()
    proxy.reset()

    assert main([f"--index=s3://{bucket}"]) == 0

    assert sorted(proxy.asked) == [f"GET /{bucket}/index.html", f"GET /{bucket}/simple/index.json"]


@pytest.mark.parametrize("size", [1_000, 9_000_000])  # the last is more than the store holds in memory
def test_one_more_wheel_is_ten_requests_for_installers_whatever_its_size(
    here: Path, proxy: Proxy, bucket: str, size: int
) -> None:
    make_wheel(here / "dist" / "wheels")
    assert main([f"--index=s3://{bucket}"]) == 0
    wheel = make_wheel(here / "dist" / "wheels", version="2.0", more={"pad.bin": bytes(size)})
    proxy.reset()

    assert main([f"--index=s3://{bucket}"]) == 0

    page, listed = f"/{bucket}/simple/demo/index", f"/{bucket}/simple/index"
    people = [f"GET /{bucket}/index.html", f"PUT /{bucket}/index.html"]
    people += [f"PUT /{bucket}/pypi/demo/2.0/json", f"PUT /{bucket}/pypi/demo/json"]
    assert sorted(proxy.asked) == sorted(
        [
            *people,
            f"GET {listed}.json",
            f"GET {page}.json",
            f"PUT /{bucket}/packages/{wheel.name}",
            f"PUT /{bucket}/packages/{wheel.name}.metadata",
            f"PUT {page}.json",
            f"PUT {page}.html",
            f"PUT /{bucket}/json/demo/index.html",
            f"PUT {listed}.json",
            f"PUT {listed}.html",
            f"PUT /{bucket}/json/index.html",
        ]
    )


def test_a_dry_run_writes_nothing_not_even_to_try(here: Path, proxy: Proxy, bucket: str) -> None:
    make_wheel(here / "dist" / "wheels")

    assert main([f"--index=s3://{bucket}", "--dry-run"]) == 0

    assert objects(proxy.upstream, bucket) == {}


def test_a_bucket_that_ignores_conditions_is_refused(
    here: Path, rclone: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(here / "dist" / "wheels")
    bucket = reach(rclone, monkeypatch)

    assert main([f"--index=s3://{bucket}/team"]) == 4

    assert capsys.readouterr().err == (
        f"error: s3://{bucket}/team does not honour conditional writes: it ignores If-None-Match; publishers side by side "
        "would lose each other's wheels there: choose a store that does (docs/publishing-to-s3.md), or say "
        "--one-publisher if nobody else ever publishes to it meanwhile\n"
    )
    assert list(objects(rclone, bucket)) == [f"team/{PROBE_PATH}"]


def test_one_publisher_may_publish_there_and_is_warned(
    here: Path, rclone: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_wheel(here / "dist" / "wheels")
    index = f"s3://{reach(rclone, monkeypatch)}/team"

    assert main([f"--index={index}", "--one-publisher"]) == 0

    assert capsys.readouterr().err.splitlines()[0] == (
        f"warning: {index} does not honour conditional writes: it ignores If-None-Match; nobody else may publish to it "
        "meanwhile"
    )
    make_wheel(here / "dist" / "wheels", version="2.0")
    assert main([f"--index={index}", "--one-publisher"]) == 0
    page = S3Store(index).get("simple/demo/index.json")
    assert page is not None
    assert json.loads(page.data)["versions"] == ["1.0", "2.0"]


def test_what_one_publisher_wrote_is_no_proof_to_the_next_one(
    here: Path, rclone: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(here / "dist" / "wheels")
    index = f"s3://{reach(rclone, monkeypatch)}/team"
    assert main([f"--index={index}", "--one-publisher"]) == 0
    make_wheel(here / "dist" / "wheels", version="2.0")

    assert main([f"--index={index}"]) == 4


@pytest.mark.parametrize("trouble", READING.values(), ids=READING)
def test_a_trouble_with_reading_ends_publishing_before_anything_is_written(
    here: Path,
    proxy: Proxy,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trouble: Trouble,
) -> None:
    make_wheel(here / "dist" / "wheels")
    trouble.befall(proxy, monkeypatch)

    assert main([f"--index=s3://{bucket}/team"]) == 3

    said = capsys.readouterr().err
    expected = re.escape(trouble.words(proxy))
    assert re.fullmatch(rf"error: cannot read s3://{bucket}/team/(simple/index\.json|index\.html): {expected}\n", said)
    assert [secret for secret in SECRETS if secret in said] == []
    assert objects(proxy.upstream, bucket) == {}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=403, code="AccessDenied"),
        Fault(status=400, code="BadDigest"),
        Fault(status=503, code="SlowDown"),
        Fault(reset=True),
    ],
    ids=["access denied", "bad digest", "slow down", "reset"],
)
def test_a_trouble_with_writing_a_wheel_leaves_no_page_that_lists_it(
    here: Path, proxy: Proxy, bucket: str, capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    make_wheel(here / "dist" / "wheels")
    proxy.lay("PUT", ".*whl", fault)

    assert main([f"--index=s3://{bucket}"]) == 3

    assert capsys.readouterr().err.startswith(f"error: cannot write s3://{bucket}/packages/demo-1.0-py3-none-any.whl")
    assert list(objects(proxy.upstream, bucket)) == [PROBE_PATH]
    proxy.reset()
    assert main([f"--index=s3://{bucket}"]) == 0
    assert "simple/demo/index.json" in objects(proxy.upstream, bucket)


@pytest.mark.parametrize("location", ["s3://", "s3://bucket/../x", "s3://bucket/x?y"])
def test_a_location_that_names_no_index_is_bad_input(location: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--index={location}"]) == 2

    assert capsys.readouterr().err.startswith(f"error: the index is {location!r}, ")
