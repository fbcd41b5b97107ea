"""Folders of golden files on disk: what lies there, what its manifest says, what its reader finds."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks import process
from tasks.core.errors import BadInput, Refused
from tasks.golden_files.manifest import (
    MANIFEST,
    Found,
    GoldenFile,
    Manifest,
    below,
    forgotten,
    is_gone,
    judged,
    misread,
    unaccepted,
)
from tasks.golden_files.readers import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from packaging.version import Version

    from tasks.core.golden import Reader

    Read = Callable[[Path], Found]

TIMEOUT = 60.0
"""Seconds that a user's reader may take for a file."""
_CALL = Path(__file__).with_name("call.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a golden file."""

    file: str
    message: str

    def __str__(self) -> str:
        """``FILE: message``."""
        return f"{self.file}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format: its folders, what reads its files, and the version of the program that writes it, where known."""

    name: str
    folders: tuple[Path, ...]
    read: Read
    version: Version | None = None


def load(folder: Path) -> Manifest:
    """Return a folder's manifest, an empty one where there is none. Raises :class:`BadInput`."""
    path = folder / MANIFEST
    try:
        return Manifest.from_json(path.read_bytes(), str(path))
    except FileNotFoundError:
        return Manifest()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error


def check(format_: Format) -> Iterator[Finding]:
    """Yield what is wrong with a format's golden files. Raises :class:`BadInput` for a manifest that is none."""
    for folder in format_.folders:
        manifest = load(folder)
        if not manifest.files:
            yield Finding(
                file=str(folder), message=f"there are no golden files of {format_.name}; add some with golden -- add"
            )
        for name in _present(folder):
            if name not in manifest.files:
                message = f"{MANIFEST} does not name it, so that nothing reads it: add it with golden -- add"
                yield Finding(file=str(folder / name), message=message)
        for name, file in sorted(manifest.files.items()):
            if not is_gone(file, format_.version):
                for wrong in filter(None, _wrong(folder / name, file, format_)):
                    yield Finding(file=str(folder / name), message=wrong)
        for name, then in sorted(committed(folder).items()):
            if broken := forgotten(name, then, manifest):
                yield Finding(file=str(folder / name), message=broken)


def _wrong(path: Path, file: GoldenFile, format_: Format) -> Iterator[str | None]:
    yield unaccepted(file, format_.version)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        yield "is gone; golden files do not go: restore it, or accept the break with a major version"
        return
    except OSError as error:
        yield f"cannot be read: {error.strerror}"
        return
    changed = judged(file, data)
    yield changed or misread(file, format_.read(path), _read(path, b"", format_.read), empty=not data)


def _read(name: str | Path, data: bytes, read: Read) -> Found:
    """Return what a reader finds in these bytes, in a file and a folder of the same names."""
    with tempfile.TemporaryDirectory(prefix="golden-") as scratch:
        path = Path(scratch, Path(name).parent.name or "golden", Path(name).name)
        path.parent.mkdir()
        path.write_bytes(data)
        return read(path)


def _present(folder: Path) -> list[str]:
    """Return every file below a folder but the manifest, by path."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if (path.is_file() or path.is_symlink()) and path != folder / MANIFEST
    )


def committed(folder: Path) -> dict[str, GoldenFile]:
    """Return what git's history of a manifest first said of each file; nothing where there is no history.

    Of a shallow clone it is as much as that has. What a merge dropped is part of it.
    """
    said: dict[str, GoldenFile] = {}
    for commit in _git(folder, "log", "--full-history", "--format=%H", "--", MANIFEST).split():
        shown = _git(folder, "show", f"{commit}:./{MANIFEST}")  # nothing where the commit removed it
        with suppress(BadInput):  # it was damaged then, which nobody can mend any more
            said |= Manifest.from_json(shown.encode(), MANIFEST).files
    return said


def lacks_history(folder: Path) -> str | None:
    """Return why git does not have all that the manifest in a folder is to be compared with; None where it has."""
    if not _git(folder, "log", "--format=%H", "--max-count=1", "--", MANIFEST):
        return "git has no history to compare them with"
    if _git(folder, "rev-parse", "--is-shallow-repository").strip() == "true":
        return "the clone is shallow, so that git has only the last of the history to compare them with"
    return None


def _git(folder: Path, *arguments: str) -> str:
    """Return what git says in a folder; nothing where it is not there, or says that it cannot tell."""
    if not folder.is_dir():
        return ""
    try:
        ended = process.run(["git", *arguments], cwd=folder)
    except process.CannotStart:
        return ""
    return "" if ended.returncode else ended.stdout


def unread(folder: Path, formats: Collection[str]) -> list[Finding]:
    """Return what lies beside the formats' folders, so that nothing reads it."""
    others = sorted(path for path in folder.glob("*") if path.name not in formats)
    return [Finding(file=str(path), message="no format has this name, so that nothing reads it") for path in others]


def add(format_: Format, name: str, data: bytes, *, made_by: Version, shows: str) -> bool:
    """Copy a file's bytes into a format's first folder, and note what its reader finds; whether it was not there yet.

    Raises :class:`Refused` where the name is taken, and :class:`BadInput` for what the reader does not read.
    """
    try:
        below(name)
    except ValueError as error:
        raise BadInput(f"--name {name}: {error}") from error
    folder = format_.folders[0]
    manifest = load(folder)
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / name
    if (known := manifest.files.get(name)) is not None:
        if known.sha256 == sha256:
            return False
        raise Refused(f"{path}: is there with other bytes; golden files do not change: give it a name with --name")
    found, nothing = (_read(path, bytes_, format_.read) for bytes_ in (data, b""))
    file = GoldenFile(sha256=sha256, made_by=made_by, shows=shows, finds=found.value)
    if wrong := misread(file, found, nothing, empty=not data):
        raise BadInput(f"{name}: {wrong}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        (folder / MANIFEST).write_bytes(manifest.having(name, file).to_json())
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from error
    return True


def in_process(reader: Callable[[Path], object]) -> Read:
    """Return one of our own readers as what :func:`check` calls."""

    def read(path: Path) -> Found:
        try:
            return Found(value=json.loads(json.dumps(reader(path))))
        except UNREADABLE as error:
            reason = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
            return Found(failure=" ".join(reason.split()))

    return read


def by_program(reader: Reader, base: Path, *, timeout: float = TIMEOUT) -> Read:
    """Return a user's reader as what :func:`check` calls; ``base`` is the matrix's folder, where it runs."""
    command = reader.command or (
        sys.executable,
        "-P",
        str(_CALL),
        str((base / reader.folder).absolute()),
        reader.callable,
    )

    def read(path: Path) -> Found:
        try:
            ended = process.run([*command, str(path.absolute())], cwd=base, env=_environment(), timeout=timeout)
        except process.CannotStart as error:
            return Found(failure=f"the reader {error}")
        if ended.timed_out:
            return Found(failure=f"the reader was not done after {timeout:g} s")
        if ended.returncode:
            last = next(
                (line.strip() for line in reversed(ended.stderr.splitlines()) if line.strip()), "it said nothing"
            )
            return Found(failure=f"the reader ended with {ended.returncode}: {last}")
        try:
            return Found(value=json.loads(ended.stdout))
        except (ValueError, RecursionError):
            return Found(failure=f"the reader printed {_first(ended.stdout)}, expected JSON")

    return read


def _environment() -> dict[str, str]:
    """What it prints is UTF-8, whatever the locale, and it leaves nothing beside the user's modules."""
    return {**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _first(text: str) -> str:
    line: Any = next(iter(text.splitlines()), "")
    return repr(line[:60]) if line else "nothing"
