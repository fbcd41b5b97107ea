"""Where an index lives. One Protocol, one implementation a place; :mod:`tasks.stores.places` has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tasks.core.storage import IF_ABSENT, Changed, Condition, Head, IfMatch, Kind, Stored, Written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["IF_ABSENT", "Changed", "Condition", "Head", "IfMatch", "Kind", "Store", "Stored", "Written"]


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

        A directory gives the file itself. Any other store fetches what is read, when it is read: see ``stores.ranges``.
        """
        ...

    def token_of(self, data: bytes) -> str | None:
        """Return the token that an object of these bytes has; None where only the store knows."""
        ...
