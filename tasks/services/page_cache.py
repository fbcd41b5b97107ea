"""Keeps the pages of an index on disk by release, so that a page that has not changed is never parsed again.

A cache file is two lines of JSON: what is needed to ask whether the page has changed, and what it lists. A file of
another format, or a damaged one, is no cache at all; nothing here ever fails an operation.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from tasks.core.listing import Listing

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 3
"""Raised with every change of what :func:`write_page` writes, or of what is taken out of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedPage:
    """A page as it was seen last."""

    etag: str
    last_modified: str
    digest: str
    """The sha256 of the page, for servers that have no validators."""
    parsed: bytes
    """What it lists, not decoded yet: see :func:`listing_of`."""


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


def write_page(path: Path, page: Listing, *, etag: str, last_modified: str, digest: str) -> None:
    """Replace the cache file, at once and whole; where that cannot be done there is just no cache."""
    parsed = json.dumps(_encode(page), separators=(",", ":")).encode()
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


def listing_of(page: CachedPage) -> Listing:
    """Decode a page."""
    document = json.loads(page.parsed)
    return Listing(
        name=document["name"],
        files={Version(version): files for version, files in document["files"].items()},
        skipped=document["skipped"],
    )


def _encode(page: Listing) -> dict[str, Any]:
    return {
        "name": page.name,
        "skipped": page.skipped,
        "files": {str(version): files for version, files in page.files.items()},
    }
