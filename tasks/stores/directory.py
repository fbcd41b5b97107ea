"""The store in a directory: exclusive links, atomic renames, and a lock for each directory that is written to."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from tasks.core.errors import BadInput, ServiceFailed, Unreadable
from tasks.core.storage import Absent, Changed, Condition, Head, IfMatch, Kind, Stored, Written

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCRATCH = ".tmp"
_CHUNK = 1 << 20  # bytes
_NO_OBJECT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_OF_ONE_FILE = {errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


class DirectoryStore:
    """An index in a directory, which need not be there yet. A token is the sha256 of the object's bytes.

    Unfinished files lie in ``.tmp`` and are locked while their writer lives, so that the next writer can tell what a
    killed one has left, and removes it.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self.root = Path(location).absolute()
        try:
            is_file = self.root.exists() and not self.root.is_dir()
        except OSError:  # what reads or writes there says what is wrong
            is_file = False
        if is_file:
            raise BadInput(f"the index {location} is a file, expected a directory")
        self._swept = False

    def get(self, path: str) -> Stored | None:
        """Return a file's bytes and their sha256."""
        with self._failures("read", path):
            try:
                data = self._resolve(path).read_bytes()
            except FileNotFoundError:
                return None
        return Stored(data=data, token=hashlib.sha256(data).hexdigest())

    def head(self, path: str) -> Head | None:
        """Return a file's sha256 and size; it is read for that, but not held in memory."""
        with self._failures("read", path):
            try:
                with self._resolve(path).open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                    return Head(token=sha256, size=file.tell(), sha256=sha256)
            except FileNotFoundError:
                return None

    def put(
        self, path: str, data: bytes | Path, *, kind: Kind, condition: Condition = None, sha256: str | None = None
    ) -> Written | Changed:
        """Write a temporary file, then link it (where nothing may be) or rename it (under the directory's lock)."""
        with self._failures("write", path):
            target = self._resolve(path)
            _make_directory(target.parent)
            with self._scratch_file() as scratch:
                token = _fill(scratch, data, durable=kind.durable)
                if sha256 not in {None, token}:
                    raise ServiceFailed(f"{path} changed while it was published; nothing was written: run it again")
                done = self._place(Path(scratch.name), target, condition)
            if done and kind.durable:
                _sync_directory(target.parent)
            return Written(token) if done else Changed()

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the paths of the files, sorted; hidden names are no objects."""
        found = []
        with self._failures("list", prefix):
            base = self.root / prefix.rpartition("/")[0]
            for directory, names, files in os.walk(base, onerror=_raise_unless_missing):
                names[:] = [name for name in names if not name.startswith(".")]
                inside = Path(directory).relative_to(self.root)
                found += [(inside / name).as_posix() for name in files if not name.startswith(".")]
        yield from sorted(path for path in found if path.startswith(prefix))

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO | None]:
        """Open the file itself; a directory is no object."""
        file = None
        with self._failures("read", path), contextlib.suppress(*_NO_OBJECT):
            file = self._resolve(path).open("rb")
        if file is None:
            yield None
            return
        with file:
            yield file

    def token_of(self, data: bytes) -> str:
        """Return the sha256 of the bytes."""
        return hashlib.sha256(data).hexdigest()

    def _resolve(self, path: str) -> Path:
        """Turn a path of the store into a file name. Neither ``..`` nor a symbolic link leads out of the directory."""
        parts = path.split("/")
        if any(part.startswith(".") or not part or "\\" in part or "\0" in part for part in parts):
            raise ValueError(f"{path!r} is no path in an index")
        target = self.root.joinpath(*parts)
        if not target.resolve().is_relative_to(self.root.resolve()):
            raise Unreadable(f"{self.location}/{path} is a symbolic link that leads out of the index; remove it")
        return target

    def _place(self, scratch: Path, target: Path, condition: Condition) -> bool:
        if isinstance(condition, Absent):
            try:
                os.link(scratch, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                return True
        with _locked(target.parent):
            if isinstance(condition, Absent) and target.exists():
                return False
            if isinstance(condition, IfMatch):
                try:
                    found = hashlib.sha256(target.read_bytes()).hexdigest()
                except FileNotFoundError:
                    return False
                if found != condition.token:
                    return False
            scratch.replace(target)
        return True

    @contextmanager
    def _scratch_file(self) -> Iterator[IO[bytes]]:
        """Open a new file in ``.tmp``, locked; it is gone afterwards, under that name."""
        directory = self.root / _SCRATCH
        if not self._swept:
            _sweep(directory)
            self._swept = True
        with self._open_scratch(directory) as file:
            try:
                yield file
            finally:
                Path(file.name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # others are writing
                    directory.rmdir()

    @staticmethod
    def _open_scratch(directory: Path) -> IO[bytes]:
        while True:
            try:
                directory.mkdir(parents=True, exist_ok=True)
                file = (directory / secrets.token_hex(8)).open("xb")
            except (FileExistsError, FileNotFoundError):  # another writer removed .tmp meanwhile
                if directory.is_file():
                    raise
                continue
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()  # swept before it was locked

    @contextmanager
    def _failures(self, verb: str, path: str) -> Iterator[None]:
        """Turn what the system reports into one message that says what to do."""
        try:
            yield
        except OSError as error:
            place = f"{self.location}/{path}" if path else self.location
            kind = Unreadable if verb == "read" and error.errno in _OF_ONE_FILE else ServiceFailed
            raise kind(_explained(error, verb, place, self.location)) from error


def _explained(error: OSError, verb: str, place: str, index: str) -> str:
    if verb == "write" and error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        advice = "give write permission, or another index by --index"
        return f"cannot write {place}: the index {index} is read-only for this user; {advice}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"cannot {verb} {place}: permission denied; this is not taken for an empty index: give read permission"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"cannot {verb} {place}: the disk is full; make room and run the same command again"
    return f"cannot {verb} {place}: {error.strerror or error}"


def _fill(scratch: IO[bytes], data: bytes | Path, *, durable: bool) -> str:
    """Write the data; return the sha256 of what was written."""
    digest = hashlib.sha256()
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            scratch.write(chunk)
    scratch.flush()
    if durable:
        os.fsync(scratch.fileno())
    return digest.hexdigest()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's own lock; it goes with the process, however that ends."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directory(directory: Path) -> None:
    """Make a directory and those above it; each is on disk before anything is put into it."""
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    _sync_directory(directory.parent)


def _sweep(directory: Path) -> None:
    """Remove what killed writers left: the files that nobody holds locked."""
    try:
        left = sorted(directory.iterdir())
    except FileNotFoundError:
        return
    for path in left:
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
