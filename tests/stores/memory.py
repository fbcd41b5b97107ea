"""A store in memory, which keeps the contract of every store, and one that counts what is asked of another."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import Counter
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from tasks.core.errors import ServiceFailed
from tasks.core.storage import Absent, Changed, Condition, Head, IfMatch, Kind, Stored, Written
from tasks.stores.ranges import open_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from tasks.stores import Store


class MemoryStore:
    """Objects by path. With ``known_tokens`` false it is as some buckets are: only they know an object's token, and of
    no object the sha256."""

    def __init__(self, objects: dict[str, bytes] | None = None, *, known_tokens: bool = True) -> None:
        self.location = "memory"
        self.objects = dict(objects or {})
        self.known_tokens = known_tokens

    def get(self, path: str) -> Stored | None:
        data = self.objects.get(_checked(path))
        return None if data is None else Stored(data=data, token=self._token(data))

    def head(self, path: str) -> Head | None:
        data = self.objects.get(_checked(path))
        if data is None:
            return None
        sha256 = hashlib.sha256(data).hexdigest() if self.known_tokens else None
        return Head(token=self._token(data), size=len(data), sha256=sha256)

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        del kind
        now = self.head(path)
        content = data if isinstance(data, bytes) else data.read_bytes()
        if sha256 not in {None, hashlib.sha256(content).hexdigest()}:
            raise ServiceFailed(f"{path} changed while it was published; nothing was written: run it again")
        if isinstance(condition, Absent) and now is not None:
            return Changed()
        if isinstance(condition, IfMatch) and (now is None or now.token != condition.token):
            return Changed()
        self.objects[path] = content
        return Written(self._token(content))

    def list(self, prefix: str) -> Iterator[str]:
        yield from sorted(path for path in self.objects if path.startswith(prefix))

    def open(self, path: str) -> AbstractContextManager[BinaryIO | None]:
        data = self.objects.get(_checked(path))
        if data is None:
            return nullcontext()
        return open_ranges(len(data), lambda start, stop: data[start:stop])

    def token_of(self, data: bytes) -> str | None:
        return self._token(data) if self.known_tokens else None

    def _token(self, data: bytes) -> str:
        digest = hashlib.sha256() if self.known_tokens else hashlib.md5(b"salt")  # noqa: S324
        digest.update(data)
        return digest.hexdigest()


class CountingStore:
    """Passes everything on, and counts the requests that a remote store would see, by verb.

    What is opened costs a ``get`` for each range of it that is fetched; ``fetched`` says which, as path, start, stop.
    """

    def __init__(self, below: Store) -> None:
        self.below = below
        self.location = below.location
        self.requests: Counter[str] = Counter()
        self.asked: list[str] = []
        """Each request, as its verb and its path, in the order in which they came."""
        self._lock = threading.Lock()
        self.fetched: list[tuple[str, int, int]] = []

    def get(self, path: str) -> Stored | None:
        self._count("get", path)
        return self.below.get(path)

    def head(self, path: str) -> Head | None:
        self._count("head", path)
        return self.below.head(path)

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        self._count("put", path)
        return self.below.put(path, data, kind=kind, condition=condition, sha256=sha256)

    def list(self, prefix: str) -> Iterator[str]:
        self._count("list", prefix)
        return self.below.list(prefix)

    def open(self, path: str) -> AbstractContextManager[BinaryIO | None]:
        return self._opened(path)

    @contextmanager
    def _opened(self, path: str) -> Iterator[BinaryIO | None]:
        with self.below.open(path) as file:
            if file is None:
                self._count("get", path)
                yield None
                return

            def fetch(start: int, stop: int) -> bytes:
                self._count("get", path)
                self.fetched.append((path, start, stop))
                file.seek(start)
                return file.read(stop - start)

            with open_ranges(file.seek(0, io.SEEK_END), fetch) as ranges:
                yield ranges

    def _count(self, verb: str, path: str) -> None:
        with self._lock:
            self.requests[verb] += 1
            self.asked.append(f"{verb} {path}")

    def token_of(self, data: bytes) -> str | None:
        return self.below.token_of(data)


def _checked(path: str) -> str:
    if any(not part or part.startswith(".") or "\\" in part or "\0" in part for part in path.split("/")):
        raise ValueError(f"{path!r} is no path in an index")
    return path
