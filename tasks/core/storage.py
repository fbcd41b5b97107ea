"""What is asked of a store, and what it answers, as values: the protocol of publishing speaks in these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path


_FOR_EVER = "public, max-age=31536000, immutable"
_SHORT = "public, max-age=60"


class Kind(Enum):
    """What an object is."""

    WHEEL = "wheel"
    METADATA = "metadata"
    RECORD = "record"
    LOG = "log"
    VISIT = "visit"
    PROVENANCE = "provenance"
    STATE = "state"
    PAGE = "page"
    JSON_PAGE = "json page"
    RELEASE = "release"
    PROBE = "probe"

    @property
    def content_type(self) -> str:
        """The media type that it is served as."""
        return _CONTENT_TYPES[self]

    @property
    def cache_control(self) -> str:
        """How long it may be cached: what never changes for ever, pages for a minute."""
        return _SHORT if self in {Kind.STATE, Kind.PROBE, *_RENDERED} else _FOR_EVER

    @property
    def durable(self) -> bool:
        """Whether it must be on disk before a put returns; a page can be rendered from its state again."""
        return self not in _RENDERED


_RENDERED = {Kind.PAGE, Kind.JSON_PAGE, Kind.RELEASE}

_CONTENT_TYPES = {
    Kind.WHEEL: "application/zip",
    Kind.METADATA: "text/plain; charset=utf-8",
    Kind.RECORD: "application/json",
    Kind.LOG: "application/gzip",
    Kind.VISIT: "application/json",
    Kind.PROVENANCE: "application/json",
    Kind.STATE: "application/vnd.pypi.simple.v1+json",
    Kind.PAGE: "text/html; charset=utf-8",
    Kind.JSON_PAGE: "application/vnd.pypi.simple.v1+json",
    Kind.RELEASE: "application/json",
    Kind.PROBE: "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object's bytes, and the token that its next replacement must name."""

    data: bytes
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An object's token and its size in bytes."""

    token: str
    size: int
    sha256: str | None = None
    """What the store knows to be the sha256 of the whole object, 64 hex digits; None: nobody knows without reading."""


@dataclass(frozen=True, slots=True)
class IfMatch:
    """Put only over the object that has this token."""

    token: str


class Absent(Enum):
    """Put only where there is no object yet: ``IF_ABSENT``."""

    IF_ABSENT = "if absent"


IF_ABSENT = Absent.IF_ABSENT

Condition = IfMatch | Absent | None
"""None puts whatever is there."""


@dataclass(frozen=True, slots=True)
class Written:
    """The put was done; the token is the new object's."""

    token: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The put was not done, because its condition did not hold: somebody else has been there."""


@dataclass(frozen=True, slots=True)
class Get:
    """Ask for an object: answered by ``Stored | None``, or by the reason why this one cannot be read."""

    path: str


@dataclass(frozen=True, slots=True)
class Look:
    """Ask what the store knows of an object: answered by ``Head | None``, or by the reason why it cannot be read."""

    path: str


@dataclass(frozen=True, slots=True)
class Inspect:
    """Ask what a stored wheel is by its own bytes: answered by a ``Candidate``, or by the reason why it is none."""

    path: str
    sha256: str | None = None
    """What the store knows to be the wheel's sha256: then a store elsewhere is asked for its directory and metadata
    alone. Without it the whole wheel is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Put an object, from memory or from a local file: answered by ``Written | Changed``."""

    path: str
    data: bytes | Path
    kind: Kind
    condition: Condition = None
    sha256: str | None = None
    """What the data's sha256 must turn out to be, 64 hex digits."""


Request = Get | Look | Inspect | Put
"""What a store is asked."""


@dataclass(frozen=True, slots=True)
class Together:
    """Do what several generators ask for, side by side in any order: answered by the list of what they return.

    They are taken from the iterable one by one, when there is room for another one.
    """

    steps: Iterable[Generator[Operation, Any, Any]]


Operation = Request | Together
