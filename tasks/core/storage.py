"""What is asked of a store, and what it answers, as values: the protocol of publishing speaks in these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Kind(Enum):
    """What an object is: decides its content type, how long it may be cached, and whether it must outlive a power cut.

    ``durable`` objects are on disk before a put returns; a page that the state can render again need not be.
    """

    WHEEL = ("application/zip", "public, max-age=31536000, immutable", True)
    METADATA = ("text/plain; charset=utf-8", "public, max-age=31536000, immutable", True)
    RECORD = ("application/json", "public, max-age=31536000, immutable", True)
    LOG = ("application/gzip", "public, max-age=31536000, immutable", True)
    VISIT = ("application/json", "public, max-age=31536000, immutable", True)
    STATE = ("application/vnd.pypi.simple.v1+json", "public, max-age=60", True)
    PAGE = ("text/html; charset=utf-8", "public, max-age=60", False)

    def __init__(self, content_type: str, cache_control: str, durable: bool) -> None:  # noqa: FBT001 a table row
        self.content_type = content_type
        self.cache_control = cache_control
        self.durable = durable


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
    """Ask for an object: answered by ``Stored | None``."""

    path: str


@dataclass(frozen=True, slots=True)
class Inspect:
    """Ask what a stored wheel is, as its own bytes say: answered by a ``protocol.Candidate``, or by why it is none."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """Put an object, from memory or from a local file: answered by ``Written | Changed``."""

    path: str
    data: bytes | Path
    kind: Kind
    condition: Condition = None


Operation = Get | Inspect | Put
