"""The door to boto3: how a client is made, and what its exceptions mean."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError

from tasks.core.addresses import without_credentials
from tasks.core.errors import BadInput, ServiceFailed
from tasks.stores.s3_errors import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from types_boto3_s3 import S3Client

__all__ = [
    "BOTO_ERRORS",
    "CUT_SHORT",
    "HUNG_UP",
    "ClientError",
    "Patience",
    "answer_of",
    "attempts_of",
    "bucket_and_prefix",
    "fault",
    "open_client",
]

MAX_POOL = 32
"""Connections that are kept: as many threads as anybody here lets ask at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server is waited for, in seconds."""

    connect: float = 10
    read: float = 60
    """Between two pieces of an answer. A put of a large wheel is answered only when the server has stored it."""
    attempts: int = 5
    """Of each request, unless AWS_MAX_ATTEMPTS says otherwise. With botocore's pauses (at random up to
    1, 2, 4 and 8 s) they outlast what S3 calls a brief overload; what lasts longer is better left to a rerun."""
    pauses: tuple[float, ...] = (0.25, 0.5, 1, 2)
    """At random up to these, before each repetition of what botocore does not repeat: answers cut short, conflicts."""


CUT_SHORT = (
    exceptions.FlexibleChecksumError,
    exceptions.IncompleteReadError,
    exceptions.ReadTimeoutError,
    exceptions.ResponseStreamingError,
)
"""What reading the body of an answer raises, which botocore does not repeat."""
HUNG_UP = exceptions.ConnectionClosedError
"""What a server raises that ends the connection in place of an answer, at each attempt."""
BOTO_ERRORS = (
    BotoCoreError,
    ClientError,
    ResponseParserError,
    OSError,  # of a file that it reads by itself: a token's, a certificate's, or the one that is sent
    RecursionError,  # of a server that answers 301 to everything botocore asks for the bucket's region without end
)

_LOCATION = re.compile(r"s3://([a-z0-9][a-z0-9._-]{0,254})(?:/(.*))?", re.IGNORECASE)
_NO_HEADER = "Invalid header value"
"""How the standard library's HTTP client begins to refuse a header."""
_LOGIN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is given"

# The first that fits.
_FAULTS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((exceptions.NoCredentialsError,), f"boto3 finds no credentials: {_LOGIN}"),
    (
        (
            exceptions.CredentialRetrievalError,
            exceptions.MetadataRetrievalError,
            exceptions.SSOError,
            exceptions.TokenRetrievalError,
        ),
        f"boto3 cannot get the credentials ({{root}}): log in again, or {_LOGIN}",
    ),
    ((exceptions.FlexibleChecksumError,), "the answer's bytes have not the checksum that it states, at each attempt"),
    ((exceptions.IncompleteReadError, exceptions.ResponseStreamingError), "the answer is cut short, at each attempt"),
    ((exceptions.ConnectTimeoutError,), "{endpoint} cannot be reached: no connection within {connect:g} s"),
    ((exceptions.ReadTimeoutError,), "{endpoint} does not answer within {read:g} s"),
    ((exceptions.SSLError,), "the TLS connection to {endpoint} failed: {root}"),
    ((exceptions.ProxyConnectionError,), "the proxy cannot be used: {root}"),
    ((exceptions.ConnectionClosedError,), "{endpoint} closed the connection without an answer"),
    ((exceptions.HTTPClientError, exceptions.ConnectionError), "{endpoint} cannot be reached: {root}"),
    ((RecursionError,), "{endpoint} redirects without end: set AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL_S3"),
    ((OSError,), "{file} cannot be read: {root}"),
    ((Exception,), "{root}"),
)


