"""A store that reads through to another one and keeps every write to itself: what a dry run writes to."""

from __future__ import annotations

import hashlib
import io
from contextlib import nullcontext
from typing import TYPE_CHECKING

from tasks.core.storage import Absent, Changed, Condition, Head, IfMatch, Kind, Stored, Written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from tasks.stores import Store


class Overlay:
    """Looks as if everything had been written. Threads may share it, each writing to paths of its own."""

    def __init__(self, below: Store) -> None:
        self.below = below
        self.location = below.location
        self._tokens: dict[str, Stored | Head] = {}

    def get(self, path: str) -> Stored | None:
        """Return what was written, else what the store has."""
        written = self._tokens.get(path)
        if isinstance(written, Head):
            raise TypeError(f"{path} was put from a file, and nothing reads such objects back")
        return written or self.below.get(path)

    def head(self, path: str) -> Head | None:
        """Return the token, size and sha256 of what was written, else of what the store has."""
        written = self._tokens.get(path)
        if isinstance(written, Stored):
            sha256 = hashlib.sha256(written.data).hexdigest()
            return Head(token=written.token, size=len(written.data), sha256=sha256)
        return written or self.below.head(path)

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        """Keep the write, if its condition holds."""
        del kind
        now = self.head(path)
        if isinstance(condition, Absent) and now is not None:
            return Changed()
        if isinstance(condition, IfMatch) and (now is None or now.token != condition.token):
            return Changed()
        if isinstance(data, bytes):
            token = self.token_of(data) or ""
            self._tokens[path] = Stored(data=data, token=token)
        else:
            token = path
            self._tokens[path] = Head(token=token, size=data.stat().st_size, sha256=sha256)
        return Written(token)

    @property
    def writes(self) -> list[str]:
        """The paths that would have been written, sorted: side by side they have no order."""
        return sorted(self._tokens)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the paths of both, sorted."""
        written = {path for path in self._tokens if path.startswith(prefix)}
        yield from sorted({*self.below.list(prefix), *written})

    def open(self, path: str) -> AbstractContextManager[BinaryIO | None]:
        """Open what was written, else what the store has."""
        written = self.get(path) if path in self._tokens else None
        return nullcontext(io.BytesIO(written.data)) if written else self.below.open(path)

    def token_of(self, data: bytes) -> str | None:
        """Return the store's token, or one of our own where only the store would know it."""
        return self.below.token_of(data) or hashlib.sha256(data).hexdigest()
