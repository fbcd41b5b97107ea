"""What only a bucket does: lost answers, conflicts, cut bodies, listings in pages, locations."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import BadInput, ServiceFailed, Unreadable
from tasks.core.storage import IF_ABSENT, Changed, IfMatch, Kind, Stored, Written
from tasks.stores.places import open_store
from tasks.stores.s3 import S3Store
from tasks.stores.s3_client import Patience
from tasks.stores.s3_errors import Answer, explained
from tests.stores.s3_proxy import Fault, Proxy, proxied
from tests.stores.s3_servers import KEY_ID, SECRET, empty
from tests.stores.s3_servers import moto as moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stores.s3_servers import Server

QUICK = Patience(attempts=2, pauses=(0.01,) * 4)  # botocore's own pause before a second attempt is 1 s at most


@pytest.fixture(scope="module")
def shared(moto: Server) -> Iterator[tuple[Proxy, S3Store]]:
    with proxied(moto) as proxy, pytest.MonkeyPatch.context() as monkeypatch:
        yield proxy, proxy.server.store(monkeypatch, patience=QUICK)


@pytest.fixture
def proxy(shared: tuple[Proxy, S3Store]) -> Proxy:
    proxy, store = shared
    proxy.reset()
    empty(proxy.server, store)
    proxy.reset()
    return proxy


@pytest.fixture
def store(shared: tuple[Proxy, S3Store]) -> S3Store:
    return shared[1]


def put(store: S3Store, path: str, data: bytes) -> str:
    answer = store.put(path, data, kind=Kind.STATE)
    assert isinstance(answer, Written)
    return answer.token


def asked(proxy: Proxy, store: S3Store) -> list[str]:
    """Return the requests that came, without what they have in common."""
    return [request.replace(f"/{store.bucket}/{store.prefix}", "") for request in proxy.asked]


# ── Locations ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("location", "bucket", "prefix", "shown"),
    [
        ("s3://wheels", "wheels", "", "s3://wheels"),
        ("s3://wheels/", "wheels", "", "s3://wheels"),
        ("S3://wheels/team/index/", "wheels", "team/index/", "s3://wheels/team/index"),
        ("s3://wheels.example.org/a b", "wheels.example.org", "a b/", "s3://wheels.example.org/a b"),
    ],
)
def test_a_location_names_a_bucket_and_a_prefix(
    moto: Server, monkeypatch: pytest.MonkeyPatch, location: str, bucket: str, prefix: str, shown: str
) -> None:
    store = moto.store(monkeypatch, location)

    assert (store.bucket, store.prefix, store.location) == (bucket, prefix, shown)


EXPECTED = "expected s3://bucket or s3://bucket/prefix"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("s3://", f"the index is 's3://', {EXPECTED}"),
        ("s3:///prefix", f"the index is 's3:///prefix', {EXPECTED}"),
        ("s3://bucket?versionId=1", f"the index is 's3://bucket?versionId=1', {EXPECTED}"),
        ("s3://-bucket", f"the index is 's3://-bucket', {EXPECTED}"),
        ("s3://bucket/a?b", f"the index is 's3://bucket/a?b', and 'a?b' is no part of a prefix, {EXPECTED}"),
        ("s3://bucket/a#b", f"the index is 's3://bucket/a#b', and 'a#b' is no part of a prefix, {EXPECTED}"),
        ("s3://bucket/../x", f"the index is 's3://bucket/../x', and '..' is no part of a prefix, {EXPECTED}"),
        ("s3://bucket/a//b", f"the index is 's3://bucket/a//b', and '' is no part of a prefix, {EXPECTED}"),
        ("s3://bucket//", f"the index is 's3://bucket//', and '' is no part of a prefix, {EXPECTED}"),
        (
            f"s3://{KEY_ID}:{SECRET}@bucket/x",
            f"the index s3://…@… has credentials in it, {EXPECTED}: give them by boto3's variables",
        ),
        (
            f"s3://{KEY_ID}:with/slash+{SECRET}@bucket/x",
            f"the index s3://…@… has credentials in it, {EXPECTED}: give them by boto3's variables",
        ),
    ],
)
def test_a_location_that_names_no_bucket_or_an_odd_prefix_is_bad_input(location: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        open_store(location)

    assert error.value.messages == (message,)


def test_a_profile_that_is_not_there_is_bad_input(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody's")

    with pytest.raises(BadInput) as error:
        moto.store(monkeypatch, "s3://wheels")

    assert error.value.messages == (
        "the index s3://wheels cannot be opened with boto3's settings: The config profile (nobody's) could not be found",
    )


def test_the_region_is_the_one_of_the_variable_that_messages_name(
    moto: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    here = S3Store("s3://wheels").proof_key
    (message,) = explained(Answer(status=301, code="PermanentRedirect"), "read", "s3://wheels/x").messages
    (name,) = re.findall(r"AWS_\w*REGION", message)

    monkeypatch.setenv(name, "eu-central-1")

    assert S3Store("s3://wheels").proof_key != here


def test_credentials_that_cannot_be_read_are_bad_input(
    moto: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "config"
    settings.write_text("[default]\ncredential_process = /nowhere/login\n")
    for name, value in {**moto.environment, "AWS_CONFIG_FILE": str(settings)}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    with pytest.raises(BadInput) as error:
        S3Store("s3://wheels")

    assert error.value.messages == (
        "the index s3://wheels cannot be opened with boto3's settings: [Errno 2] No such file or directory: '/nowhere/login'",
    )


def test_an_endpoint_that_is_no_url_is_bad_input_and_its_user_info_is_not_shown(
    moto: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://user:{SECRET}@")

    with pytest.raises(BadInput) as error:
        S3Store("s3://wheels")

    assert error.value.messages == (
        "the index s3://wheels cannot be opened with boto3's settings: Invalid endpoint: http://",
    )


def test_two_prefixes_of_a_bucket_know_nothing_of_each_other(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = moto.new_bucket()
    first, second = (moto.store(monkeypatch, f"s3://{bucket}/{prefix}") for prefix in ("a", "ab"))
    put(first, "x", b"1")
    put(second, "y", b"2")

    assert (list(first.list("")), list(second.list(""))) == (["x"], ["y"])
    assert first.get("y") is None


# ── What is sent, and what is known of it ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "content_type", "cache_control"),
    [
        (Kind.WHEEL, "application/zip", "public, max-age=31536000, immutable"),
        (Kind.STATE, "application/vnd.pypi.simple.v1+json", "public, max-age=60"),
        (Kind.PAGE, "text/html; charset=utf-8", "public, max-age=60"),
    ],
)
def test_an_object_has_its_kinds_content_type_and_cache_lifetime(
    store: S3Store, proxy: Proxy, kind: Kind, content_type: str, cache_control: str
) -> None:
    store.put("x", b"1", kind=kind)

    head = proxy.server.client.head_object(Bucket=store.bucket, Key=f"{store.prefix}x")
    assert (head["ContentType"], head["CacheControl"]) == (content_type, cache_control)


def test_the_sha256_goes_with_the_put_and_comes_with_the_head(store: S3Store, proxy: Proxy) -> None:
    put(store, "x", b"1")

    head = store.head("x")
    assert head is not None
    assert head.sha256 == hashlib.sha256(b"1").hexdigest()
    assert asked(proxy, store) == ["PUT x", "HEAD x"]


def test_an_object_of_another_tool_has_no_sha256(store: S3Store, proxy: Proxy) -> None:
    proxy.server.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}x", Body=b"1")

    head = store.head("x")
    assert head is not None
    assert head.sha256 is None


def test_a_checksum_of_parts_is_not_the_objects_sha256(store: S3Store, proxy: Proxy) -> None:
    put(store, "x", b"1")
    proxy.lay("HEAD", ".*/x", Fault(headers={"x-amz-checksum-type": "COMPOSITE"}))

    head = store.head("x")
    assert head is not None
    assert head.sha256 is None


def test_a_server_that_compares_refuses_bytes_that_changed_on_the_way(
    localstack: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = localstack.store(monkeypatch)
    with proxied(localstack) as proxy:
        damaging = proxy.server.store(monkeypatch, store.location, patience=QUICK)
        proxy.lay("PUT", ".*", Fault(damaged_request=True))

        with pytest.raises(ServiceFailed) as error:
            damaging.put("x", b"content", kind=Kind.WHEEL)

    assert error.value.messages[0].startswith(f"cannot write {store.location}/x: 400 BadDigest: the server received")
    assert store.get("x") is None


def test_a_file_that_changes_while_it_is_sent_is_refused_by_a_server_that_compares(
    localstack: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(9_000_000))

    def change() -> None:
        with large.open("r+b") as file:
            file.write(b"other")

    with proxied(localstack) as proxy:
        store = proxy.server.store(monkeypatch, patience=QUICK)
        proxy.lay("PUT", ".*/x", Fault(status=503, code="SlowDown", late=change), times=1)

        with pytest.raises(ServiceFailed, match=r"/x: 400 BadDigest"):
            store.put("x", large, kind=Kind.WHEEL, condition=IF_ABSENT)

        assert store.head("x") is None


def test_a_file_that_is_not_there_any_more_is_named(store: S3Store, tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed) as error:
        store.put("packages/demo.whl", tmp_path / "demo.whl", kind=Kind.WHEEL, condition=IF_ABSENT)

    (message,) = error.value.messages
    assert message == (
        f"cannot write {store.location}/packages/demo.whl: {tmp_path}/demo.whl cannot be read: No such file or directory; "
        "this is not taken for an empty index"
    )


def test_tokens_are_known_beforehand_once_the_bucket_was_seen_to_make_them_of_the_bytes(
    store: S3Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = put(store, "x", b"1")
    fresh = proxy.server.store(monkeypatch, store.location)
    assert fresh.token_of(b"1") is None

    fresh.get("x")

    assert fresh.token_of(b"1") == token


def test_tokens_that_are_no_digests_are_not_known_beforehand(store: S3Store, proxy: Proxy) -> None:
    proxy.lay("PUT", ".*", Fault(headers={"ETag": '"8a6cbe"'}), times=1)

    assert put(store, "x", b"1") == '"8a6cbe"'
    assert store.token_of(b"1") is None
    put(store, "x", b"2")
    assert store.token_of(b"1") == f'"{hashlib.md5(b"1").hexdigest()}"'  # noqa: S324


def test_one_get_is_one_request_and_so_is_one_put(store: S3Store, proxy: Proxy) -> None:
    store.put("x", b"1", kind=Kind.STATE, condition=IF_ABSENT)
    store.get("x")
    store.get("y")

    assert asked(proxy, store) == ["PUT x", "GET x", "GET y"]


def test_a_small_object_is_opened_and_read_by_one_request(store: S3Store, proxy: Proxy) -> None:
    put(store, "x", b"content")
    proxy.reset()

    with store.open("x") as file:
        assert file is not None
        assert file.read() == b"content"

    assert asked(proxy, store) == ["GET x"]


def test_a_server_that_answers_a_long_range_oddly_is_asked_by_the_size(store: S3Store, proxy: Proxy) -> None:
    put(store, "x", b"content")
    proxy.reset()
    odd = {"Content-Range": "bytes 0-6/7", "ETag": '"0"'}
    proxy.lay("GET", ".*/x", Fault(status=206, body=b"", headers=odd), times=1)

    with store.open("x") as file:
        assert file is not None
        assert file.read() == b"content"

    assert asked(proxy, store) == ["GET x", "HEAD x", "GET x"]


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(store: S3Store) -> None:
    put(store, "x", bytes(200_000))

    with store.open("x") as file:
        assert file is not None
        put(store, "x", bytes(200_001))
        with pytest.raises(ServiceFailed) as error:
            file.read(1)

    assert error.value.messages == (
        f"cannot read {store.location}/x: it was replaced while it was read: run the same command again",
    )


# ── Listings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_listing_goes_on_over_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"packages/{i:02}+é" for i in range(20)]
    with moto_server(page=7) as server, proxied(server) as proxy:
        store = proxy.server.store(monkeypatch)
        for name in names:
            put(store, name, b"")
        proxy.reset()

        assert list(store.list("packages/")) == names
        assert len(proxy.asked) == 3


def test_what_is_no_path_in_an_index_is_not_listed(store: S3Store, proxy: Proxy) -> None:
    for name in ("packages/", "packages/x", "packages/.hidden", ".well-known/x", "a//b", "z"):
        proxy.server.client.put_object(Bucket=store.bucket, Key=store.prefix + name, Body=b"")

    assert list(store.list("")) == ["packages/x", "z"]


LISTING = (
    '<?xml version="1.0"?><ListBucketResult><IsTruncated>{more}</IsTruncated>'
    "{keys}<EncodingType>url</EncodingType></ListBucketResult>"
)


@pytest.mark.parametrize(
    ("keys", "more", "said"),
    [
        (["b", "a"], "false", "'a' comes after 'b', not sorted"),
        (["a"], "true", "the listing breaks off after 'a'"),
    ],
)
def test_a_listing_that_may_lack_something_is_an_error(
    store: S3Store, proxy: Proxy, keys: list[str], more: str, said: str
) -> None:
    contents = "".join(f"<Contents><Key>{store.prefix}{key}</Key></Contents>" for key in keys)
    proxy.lay("GET", ".*list-type=2", Fault(status=200, body=LISTING.format(more=more, keys=contents).encode()))

    with pytest.raises(ServiceFailed) as error:
        list(store.list(""))

    assert error.value.messages == (f"cannot list {store.location}/: {said}",)


# ── Answers that were lost, conflicts, bodies cut short ───────────────────────────────────────────────────────────────


def test_a_put_whose_answer_was_lost_has_written(store: S3Store, proxy: Proxy) -> None:
    proxy.lay("PUT", ".*/x", Fault(lost=True), times=1)

    answer = store.put("x", b"1", kind=Kind.WHEEL, condition=IF_ABSENT)

    assert answer == Written(f'"{hashlib.md5(b"1").hexdigest()}"')  # noqa: S324
    assert asked(proxy, store) == ["PUT x", "PUT x", "HEAD x"]


def test_a_put_over_what_it_names_whose_answer_was_lost_has_written(store: S3Store, proxy: Proxy) -> None:
    token = put(store, "x", b"1")
    proxy.lay("PUT", ".*/x", Fault(lost=True), times=1)

    assert isinstance(store.put("x", b"2", kind=Kind.STATE, condition=IfMatch(token)), Written)
    assert store.get("x") == Stored(data=b"2", token=f'"{hashlib.md5(b"2").hexdigest()}"')  # noqa: S324


def test_a_large_put_whose_answer_was_lost_is_read_back_where_no_checksum_is_kept(
    store: S3Store, proxy: Proxy, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(9_000_000))
    proxy.lay("PUT", ".*/x", Fault(lost=True), times=1)
    proxy.lay("HEAD", ".*/x", Fault(headers={"x-amz-checksum-sha256": ""}))

    assert isinstance(store.put("x", large, kind=Kind.WHEEL, condition=IF_ABSENT), Written)
    assert asked(proxy, store) == ["PUT x", "PUT x", "HEAD x", "GET x"]


@pytest.mark.parametrize(
    ("there", "answer", "then"),
    [
        (b"", Changed(), ["HEAD x", "HEAD x"]),
        (bytes(9_000_000), Written('"1dfe5e6e4defff78eb0b5217313a6940"'), ["HEAD x", "HEAD x"]),
    ],
    ids=["another's", "the same"],
)
def test_a_server_that_hangs_up_on_a_large_file_is_asked_whether_it_has_one(
    store: S3Store, proxy: Proxy, tmp_path: Path, there: bytes, answer: Written | Changed, then: list[str]
) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(9_000_000))
    put(store, "x", there)
    proxy.reset()
    proxy.lay("PUT", ".*/x", Fault(reset=True))

    assert store.put("x", large, kind=Kind.WHEEL, condition=IF_ABSENT) == answer
    assert [one for one in asked(proxy, store) if one != "PUT x"] == then


def test_a_server_that_hangs_up_on_a_large_file_and_has_none_has_failed(
    store: S3Store, proxy: Proxy, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(9_000_000))
    proxy.lay("PUT", ".*/x", Fault(reset=True))

    with pytest.raises(ServiceFailed, match=r"/x: .* closed the connection without an answer"):
        store.put("x", large, kind=Kind.WHEEL, condition=IF_ABSENT)


def test_a_put_that_was_repeated_and_met_anothers_work_has_not_written(store: S3Store, proxy: Proxy) -> None:
    put(store, "x", b"another's")
    proxy.lay("PUT", ".*/x", Fault(reset=True), times=1)

    assert store.put("x", b"1", kind=Kind.WHEEL, condition=IF_ABSENT) == Changed()
    assert asked(proxy, store)[-2:] == ["PUT x", "HEAD x"]


def test_a_put_that_was_repeated_and_met_a_work_without_checksum_has_not_written(store: S3Store, proxy: Proxy) -> None:
    proxy.server.client.put_object(Bucket=store.bucket, Key=f"{store.prefix}x", Body=b"another tool's")
    proxy.reset()
    proxy.lay("PUT", ".*/x", Fault(reset=True), times=1)

    assert store.put("x", b"1", kind=Kind.WHEEL, condition=IF_ABSENT) == Changed()
    assert asked(proxy, store) == ["PUT x", "PUT x", "HEAD x", "GET x"]


def test_a_put_that_was_not_repeated_does_not_look(store: S3Store, proxy: Proxy) -> None:
    put(store, "x", b"1")
    proxy.reset()

    assert store.put("x", b"1", kind=Kind.WHEEL, condition=IF_ABSENT) == Changed()
    assert asked(proxy, store) == ["PUT x"]


def test_a_conflict_is_asked_again(store: S3Store, proxy: Proxy, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(9_000_000))
    proxy.lay("PUT", ".*", Fault(status=409, code="ConditionalRequestConflict"), times=1)

    assert isinstance(store.put("x", large, kind=Kind.WHEEL, condition=IF_ABSENT), Written)
    stored = store.get("x")
    assert stored is not None
    assert stored.data == large.read_bytes()


@pytest.mark.parametrize("fault", [Fault(cut=True), Fault(damaged=True)], ids=["cut short", "damaged"])
def test_a_body_that_does_not_come_whole_is_read_again(store: S3Store, proxy: Proxy, fault: Fault) -> None:
    put(store, "x", b"content")
    proxy.reset()
    proxy.lay("GET", ".*/x", fault, times=1)

    stored = store.get("x")
    assert stored is not None
    assert stored.data == b"content"
    assert asked(proxy, store) == ["GET x", "GET x"]


def test_a_range_that_does_not_come_whole_is_read_again(store: S3Store, proxy: Proxy) -> None:
    put(store, "x", bytes(range(250)) * 400)
    proxy.lay("GET", ".*/x", Fault(cut=True), times=1)

    with store.open("x") as file:
        assert file is not None
        proxy.lay("GET", ".*/x", Fault(cut=True), times=1)
        assert file.read() == bytes(range(250)) * 400


def test_a_request_that_failed_in_passing_is_sent_again(store: S3Store, proxy: Proxy) -> None:
    put(store, "x", b"1")
    proxy.reset()
    proxy.lay("GET", ".*/x", Fault(status=503, code="SlowDown"), times=1)

    assert store.get("x") is not None
    assert asked(proxy, store) == ["GET x", "GET x"]


def test_the_user_says_how_often_a_request_is_tried(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = proxy.server.store(monkeypatch)
    proxy.reset()
    proxy.lay("GET", ".*", Fault(cut=True, status=200, body=b"content"))

    with pytest.raises(ServiceFailed):
        store.get("x")

    assert asked(proxy, store) == ["GET x"]


def test_a_head_without_a_bucket_is_an_error_and_not_absence(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store = moto.store(monkeypatch, "s3://no-such-bucket/index")

    with pytest.raises(ServiceFailed) as error:
        store.head("x")

    assert error.value.messages == (
        "cannot read s3://no-such-bucket/index/x: 404: there is no such bucket: make it, or name another by --index",
    )


def test_access_denied_to_one_object_is_that_objects_trouble(store: S3Store, proxy: Proxy) -> None:
    proxy.lay("GET", ".*/x", Fault(status=403, code="AccessDenied"))

    with pytest.raises(Unreadable), store.open("x"):
        pass
