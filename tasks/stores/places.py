"""The places that an index may live in; ``open_store`` chooses by the location's scheme."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tasks.core.addresses import without_credentials
from tasks.core.errors import BadInput
from tasks.stores.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.stores import Store


def _s3(location: str) -> Store:
    from tasks.stores.s3 import S3Store  # noqa: PLC0415 - boto3 is heavy, and an index in a directory needs none

    return S3Store(location)


def is_bucket(location: str) -> bool:
    """Whether a location is a bucket, which others serve as it is, rather than a directory."""
    return _scheme(location) == "s3"


STORES: dict[str, Callable[[str], Store]] = {"": DirectoryStore, "s3": _s3}


def open_store(location: str) -> Store:
    """Open the store at a location: a directory's path, or ``scheme://…``. Raises :class:`BadInput`."""
    name = _scheme(location)
    if name in {"http", "https"}:
        shown = without_credentials(location)
        raise BadInput(f"the index {shown} is read over HTTP, which plan alone can do: name where it lies itself")
    if not location or name not in STORES or _MISSPELT.match(location):
        raise BadInput(f"the index is {location or '(empty)'!r}, expected a directory or s3://bucket/prefix")
    return STORES[name](location)


_MISSPELT = re.compile(r"\s*(?:s3|https?):(?!//)|\s+[A-Za-z][A-Za-z0-9+.-]*://", re.IGNORECASE)
"""What would be a directory here, and is gone with the machine of the job that published to it."""


def _scheme(location: str) -> str:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", location)
    return scheme[1].lower() if scheme else ""
