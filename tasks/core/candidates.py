"""Wheels on their way to the index, and what becomes of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from enum import Enum
from typing import TYPE_CHECKING

from tasks.core.index_file import IndexFile
from tasks.core.wheels import WheelName

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName

    from tasks.core.project_list import ListedProject
    from tasks.core.wheels import WheelContents


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A checked wheel that is to be on the index."""

    filename: str
    project: NormalizedName
    sha256: str
    """64 hex digits."""
    size: int
    """In bytes."""
    metadata: bytes
    """``METADATA``, byte for byte."""
    source: bytes | Path | None
    """Its bytes; None where they are in the index already."""
    record: bytes | None = None
    recipe: str | None = None
    """The recipe key that its record names."""
    log: bytes | Path | None = None
    provenance: bytes | None = None
    """Its attestations: a checked provenance object (PEP 740)."""
    note: str = ""
    """What is to be said of it, whatever becomes of it."""

    @classmethod
    def of(
        cls,
        contents: WheelContents,
        source: bytes | Path | None,
        *,
        record: bytes | None = None,
        recipe: str | None = None,
        log: bytes | Path | None = None,
        provenance: bytes | None = None,
    ) -> Candidate:
        """Make a candidate of a wheel that was read and found well-formed."""
        return cls(
            filename=contents.filename,
            project=WheelName.parse(contents.filename).name,
            sha256=contents.sha256,
            size=contents.size,
            metadata=contents.metadata,
            source=source,
            record=record,
            recipe=recipe,
            log=log,
            provenance=provenance,
        )

    def beside(self, *, recipe: str | None, provenance: bytes | None, note: str) -> Candidate:
        """Return the candidate with what was found beside it."""
        return replace(self, recipe=recipe, provenance=provenance, note=note)

    def entry(self, upload_time: str) -> IndexFile:
        """Return the wheel as its project's page lists it."""
        headers = HeaderParser().parsestr(self.metadata.decode("utf-8", "replace"))
        return IndexFile(
            filename=self.filename,
            sha256=self.sha256,
            size=self.size,
            upload_time=upload_time,
            requires_python=headers.get("Requires-Python"),
            core_metadata=hashlib.sha256(self.metadata).hexdigest(),
            attested=self.provenance is not None,
            recipe=self.recipe,
        )


class Outcome(Enum):
    """What became of a wheel, or, of the last kind, of a project's page."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    ADOPTED = "adopted"
    YANKED = "yanked"
    UNYANKED = "unyanked"
    REMOVED = "removed"
    CHANGED = "with other settings"
    REFUSED = "refused"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a wheel, and why where that needs saying."""

    filename: str
    outcome: Outcome
    note: str = ""
    listed: ListedProject | None = None
    """The wheel's project, as the list is to have it once that page is complete."""
