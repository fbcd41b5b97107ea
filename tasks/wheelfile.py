"""Reads a wheel from disk into a :class:`~tasks.core.wheels.WheelContents`, and writes one anew with other tags."""

from __future__ import annotations

import base64
import calendar
import csv
import hashlib
import io
import lzma
import shutil
import zipfile
import zlib
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from tasks.core.binaries import HEAD, BrokenBinary, read_binary
from tasks.core.wheels import Member, WheelContents, WheelName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from email.message import Message
    from pathlib import Path
    from typing import IO

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
    with path.open("rb") as file:
        return read_open_wheel(file, path.name)


def read_open_wheel(file: IO[bytes], filename: str) -> WheelContents:
    """Read a wheel from a seekable file, wherever that lies: see :func:`read_wheel`."""
    return _read_archive(file, filename, _member, lambda: _digest(file))


def read_digests(path: Path) -> dict[str, str]:
    """Return the sha256 of each file of a ZIP archive, a wheel or a PEX, by its path in there.

    Raises :class:`UnreadableWheel` for what is none; :class:`OSError` as it comes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [_member(archive, info) for info in archive.infolist() if not info.is_dir()]
    except _UNREADABLE as error:
        raise UnreadableWheel(str(error)) from error
    return {member.path: member.sha256 or "" for member in members}


def skim_wheel(file: IO[bytes], filename: str, sha256: str) -> WheelContents:
    """Read a wheel's directory and metadata, and nothing else of it; its ``sha256`` is known.

    Raises as :func:`read_wheel` does. What is damaged elsewhere in the file is not found.
    """
    return _read_archive(file, filename, _unread_member, lambda: sha256)


def _read_archive(
    file: IO[bytes],
    filename: str,
    member: Callable[[zipfile.ZipFile, zipfile.ZipInfo], Member],
    digest: Callable[[], str],
) -> WheelContents:
    try:
        WheelName.parse(filename)
        with zipfile.ZipFile(file) as archive:
            dist_info = _dist_info(archive)
            return WheelContents(
                filename=filename,
                members=tuple(member(archive, info) for info in archive.infolist() if not info.is_dir()),
                dist_info=dist_info,
                metadata=_read(archive, f"{dist_info}/METADATA"),
                wheel=_read(archive, f"{dist_info}/WHEEL"),
                record=_read(archive, f"{dist_info}/RECORD"),
                sha256=digest(),
                size=file.seek(0, io.SEEK_END),
            )
    except _UNREADABLE as error:
        raise UnreadableWheel(str(error)) from error


def _digest(file: IO[bytes]) -> str:
    """Return the sha256 of all of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


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


def _unread_member(_: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    return Member(path=info.filename, size=info.file_size, sha256=None)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    digest, binary, broken = hashlib.sha256(), None, ""
    with archive.open(info) as stream:
        head = stream.read(HEAD)
        digest.update(head)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    try:
        binary = read_binary(head)
    except BrokenBinary as error:
        broken = str(error)
    return Member(path=info.filename, size=info.file_size, sha256=digest.hexdigest(), binary=binary, broken=broken)


def read_headers(path: Path) -> Message:
    """Return the headers of a wheel's ``METADATA``. Raises :class:`UnreadableWheel`; :class:`OSError` as it comes."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = _read(archive, f"{_dist_info(archive)}/METADATA")
    except _UNREADABLE as error:
        raise UnreadableWheel(str(error)) from error
    return HeaderParser().parsestr(text.decode("utf-8", "replace"))


def retag(path: Path, platforms: Sequence[str], folder: Path) -> Path:
    """Write a wheel anew into ``folder`` with these platform tags, in this order; return its path.

    Equal wheels give equal bytes. Its name, the ``Tag`` lines of ``WHEEL`` and ``RECORD`` say the new tags; all other
    members keep their bytes and times. Raises :class:`UnreadableWheel`.
    """
    name = WheelName.parse(path.name)
    pairs = sorted({(tag.interpreter, tag.abi) for tag in name.tags})
    tags = [f"{interpreter}-{abi}-{platform}" for interpreter, abi in pairs for platform in platforms]
    stem = path.name.removesuffix(".whl").rsplit("-", 1)[0]
    return _rewrite(path, folder / f"{stem}-{'.'.join(platforms)}.whl", tags)


def normalise(path: Path, folder: Path) -> Path:
    """Write a wheel anew into ``folder``: what is no content of it (directories, other modes) is made the same."""
    return _rewrite(path, folder / path.name, None)


def newest_member(path: Path) -> int:
    """Return the time of a wheel's newest member in seconds since 1970, as ``SOURCE_DATE_EPOCH`` counts."""
    with zipfile.ZipFile(path) as archive:
        newest = max((info.date_time for info in archive.infolist()), default=(1980, 1, 1, 0, 0, 0))
    return calendar.timegm((*newest, 0, 0, 0))


def _rewrite(source: Path, target: Path, tags: Sequence[str] | None) -> Path:
    with zipfile.ZipFile(source) as old:
        dist_info = _dist_info(old)
        record = f"{dist_info}/RECORD"
        rows = list(csv.reader(io.StringIO(_read(old, record).decode())))
        changed: dict[str, bytes] = {}
        if tags is not None:
            changed[f"{dist_info}/WHEEL"] = _with_tags(_read(old, f"{dist_info}/WHEEL"), tags)
            changed[record] = _with_hashes(rows, changed)
        part = target.with_name(f".{target.name}.part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as new:
            for info in old.infolist():
                if not info.is_dir():
                    _copy(old, info, new, changed.get(info.filename))
    part.replace(target)
    return target


def _copy(old: zipfile.ZipFile, info: zipfile.ZipInfo, new: zipfile.ZipFile, changed: bytes | None) -> None:
    fresh = zipfile.ZipInfo(info.filename, info.date_time)
    fresh.create_system = 3  # Unix, whose modes follow
    fresh.external_attr = (0o100755 if info.external_attr >> 16 & 0o111 else 0o100644) << 16
    fresh.compress_type = zipfile.ZIP_DEFLATED
    if changed is not None:
        new.writestr(fresh, changed)
        return
    fresh.file_size = info.file_size
    with old.open(info) as source, new.open(fresh, "w") as target:
        shutil.copyfileobj(source, target, _CHUNK)


def _with_tags(wheel: bytes, tags: Sequence[str]) -> bytes:
    lines = wheel.decode("utf-8", "surrogateescape").splitlines()
    kept = [line for line in lines if line.strip() and not line.lower().startswith("tag:")]
    return "".join(f"{line}\n" for line in [*kept, *(f"Tag: {tag}" for tag in tags)]).encode("utf-8", "surrogateescape")


def _with_hashes(rows: Iterable[Sequence[str]], changed: Mapping[str, bytes]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if row and row[0] in changed:
            data = changed[row[0]]
            encoded = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            writer.writerow([row[0], f"sha256={encoded}", len(data)])
        elif row:
            writer.writerow(row)
    return text.getvalue().encode()
