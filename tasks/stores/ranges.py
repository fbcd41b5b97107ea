"""A file that lies elsewhere, read range by range: what a store that is no directory gives for ``open``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

TAIL = 1 << 16
"""Bytes at the end that are fetched together, and once: an archive's directory, and what is small and often last."""


def open_ranges(size: int, fetch: Callable[[int, int], bytes], tail: bytes | None = None) -> BinaryIO:
    """Return a seekable file of ``size`` bytes, read by ``fetch(start, stop)``, which gives the bytes before ``stop``.

    Of a wheel's directory and metadata all that lies in the last 64 KiB costs one fetch, anything else one for each
    64 KiB; larger reads are fetched as they are asked for. What ``fetch`` raises goes through. Who has fetched the last
    :data:`TAIL` bytes already, to learn the size, gives them as ``tail``.
    """
    return io.BufferedReader(_Ranges(size, fetch, tail), TAIL)


class _Ranges(io.RawIOBase):
    def __init__(self, size: int, fetch: Callable[[int, int], bytes], tail: bytes | None) -> None:
        super().__init__()
        self._size = size
        self._fetch = fetch
        self._at = 0
        self._tail_start = max(0, size - TAIL)
        self._tail = tail

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"seek to {start + offset}, expected a place in the file")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed knows no narrower one
        stop = min(self._at + len(buffer), self._size)
        if self._at >= stop:
            return 0
        data = self._read(self._at, stop)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, start: int, stop: int) -> bytes:
        if start < self._tail_start:
            return self._fetch(start, min(stop, self._tail_start))
        if self._tail is None:
            self._tail = self._fetch(self._tail_start, self._size)
        return self._tail[start - self._tail_start : stop - self._tail_start]