def bucket_and_prefix(location: str) -> tuple[str, str]:
    """Return what a location names: the bucket, and the prefix, which is empty or ends with a slash.

    Raises :class:`BadInput`.
    """
    expected = "expected s3://bucket or s3://bucket/prefix"
    found = _LOCATION.fullmatch(location)
    if "@" in (location.split("/")[2] if found else location):  # secrets have slashes, too
        raise BadInput(f"the index s3://…@… has credentials in it, {expected}: give them by boto3's variables")
    if not found:
        raise BadInput(f"the index is {location!r}, {expected}")
    bucket, prefix = found[1], (found[2] or "").removesuffix("/")
    odd = next((part for part in prefix.split("/") if part in {"", ".", ".."} or re.search(r"[?#\\\0]", part)), None)
    if found[2] and odd is not None:
        raise BadInput(f"the index is {location!r}, and {odd!r} is no part of a prefix, {expected}")
    return bucket, f"{prefix}/" if prefix else ""


def open_client(location: str, patience: Patience) -> S3Client:
    """Return a client that threads may share, set up as boto3's variables, files and roles say; nothing is sent yet.

    Raises :class:`BadInput` where they cannot be made sense of.
    """
    attempts = {} if "AWS_MAX_ATTEMPTS" in os.environ else {"total_max_attempts": patience.attempts}
    config = Config(
        connect_timeout=patience.connect,
        read_timeout=patience.read,
        max_pool_connections=MAX_POOL,
        response_checksum_validation="when_required",  # of a range some servers state the whole's
        retries=cast("Any", {"mode": "standard", **attempts}),
        tcp_keepalive=True,
        user_agent_extra="spare-tire",
    )
    try:
        session = botocore.session.get_session()
        session.register_component("data_loader", _Models(session.get_config_variable("data_path")))
        return boto3.session.Session(botocore_session=session).client("s3", config=config)
    except (BotoCoreError, OSError, ValueError) as error:
        said = without_credentials(str(error))
        raise BadInput(f"the index {location} cannot be opened with boto3's settings: {said}") from error


class _Models(Loader):
    """Knows the one service that is used here: to look which of four hundred there are takes longer than to log in."""

    def __init__(self, data_path: str | None) -> None:
        super().__init__(extra_search_paths=data_path.split(os.pathsep) if data_path else None)

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - botocore's signature
        return ["s3"]


def attempts_of(client: S3Client) -> int:
    """Return how often a request is tried, all in all."""
    retries: dict[str, Any] = client.meta.config.retries  # type: ignore[attr-defined] # what was settled on
    return int(retries["total_max_attempts"])


def answer_of(error: ClientError) -> Answer:
    """Return what the server answered. Of the error document only the code and the words are taken, no keys."""
    response: Any = error.response
    meta = response.get("ResponseMetadata", {})
    found = response.get("Error", {})
    return Answer(
        status=meta.get("HTTPStatusCode", 0),
        code=str(found.get("Code") or meta.get("HTTPStatusCode", 0)),
        message=str(found.get("Message") or ""),
        attempts=meta.get("RetryAttempts", 0) + 1,
    )


def fault(error: Exception, verb: str, place: str, client: S3Client, patience: Patience) -> ServiceFailed:
    """Return the error for what was never answered, or not to the end."""
    words = next(words for kinds, words in _FAULTS if isinstance(error, kinds))
    if any(str(wrapped).startswith(_NO_HEADER) for wrapped in _wrapped(error)):  # and the header comes next
        words = f"the access key or the session token holds a line break: {_LOGIN}, without it"
    said = words.format(
        file=getattr(error, "filename", None),
        root=without_credentials(_root(error)),
        endpoint=without_credentials(client.meta.endpoint_url),
        connect=patience.connect,
        read=patience.read,
    )
    return ServiceFailed(f"cannot {verb} {place}: {said}; this is not taken for an empty index")


def _root(error: BaseException) -> str:
    """Return the words of the operating system or of TLS, which the libraries wrap several times over."""
    for wrapped in _wrapped(error):
        if isinstance(wrapped, OSError) and wrapped.strerror:
            return wrapped.strerror
    return re.sub(r"\s+", " ", str(error))


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all that it wraps, the outer ones first."""
    seen: list[BaseException] = [error]
    for wrapped in seen:
        yield wrapped
        named = getattr(wrapped, "kwargs", {}).get("error")
        inner = (named, *wrapped.args, getattr(wrapped, "reason", None), wrapped.__cause__, wrapped.__context__)
        seen.extend(found for found in inner if isinstance(found, BaseException) and found not in seen)
