"""Where an index lives. One Protocol, one implementation a place; ``open_store`` chooses by the location's scheme."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from tasks.core.addresses import without_credentials
from tasks.core.errors import BadInput
from tasks.core.storage import IF_ABSENT, Changed, Condition, Head, IfMatch, Kind, Stored, Written
from tasks.stores.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["IF_ABSENT", "Changed", "Condition", "Head", "IfMatch", "Kind", "Store", "Stored", "Written", "open_store"]


class Store(Protocol):
    """A place for objects, each under a path like ``simple/x/index.json``.

    What is not there is None; what cannot be read, or not be written, is :class:`ServiceFailed`, never None; an
    :class:`Unreadable` one where only that object cannot be read. A path that would leave the store is
    :class:`ValueError`. Reads see whole objects only, at every instant.
    """

    location: str

    def get(self, path: str) -> Stored | None:
        """Return an object's bytes and token."""
        ...

    def head(self, path: str) -> Head | None:
        """Return an object's token, its size and, where the store has it, its sha256; bytes are read only here."""
        ...

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        """Write an object, at once and whole, if ``condition`` holds: test and write are one step for everybody.

        Where ``sha256`` is given and the data turns out to have another one, nothing is written: ServiceFailed.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield every object's path that starts with ``prefix``, sorted."""
        ...

    def open(self, path: str) -> AbstractContextManager[BinaryIO | None]:
        """Open an object as a seekable file; None where nothing is there.

        A directory gives the file itself. Any other store fetches what is read, when it is read: see ``tasks.ranges``.
        """
        ...

    def token_of(self, data: bytes) -> str | None:
        """Return the token that an object of these bytes has; None where only the store knows."""
        ...


def _s3(location: str) -> Store:
    from tasks.stores.s3 import S3Store  # noqa: PLC0415 - boto3 is heavy, and an index in a directory needs none

    return S3Store(location)


def is_bucket(location: str) -> bool:
    """Whether a location is a bucket, which others serve as it is, rather than a directory."""
    return _scheme(location) == "s3"


STORES: dict[str, Callable[[str], Store]] = {"": DirectoryStore, "s3": _s3}


def open_store(location: str) -> Store:
    """Open the store at a location: a directory's path, or ``scheme://…``. Raises :class:`BadInput`."""
    name = _scheme(location)
    if name in {"http", "https"}:
        shown = without_credentials(location)
        raise BadInput(f"the index {shown} is read over HTTP, which plan alone can do: name where it lies itself")
    if not location or name not in STORES:
        raise BadInput(f"the index is {location or '(empty)'!r}, expected a directory or s3://bucket/prefix")
    return STORES[name](location)


def _scheme(location: str) -> str:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", location)
    return scheme[1].lower() if scheme else ""
