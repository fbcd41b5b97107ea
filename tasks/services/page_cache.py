"""Keeps the pages of an index on disk in parsed form, so that a page that has not changed is never parsed again.

A cache file is two lines of JSON: what is needed to ask whether the page has changed, and the project. A file of
another format, or a damaged one, is no cache at all; nothing here ever fails an operation.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from tasks.core.releases import Kind, Project, ProjectFile, Release, ServedWheel, parse_requires_python

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName

FORMAT = 1
"""Raised with every change of what :func:`write_page` writes, or of what is taken out of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedPage:
    """A page as it was seen last."""

    etag: str
    last_modified: str
    digest: str
    """The sha256 of the page, for servers that have no validators."""
    parsed: bytes
    """The project, not decoded yet: see :func:`project_of`."""


def read_page_cache(path: Path) -> CachedPage | None:
    """Return the page that ``path`` holds; ``None`` where it holds none that can be used."""
    try:
        head, _, parsed = path.read_bytes().partition(b"\n")
        fields = json.loads(head)
        if fields["format"] != FORMAT or fields["parsed"] != hashlib.sha256(parsed).hexdigest():
            return None
        return CachedPage(
            etag=fields["etag"], last_modified=fields["last_modified"], digest=fields["digest"], parsed=parsed
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_page(path: Path, project: Project, *, etag: str, last_modified: str, digest: str) -> None:
    """Replace the cache file, at once and whole; where that cannot be done there is just no cache."""
    parsed = json.dumps(_encode(project), separators=(",", ":")).encode()
    fields = {
        "format": FORMAT,
        "etag": etag,
        "last_modified": last_modified,
        "digest": digest,
        "parsed": hashlib.sha256(parsed).hexdigest(),
    }
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(json.dumps(fields).encode() + b"\n" + parsed)
        part.replace(path)


def project_of(page: CachedPage) -> Project:
    """Decode the project of a page."""
    document = json.loads(page.parsed)
    name: NormalizedName = document["name"]
    return Project(
        name=name,
        releases=tuple(_decode_release(row) for row in document["releases"]),
        dated=document["dated"],
        skipped=document["skipped"],
    )


def _encode(project: Project) -> dict[str, Any]:
    return {
        "name": project.name,
        "dated": project.dated,
        "skipped": project.skipped,
        "releases": [
            [
                str(release.version),
                release.sdist and _encode_sdist(release.sdist),
                [_encode_wheel(wheel, release) for wheel in release.wheels],
                release.yanked,
                release.yanked_reason,
                _text(release.requires_python),
                release.upload_time and release.upload_time.isoformat(),
            ]
            for release in project.releases
        ],
    }


def _decode_release(row: list[Any]) -> Release:
    version_text, sdist, wheels, yanked, reason, requires_text, uploaded = row
    version = Version(version_text)
    requires_python = _specifiers(requires_text)
    return Release(
        version=version,
        sdist=sdist and _decode_sdist(sdist, version),
        wheels=tuple(_decode_wheel(wheel, requires_python) for wheel in wheels),
        yanked=yanked,
        yanked_reason=reason,
        requires_python=requires_python,
        upload_time=uploaded and datetime.fromisoformat(uploaded),
    )


def _encode_sdist(file: ProjectFile) -> list[Any]:
    return [
        file.filename,
        file.url,
        file.sha256,
        file.size,
        _text(file.requires_python),
        file.yanked,
        file.yanked_reason,
        file.upload_time and file.upload_time.isoformat(),
    ]


def _decode_sdist(row: list[Any], version: Version) -> ProjectFile:
    filename, url, sha256, size, requires_text, yanked, reason, uploaded = row
    return ProjectFile(
        filename=filename,
        url=url,
        version=version,
        kind=Kind.SDIST,
        sha256=sha256,
        size=size,
        requires_python=_specifiers(requires_text),
        yanked=yanked,
        yanked_reason=reason,
        upload_time=uploaded and datetime.fromisoformat(uploaded),
    )


def _encode_wheel(wheel: ServedWheel, release: Release) -> str | list[Any]:
    """Most wheels are like their release, and then the file name tells all."""
    if not wheel.yanked and wheel.requires_python == release.requires_python:
        return wheel.filename
    return [wheel.filename, _text(wheel.requires_python), wheel.yanked]


def _decode_wheel(row: str | list[Any], requires_python: SpecifierSet | None) -> ServedWheel:
    if isinstance(row, str):
        return ServedWheel(row, requires_python)
    filename, requires_text, yanked = row
    return ServedWheel(filename, _specifiers(requires_text), yanked)


def _text(specifiers: SpecifierSet | None) -> str | None:
    return None if specifiers is None else str(specifiers)


def _specifiers(text: str | None) -> SpecifierSet | None:
    return None if text is None else parse_requires_python(text)
