"""Reads a wheel from disk into a :class:`~tasks.core.wheels.WheelContents`."""

from __future__ import annotations

import hashlib
import lzma
import zipfile
import zlib
from typing import TYPE_CHECKING

from tasks.core.wheels import Member, WheelContents, WheelName

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK = 1024 * 1024  # bytes


# What zipfile raises for archives that are damaged, encrypted or compressed in ways that it does not know.
_UNREADABLE = (ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


class UnreadableWheel(Exception):
    """The file is no wheel; the message says why."""


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_wheel(path: Path) -> WheelContents:
    """Read a wheel's members and metadata.

    Raises :class:`UnreadableWheel` for a file whose name or bytes are no wheel's; :class:`OSError` as it comes.
    """
    try:
        WheelName.parse(path.name)
        with zipfile.ZipFile(path) as archive:
            dist_info = _dist_info(archive)
            members = tuple(_member(archive, info) for info in archive.infolist() if not info.is_dir())
            return WheelContents(
                filename=path.name,
                sha256=sha256_of(path),
                size=path.stat().st_size,
                members=members,
                dist_info=dist_info,
                metadata=_read(archive, f"{dist_info}/METADATA"),
                wheel=_read(archive, f"{dist_info}/WHEEL"),
                record=_read(archive, f"{dist_info}/RECORD"),
            )
    except _UNREADABLE as error:
        raise UnreadableWheel(str(error)) from error


def _dist_info(archive: zipfile.ZipFile) -> str:
    found = {name.split("/", 1)[0] for name in archive.namelist() if name.split("/", 1)[0].endswith(".dist-info")}
    if len(found) != 1:
        raise UnreadableWheel(f"it holds {len(found)} .dist-info directories, expected one")
    return found.pop()


def _read(archive: zipfile.ZipFile, path: str) -> bytes:
    try:
        return archive.read(path)
    except KeyError:
        raise UnreadableWheel(f"{path} is missing") from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    digest = hashlib.sha256()
    with archive.open(info) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return Member(path=info.filename, size=info.file_size, sha256=digest.hexdigest())
