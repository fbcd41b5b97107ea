"""Each trouble with a bucket is one message that says what to do; none is taken for emptiness, none shows a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import ServiceFailed
from tasks.core.storage import IF_ABSENT, Kind
from tasks.stores.s3 import S3Store
from tasks.stores.s3_client import Patience
from tasks.stores.s3_errors import Unconditional
from tests.stores.s3_faults import NOT_EMPTY, READING, SECRETS, Trouble
from tests.stores.s3_proxy import Fault, Proxy, proxied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stores.s3_servers import Server

ONCE = Patience(attempts=1, read=0.3)


@pytest.fixture(scope="module")
def proxy(moto: Server) -> Iterator[Proxy]:
    with proxied(moto) as made:
        yield made


@pytest.fixture(scope="module")
def shared(proxy: Proxy) -> Iterator[S3Store]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield proxy.server.store(monkeypatch, patience=ONCE)


@pytest.fixture
def store(shared: S3Store, proxy: Proxy) -> S3Store:
    proxy.reset()
    return shared


def failure(operation: Callable[[], object]) -> ServiceFailed:
    """Return what an operation raises: it never returns, and what it says shows no secret."""
    with pytest.raises(ServiceFailed) as error:
        operation()
    (message,) = error.value.messages
    assert [secret for secret in SECRETS if secret in message] == []
    return error.value


def opened(store: S3Store, path: str) -> None:
    with store.open(path):
        pass


@pytest.mark.parametrize("trouble", READING.values(), ids=READING)
def test_a_read_says_what_was_found_and_what_to_do(
    store: S3Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    trouble.befall(proxy, monkeypatch)
    if trouble.environment:
        store = S3Store(store.location, patience=ONCE)
    said = trouble.words(proxy)

    assert failure(lambda: store.get("x")).messages == (f"cannot read {store.location}/x: {said}",)
    if trouble.of_ranges:
        assert failure(lambda: opened(store, "x")).messages == (f"cannot read {store.location}/x: {said}",)


HEADS = {
    "access denied": (403, READING["access denied"].said.removeprefix("403 AccessDenied: ")),
    "expired token": (400, f"Bad Request; {NOT_EMPTY}"),
    "another region": (
        301,
        f"PROXY redirects without end: set AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL_S3; {NOT_EMPTY}",
    ),
    "slow down": (503, READING["slow down"].said.removeprefix("503 SlowDown: ")),
}


@pytest.mark.parametrize(("status", "said"), HEADS.values(), ids=HEADS)
def test_a_head_has_the_status_alone_to_tell(store: S3Store, proxy: Proxy, status: int, said: str) -> None:
    proxy.lay("HEAD", ".*", Fault(status=status, code="Unseen"))

    said = said.replace("PROXY", proxy.server.url) if status == 301 else f"{status}: {said}"
    assert failure(lambda: store.head("x")).messages == (f"cannot read {store.location}/x: {said}",)


BROKEN = "500: the server failed: run the same command again"  # so says botocore of a document that ends too early


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault(status=403, code="AccessDenied"),
            f"403 AccessDenied: access is denied; {NOT_EMPTY}: grant s3:ListBucket",
        ),
        (Fault(status=404, code="NoSuchBucket"), READING["no bucket"].said),
        (Fault(status=503, code="SlowDown"), READING["slow down"].said),
        (Fault(status=200, body=b"<html>"), BROKEN),
        (Fault(status=200, body=b"<x><IsTruncated>false</IsTruncated></x>", cut=True), BROKEN),
    ],
    ids=["access denied", "no bucket", "slow down", "no XML", "cut short"],
)
def test_a_listing_says_what_was_found_and_what_to_do(store: S3Store, proxy: Proxy, fault: Fault, said: str) -> None:
    proxy.lay("GET", ".*list-type", fault)

    assert failure(lambda: list(store.list("packages/"))).messages == (
        f"cannot list {store.location}/packages/: {said}",
    )


WRITING = {
    "access denied": (
        Fault(status=403, code="AccessDenied"),
        f"403 AccessDenied: access is denied; {NOT_EMPTY}: grant s3:PutObject",
    ),
    "damaged on the way": (
        Fault(status=400, code="BadDigest"),
        "400 BadDigest: the server received other bytes than were sent, and wrote nothing: run the same command again",
    ),
    "too large": (
        Fault(status=400, code="EntityTooLarge"),
        "400 EntityTooLarge: the server takes no object of this size in one put",
    ),
    "conflict without end": (
        Fault(status=409, code="ConditionalRequestConflict"),
        "409 ConditionalRequestConflict: others are writing it at this moment: run the same command again",
    ),
    "no bucket": (Fault(status=404, code="NoSuchBucket"), READING["no bucket"].said),
    "slow down": (Fault(status=503, code="SlowDown"), READING["slow down"].said),
    "reset": (Fault(reset=True), f"ENDPOINT closed the connection without an answer; {NOT_EMPTY}"),
    "no answer": (Fault(delay=1), f"ENDPOINT does not answer within 0.3 s; {NOT_EMPTY}"),
}


@pytest.mark.parametrize(("fault", "said"), WRITING.values(), ids=WRITING)
def test_a_write_says_what_was_found_and_what_to_do(store: S3Store, proxy: Proxy, fault: Fault, said: str) -> None:
    proxy.lay("PUT", ".*", fault)

    error = failure(lambda: store.put("x", b"1", kind=Kind.STATE, condition=IF_ABSENT))

    assert error.messages == (f"cannot write {store.location}/x: {said.replace('ENDPOINT ', f'{proxy.server.url} ')}",)


def test_conditions_that_are_not_implemented_are_an_error_of_their_own(store: S3Store, proxy: Proxy) -> None:
    proxy.lay("PUT", ".*", Fault(status=501, code="NotImplemented"))

    error = failure(lambda: store.put("x", b"1", kind=Kind.STATE, condition=IF_ABSENT))

    assert isinstance(error, Unconditional)
    said = "501 NotImplemented: the server knows no conditional writes: see docs/publishing-to-s3.md"
    assert error.messages == (f"cannot write {store.location}/x: {said}",)


def test_a_server_that_does_not_answer_is_an_error(store: S3Store, proxy: Proxy) -> None:
    proxy.lay("GET", ".*", Fault(delay=1))

    error = failure(lambda: store.get("x"))

    assert error.messages == (
        f"cannot read {store.location}/x: {proxy.server.url} does not answer within 0.3 s; {NOT_EMPTY}",
    )


def test_a_server_without_tls_is_an_error(store: S3Store, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    url = proxy.server.url.replace("http:", "https:")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    secure = S3Store(store.location, patience=ONCE)

    (message,) = failure(lambda: secure.get("x")).messages
    assert message.startswith(f"cannot read {store.location}/x: the TLS connection to {url} failed: [SSL")


def test_a_proxy_that_is_not_there_is_an_error(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://storage.invalid")
    monkeypatch.setenv("HTTP_PROXY", "http://user:the-token@127.0.0.1:1")
    behind = S3Store(store.location, patience=ONCE)

    assert failure(lambda: behind.get("x")).messages == (
        f"cannot read {store.location}/x: the proxy cannot be used: Connection refused; {NOT_EMPTY}",
    )
