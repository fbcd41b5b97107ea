"""Asks the public index what it serves: one request per project, concurrent, revalidated from a cache on disk.

Every answer is revalidated (304, or an equal digest where the server has no validators), whatever ``Cache-Control``
allows: a plan must not be ten minutes old.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from tasks.core.addresses import path_of, without_credentials
from tasks.core.errors import BadInput, ServiceFailed
from tasks.services.page_cache import CachedPage, listing_of, read_page_cache, write_page
from tasks.services.pip_config import PipSettings, read_pip_settings
from tasks.threads import Later, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from packaging.utils import NormalizedName

    from tasks.core.releases import Project
    from tasks.services.http import Http, Patience, Reply

THREADS = 8
"""Requests at the same time, all to one server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSuchProject:
    """The index knows no project of this name; ``message`` says so in one line."""

    name: NormalizedName
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """One answer: its status, and what comes with a whole page."""

    status: int
    line: str = ""
    """The status for messages: ``403 Forbidden``."""
    body: bytes = b""
    content_type: str = "text/html"
    etag: str = ""
    last_modified: str = ""
    url: str = ""


class PublicIndex:
    """An index of the Simple API, at an ``http(s):`` or ``file:`` URL.

    ``declared`` is the URL that the matrix gives, or what ``declared_by`` says; without it pip's configuration counts,
    then ``default`` is asked. The URL may hold user info, which is sent and never shown. Raises :class:`BadInput` for
    what is no such URL.
    """

    def __init__(
        self,
        declared: str | None,
        cache: Path,
        *,
        settings: PipSettings | None = None,
        patience: Patience | None = None,
        default: Callable[[], str] | None = None,
        declared_by: str = "public_index in the matrix",
    ) -> None:
        self._settings = settings or read_pip_settings()
        self._patience = patience
        full, self.named_by = (declared, declared_by) if declared else _choose(self._settings, default)
        _check_address(full, self.named_by)
        self._full = full if full.endswith("/") else full + "/"
        self.url = without_credentials(self._full)
        """Ends with a slash and has no user info."""
        self._cache = cache / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self._begun: Later[dict[NormalizedName, Project | NoSuchProject]] | None = None

    @cached_property
    def http(self) -> Http:
        """The client that has the index's credentials; made when the first question is asked."""
        from tasks.services.http import Http  # noqa: PLC0415 - heavy, and a plan may have nothing to ask

        return Http(self._full, settings=self._settings, patience=self._patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if "http" in self.__dict__:
            self.http.close()

    def begin(self, names: Iterable[str]) -> None:
        """Ask about some projects while the caller does something else; :meth:`fetch` has the answers, or the error."""
        wanted = sorted({canonicalize_name(name) for name in names})
        if not wanted:
            return
        import tasks.core.simple_page  # noqa: PLC0415, F401 - by this thread: see Later

        if not self.url.startswith("file:"):
            _ = self.http
        self._begun = Later(lambda: self._answers(wanted))

    def fetch(self, names: Iterable[str]) -> dict[NormalizedName, Project | NoSuchProject]:
        """Return what the index serves of each project, sorted by name.

        Raises :class:`ServiceFailed` when any answer is not to be had or is no page: a plan from half an index would be
        wrong in silence.
        """
        wanted = sorted({canonicalize_name(name) for name in names})
        begun, self._begun = self._begun, None
        known = begun.result() if begun else {}
        known |= self._answers([name for name in wanted if name not in known])
        return {name: known[name] for name in wanted}

    def _answers(self, wanted: list[NormalizedName]) -> dict[NormalizedName, Project | NoSuchProject]:
        if not wanted:
            return {}
        broken = threading.Event()
        client = None if self.url.startswith("file:") else self.http

        def ask(name: NormalizedName) -> Project | NoSuchProject | ServiceFailed | None:
            if broken.is_set():
                return None  # the server is failing: further time-outs would tell nothing new
            try:
                return self._project(name, client)
            except ServiceFailed as failure:
                broken.set()
                return failure

        # Two requests a connection at least: opening one reads the certificate authorities, 25 ms of processor time.
        answers = dict(zip(wanted, side_by_side(ask, wanted, min(THREADS, (len(wanted) + 1) // 2)), strict=True))
        for answer in answers.values():
            if isinstance(answer, ServiceFailed):
                raise answer
        return {name: answer for name, answer in answers.items() if not isinstance(answer, (ServiceFailed, type(None)))}

    def _project(self, name: NormalizedName, client: Http | None) -> Project | NoSuchProject:
        url = f"{self.url}{name}/"
        path = self._cache / f"{name}.json"
        cached = read_page_cache(path)
        page = self._request(client, url, cached) if client else self._read(url)
        if page.status == HTTPStatus.NOT_FOUND:
            return NoSuchProject(name=name, message=f"{name} is not on the public index {self.url}")
        if page.status == HTTPStatus.NOT_MODIFIED and cached:
            return listing_of(cached).project()
        if page.status != HTTPStatus.OK:
            raise ServiceFailed(f"{url}: the server answers {page.line}{self._advice(page.status)}")
        from tasks.core.simple_page import NotAPage, read_page  # noqa: PLC0415 - 10 ms, for a page that has changed

        digest = hashlib.sha256(page.url.encode() + page.content_type.encode() + page.body).hexdigest()
        if cached and cached.digest == digest:
            return listing_of(cached).project()
        try:
            listing = read_page(name, page.body, content_type=page.content_type, url=page.url)
        except NotAPage as error:
            raise ServiceFailed(f"{url} {error}; the index is named by {self.named_by}") from error
        write_page(path, listing, etag=page.etag, last_modified=page.last_modified, digest=digest)
        return listing.project()

    def _request(self, client: Http, url: str, cached: CachedPage | None) -> _Page:
        from tasks.core.simple_page import ACCEPT  # noqa: PLC0415

        headers = {"Accept": ACCEPT, "Cache-Control": "max-age=0"}
        if cached and cached.etag:
            headers["If-None-Match"] = cached.etag
        elif cached and cached.last_modified:
            headers["If-Modified-Since"] = cached.last_modified
        try:
            return client.get(url, _receive, headers)
        except ServiceFailed as failure:
            raise ServiceFailed(f"{failure}; the index is named by {self.named_by}") from failure

    def _read(self, url: str) -> _Page:
        directory = path_of(url)
        if not directory.parent.is_dir():
            raise ServiceFailed(f"{self.url} is no directory; the index is named by {self.named_by}")
        try:
            return _Page(status=HTTPStatus.OK, body=(directory / "index.html").read_bytes(), url=url)
        except (FileNotFoundError, NotADirectoryError):
            return _Page(status=HTTPStatus.NOT_FOUND)
        except OSError as error:
            raise ServiceFailed(f"{url}: cannot be read: {error.strerror or error}") from error

    def _advice(self, status: int) -> str:
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return f"; the index is named by {self.named_by}; give a user and a password in netrc or in PIP_INDEX_URL"
        return f"; the index is named by {self.named_by}"


def _check_address(url: str, named_by: str) -> None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https", "file"} and parts.port is not False
    except ValueError:  # brackets that do not match, a port that is no number
        known = False
    if not known:
        raise BadInput(f"{named_by} is {without_credentials(url)}, expected an http, https or file URL")


def _choose(settings: PipSettings, default: Callable[[], str] | None) -> tuple[str, str]:
    """Return the URL of the index that no matrix names, and what names it, for messages."""
    if settings.index_url:
        return settings.index_url, f"index-url in {settings.index_url_from}"
    if default is None:
        raise BadInput("no public index is configured; set public_index in the matrix, or index-url for pip")
    return default(), "the default of pypi-simple"


def _receive(reply: Reply) -> _Page:
    return _Page(
        status=reply.status,
        line=reply.line,
        body=b"".join(reply.chunks()),
        content_type=reply.headers.get("Content-Type", ""),
        etag=reply.headers.get("ETag", ""),
        last_modified=reply.headers.get("Last-Modified", ""),
        url=reply.url,
    )
