"""Looks into an sdist without unpacking it (PEP 625, and the zip archives of old)."""

from __future__ import annotations

import tarfile
import zipfile  # noqa: TID251 - for sdists, as tasks.wheelfile is for wheels
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1 << 20
"""Bytes of a ``pyproject.toml`` that are read."""


def read_pyproject(sdist: Path) -> bytes | None:
    """Return an sdist's ``pyproject.toml``; ``None`` where it has none, or cannot be read: the worker says why."""
    try:
        return _from_zip(sdist) if sdist.suffix == ".zip" else _from_tar(sdist)
    except (OSError, EOFError, RuntimeError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error):
        return None


def read_names(sdist: Path) -> tuple[str, ...]:
    """Return the paths of an sdist's files, in its order; none where it cannot be read: the worker says why."""
    try:
        if sdist.suffix == ".zip":
            with zipfile.ZipFile(sdist) as archive:
                return tuple(name for name in archive.namelist() if not name.endswith("/"))
        with tarfile.open(sdist, "r|*") as archive:
            return tuple(member.name for member in archive if member.isreg())
    except (OSError, EOFError, RuntimeError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error):
        return ()


def _from_tar(sdist: Path) -> bytes | None:
    with tarfile.open(sdist, "r|*") as archive:
        for member in archive:
            if _is_pyproject(member.name) and member.isreg():
                file = archive.extractfile(member)
                return file.read(LIMIT) if file else None
    return None


def _from_zip(sdist: Path) -> bytes | None:
    with zipfile.ZipFile(sdist) as archive:
        for name in archive.namelist():
            if _is_pyproject(name):
                with archive.open(name) as file:
                    return file.read(LIMIT)
    return None


def _is_pyproject(name: str) -> bool:
    parts = [part for part in name.split("/") if part != "."]
    return len(parts) == 2 and parts[1] == "pyproject.toml"  # noqa: PLR2004 - the top directory, and the file in it
