"""The door to requests: time-outs, retries, credentials that are used but never shown, one connection pool."""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from tasks.core.addresses import origin, split_credentials
from tasks.core.errors import BadInput, ServiceFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tasks.services.pip_config import PipSettings

_CONNECTIONS = 16  # kept open for the threads that share a client
_CHUNK = 64 * 1024
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_USER_AGENT = f"spare-tire {requests.utils.default_user_agent()}"

# The first that fits; whether another attempt may help.
_EXPLANATIONS: tuple[tuple[type[requests.RequestException], str, bool], ...] = (
    (requests.exceptions.SSLError, "the TLS connection failed: {root}", False),
    (requests.exceptions.ProxyError, "the proxy cannot be used: {root}", False),
    (requests.exceptions.Timeout, "no answer within {timeout:g} s", True),
    (requests.exceptions.ConnectionError, "the server cannot be reached: {root}", True),
    (requests.exceptions.TooManyRedirects, "the server redirects without end", False),
    (requests.RequestException, "the request cannot be sent: {root}", False),
)

Received = TypeVar("Received")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server is waited for, in seconds."""

    timeout: float = 15
    """For a connection, and between two pieces of an answer."""
    total: float = 300
    """For one request with all its retries."""
    pauses: tuple[float, ...] = (0.5, 1, 2)
    """Before each further attempt; a longer ``Retry-After`` is heeded where the total allows it."""


class Unanswered(ServiceFailed):
    """A server could not be reached, broke off or would not answer; ``reason`` says why, without the URL."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.reason = reason


class Reply:
    """An answer whose body has not come yet."""

    def __init__(self, response: requests.Response, deadline: float) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        """Case-insensitive."""
        self.url = response.url
        """Where it came from in the end; never with user info."""
        self._response = response
        self._deadline = deadline

    @property
    def ok(self) -> bool:
        """Whether the body is what was asked for."""
        return self.status == HTTPStatus.OK

    @property
    def line(self) -> str:
        """The status for messages, as in ``404 Not Found``; the words are the standard's, not the server's."""
        return status_line(self.status)

    def chunks(self, *, as_sent: bool = False) -> Iterator[bytes]:
        """Yield the body; ``as_sent`` leaves a compression on, which servers claim of ``.tar.gz`` files."""
        chunks = self._response.raw.stream(_CHUNK, decode_content=not as_sent)
        for chunk in chunks:
            if time.monotonic() > self._deadline:
                raise _Failure("the answer takes too long", passing=False)
            yield chunk


