"""Reads an index of ours as anybody can, over HTTP: from a static host, a CDN, or ``publish -- --serve``.

A host that may not list answers 403 to what is not there, and others answer 200 to everything: so nothing is taken for
missing that a list does not leave out. An index without a project list of ours, as other tools leave one, is read by
its PEP 503 pages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

from tasks.core.addresses import split_credentials, without_credentials
from tasks.core.errors import BadInput, ServiceFailed
from tasks.core.index import LIST_PATH
from tasks.core.presence import shelves
from tasks.core.storage import Stored
from tasks.services.http import Http
from tasks.services.pip_config import PipSettings, read_pip_settings
from tasks.services.public_index import NoSuchProject, PublicIndex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from packaging.utils import NormalizedName

    from tasks.core.presence import Shelf
    from tasks.core.releases import Project
    from tasks.services.http import Patience, Reply

_ROOT = "simple/"
_NO_LIST = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    line: str
    body: bytes
    etag: str
    last_modified: str


class Website:
    """An index at an ``http(s):`` URL, with or without ``simple/`` at its end; user info is sent and never shown."""

    def __init__(
        self, url: str, cache: Path, *, settings: PipSettings | None = None, patience: Patience | None = None
    ) -> None:
        _check(url)
        self._full = url.rstrip("/").removesuffix("/simple") + "/"
        self.location = without_credentials(self._full)
        self._settings = settings or read_pip_settings()
        self._patience = patience
        self._cache = cache
        self._kept = cache / f"{hashlib.sha256(self.location.encode()).hexdigest()[:16]}.list"
        self._others: frozenset[NormalizedName] = frozenset()
        """The projects of an index that another tool has made."""
        self._no_list = f"no {LIST_PATH}"
        self._http = Http(self._full, settings=self._settings, patience=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> Stored | None:
        """Return a page of the index; of all pages only the project list may be missing, and then is None.

        That another tool's list of projects is there instead is made sure of before. Our list is kept on disk, and sent
        again only when it has changed. Raises :class:`ServiceFailed`.
        """
        kept = _read(self._kept) if path == LIST_PATH else None
        answer = self._ask(path, kept)
        if answer.status == HTTPStatus.NOT_MODIFIED and kept:
            return Stored(data=kept.body, token=kept.etag)
        if answer.status in _NO_LIST and path == LIST_PATH:
            self._no_list = f"{answer.line} for {LIST_PATH}"
            self._others = self._listed_by_others()
            return None
        if answer.status != HTTPStatus.OK:
            told = f"{self.location}{path}: the server answers {answer.line}"
            if answer.status in _NO_LIST:
                told += f", although {LIST_PATH} lists the project: wait for the publisher, or publish again"
            raise ServiceFailed(told)
        if path == LIST_PATH:
            _write(self._kept, answer)
        return Stored(data=answer.body, token=answer.etag)

    def unlisted(self, names: AbstractSet[NormalizedName]) -> dict[NormalizedName, Shelf]:
        """Return the wheels of some projects by their PEP 503 pages; which projects there are, ``simple/`` says."""
        listed = self._others or self._listed_by_others()
        legacy = PublicIndex(
            f"{self._full}{_ROOT}",
            self._cache,
            settings=self._settings,
            patience=self._patience,
            declared_by="--index or the matrix",
        )
        with legacy:
            pages = legacy.fetch(names & listed)
        return {name: shelf for name, page in pages.items() for shelf in self._shelf(name, page)}

    def _listed_by_others(self) -> frozenset[NormalizedName]:
        """Return the projects that ``simple/`` links to, where it links to any: else this is no index."""
        from tasks.core.simple_page import linked_projects  # noqa: PLC0415 - for indexes of other tools alone

        answer = self._ask(_ROOT, None)
        listed = linked_projects(answer.body) if answer.status == HTTPStatus.OK else frozenset()
        if not listed:
            found = "lists no project" if answer.status == HTTPStatus.OK else f"the server answers {answer.line}"
            raise ServiceFailed(
                f"{self.location}{_ROOT}: {found}, and {self._no_list}; this is not taken for an empty index: "
                "name the URL that has simple/ in it, publish to it first, and let this machine read it"
            )
        return listed

    def _shelf(self, name: NormalizedName, page: Project | NoSuchProject) -> Iterator[Shelf]:
        if isinstance(page, NoSuchProject):
            raise ServiceFailed(f"{self.location}{_ROOT}{name}/ is not there, although {_ROOT} lists it")
        wheels = (wheel for release in page.releases for wheel in release.wheels)
        found = shelves(
            (
                wheel.filename,
                None,
                "" if wheel.yanked else None,
                None if wheel.requires_python is None else str(wheel.requires_python),
            )
            for wheel in wheels
        )
        if name in found:
            yield found[name]

    def _ask(self, path: str, kept: _Answer | None) -> _Answer:
        headers = {"Accept": "text/html"} if path == _ROOT else {}
        headers["Cache-Control"] = "max-age=0"  # a plan must not be as old as a cache allows
        if kept and kept.etag:
            headers["If-None-Match"] = kept.etag
        elif kept and kept.last_modified:
            headers["If-Modified-Since"] = kept.last_modified
        return self._http.get(f"{self._full}{quote(path)}", _receive, headers)


def _check(url: str) -> None:
    try:
        clean, _ = split_credentials(url)
        parts = urlsplit(clean)
        fit = bool(parts.hostname) and parts.port is not False and not parts.query and not parts.fragment
    except ValueError:  # brackets that do not match, a port that is no number
        fit = False
    if not fit:
        raise BadInput(f"the index is {without_credentials(url)!r}, expected a URL like https://host/path")


def _receive(reply: Reply) -> _Answer:
    return _Answer(
        status=reply.status,
        line=reply.line,
        body=b"".join(reply.chunks()),
        etag=reply.headers.get("ETag", ""),
        last_modified=reply.headers.get("Last-Modified", ""),
    )


def _read(path: Path) -> _Answer | None:
    """Return the list that the file holds; a damaged file holds none."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        fields = json.loads(head)
        if fields["body"] != hashlib.sha256(body).hexdigest():
            return None
        return _Answer(status=200, line="", body=body, etag=fields["etag"], last_modified=fields["last_modified"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, answer: _Answer) -> None:
    """Replace the file, at once and whole; where that cannot be done there is just no cache."""
    fields = {
        "etag": answer.etag,
        "last_modified": answer.last_modified,
        "body": hashlib.sha256(answer.body).hexdigest(),
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(json.dumps(fields).encode() + b"\n" + answer.body)
        part.replace(path)
