"""Fetches one file and lets nothing else into its place: the digest is checked while it comes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tasks.core.addresses import path_of, without_credentials
from tasks.core.errors import Refused, ServiceFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tasks.services.http import Http, Reply

_CHUNK = 64 * 1024


def fetch_file(http: Http, url: str, sha256: str, destination: Path) -> None:
    """Put the file at ``url`` (http, https or file) at ``destination``, whole or not at all.

    A file that is there already and has the digest is kept, and nothing is asked. ``sha256`` is 64 hex digits. Raises
    :class:`Refused` for another digest, :class:`ServiceFailed` for a server that has no such file or does not answer.
    """
    wanted = sha256.lower()
    if _digest_of(destination) == wanted:
        return

    def receive(reply: Reply) -> str:
        if not reply.ok:
            raise ServiceFailed(f"{without_credentials(url)}: the server answers {reply.line}")
        return _write(part, reply.chunks(as_sent=True))

    part = destination.with_name(f".{destination.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if urlsplit(url).scheme == "file":
            found = _write(part, _read(url))
        else:
            found = http.get(url, receive, {"Accept-Encoding": "identity"})
        if found != wanted:
            shown = without_credentials(url)
            raise Refused(f"{shown}: its sha256 is {found}, expected {wanted}; nothing of it was kept")
        part.replace(destination)
    except OSError as error:
        raise ServiceFailed(f"{destination}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _write(part: Path, chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    with part.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _read(url: str) -> Iterator[bytes]:
    path = path_of(url)
    try:
        file = path.open("rb")
    except OSError as error:
        raise ServiceFailed(f"{unquote(url)}: cannot be read: {error.strerror or error}") from error
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _digest_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