class Http:
    """A client that threads may share. User info of ``index_url`` is sent to the origin of that URL only."""

    def __init__(
        self, index_url: str = "", *, settings: PipSettings | None = None, patience: Patience | None = None
    ) -> None:
        clean, self._credentials = split_credentials(index_url)
        self._origin = origin(clean)
        self._patience = patience or (Patience(timeout=settings.timeout) if settings else Patience())
        self._verify = _authorities(settings)
        proxy = settings.proxy if settings else None
        self._proxies = {"http": proxy, "https": proxy} if proxy else None
        self._environment: dict[tuple[str, str, int | None], Mapping[str, Any]] = {}
        self._closing = threading.Event()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = _USER_AGENT
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, and end the pauses of requests that are being retried."""
        self._closing.set()
        self._session.close()

    def get(self, url: str, receive: Callable[[Reply], Received], headers: Mapping[str, str] | None = None) -> Received:
        """Send a GET request, follow redirects, and return what ``receive`` makes of the answer.

        ``receive`` sees every status but 429 and 5xx, and begins anew where an answer breaks off. Raises
        :class:`Unanswered` when the attempts are used up.
        """
        clean, own = split_credentials(url)
        credentials = own or (self._credentials if origin(clean) == self._origin else None)
        auth = HTTPBasicAuth(credentials.user.encode(), credentials.password.encode()) if credentials else None
        return self._ask("GET", clean, receive, headers or {}, auth)

    def delete(self, url: str, receive: Callable[[Reply], Received]) -> Received:
        """Send a DELETE request, more than once where need be, and return what ``receive`` makes of the answer.

        Raises :class:`Unanswered` as :meth:`get` does.
        """
        return self._ask("DELETE", url, receive, {}, None)

    def _ask(
        self,
        method: str,
        clean: str,
        receive: Callable[[Reply], Received],
        headers: Mapping[str, str],
        auth: HTTPBasicAuth | None,
    ) -> Received:
        deadline = time.monotonic() + self._patience.total
        pauses = iter(self._patience.pauses)
        while True:
            try:
                with self._send(method, clean, headers, auth) as response:
                    return _received(response, receive, deadline)
            except _Failure as failure:
                pause = next(pauses, None)
                if pause is None or not failure.passing:
                    raise Unanswered(clean, failure.reason) from None
                pause = max(pause, failure.retry_after)
                if time.monotonic() + pause > deadline or self._closing.wait(pause):
                    raise Unanswered(clean, failure.reason) from None

    def _send(self, method: str, url: str, headers: Mapping[str, str], auth: HTTPBasicAuth | None) -> requests.Response:
        try:
            request = self._session.prepare_request(requests.Request(method, url, headers=dict(headers), auth=auth))
            return self._session.send(request, timeout=self._patience.timeout, **self._environment_of(url))
        except OSError as error:  # RequestException is one; a missing file of authorities comes as a bare one
            raise _explain(error, self._patience.timeout) from error

    def _environment_of(self, url: str) -> Mapping[str, Any]:
        """Return the proxies and authorities that the environment names for an origin; it is read once for each."""
        place = origin(url)
        if place not in self._environment:
            self._environment[place] = self._session.merge_environment_settings(
                url, proxies=self._proxies or {}, stream=True, verify=self._verify, cert=None
            )
        return self._environment[place]


class _Failure(Exception):
    """An attempt failed; a ``passing`` failure is worth another one, ``retry_after`` seconds later at the earliest."""

    def __init__(self, reason: str, *, passing: bool, retry_after: float = -1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing
        self.retry_after = retry_after


def status_line(status: int) -> str:
    """Return a status for messages: ``404 Not Found``."""
    return f"{status} {HTTPStatus(status).phrase}" if status in list(HTTPStatus) else str(status)


def _received(response: requests.Response, receive: Callable[[Reply], Received], deadline: float) -> Received:
    secure = [step.url.startswith("https:") for step in (*response.history, response)]
    if secure != sorted(secure):
        raise _Failure("the server redirects from https to http", passing=False)
    if response.status_code in _TRANSIENT:
        after = response.headers.get("Retry-After", "")
        seconds = float(after) if after.isascii() and after.isdigit() else -1.0
        raise _Failure(f"the server answers {status_line(response.status_code)}", passing=True, retry_after=seconds)
    try:
        return receive(Reply(response, deadline))
    except (requests.RequestException, HTTPError) as error:
        raise _Failure(f"the answer broke off: {_root(error)}", passing=True) from error


def _explain(error: OSError, timeout: float) -> _Failure:
    """Say in a few words why a request failed; the libraries' own words repeat the URL and more."""
    for kind, words, passing in _EXPLANATIONS:
        if isinstance(error, kind):
            return _Failure(words.format(root=_root(error), timeout=timeout), passing=passing)
    return _Failure(f"the certificate authorities cannot be read: {error}", passing=False)


def _root(error: BaseException) -> str:
    """Return the words of the operating system or of TLS, which the libraries wrap several times over."""
    seen: list[BaseException] = [error]
    for wrapped in seen:
        if isinstance(wrapped, ssl.SSLCertVerificationError):
            return wrapped.verify_message
        if isinstance(wrapped, OSError) and not isinstance(wrapped, requests.RequestException):
            return wrapped.strerror or str(wrapped)
        inner = (*wrapped.args, getattr(wrapped, "reason", None), wrapped.__cause__, wrapped.__context__)
        seen.extend(found for found in inner if isinstance(found, BaseException) and found not in seen)
    return type(seen[-1]).__name__


def _authorities(settings: PipSettings | None) -> str | bool:
    cert = settings.cert if settings else None
    if cert is None:
        return True
    if not Path(cert).exists():
        raise BadInput(f"pip's setting cert names {cert}, which is not there")
    return cert
