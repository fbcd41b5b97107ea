"""What a matrix says of a project's page: its status (PEP 792), whom it extends (PEP 708), where the index is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

ACTIVE = "active"
ARCHIVED = "archived"
QUARANTINED = "quarantined"
DEPRECATED = "deprecated"
STATES = (ACTIVE, ARCHIVED, QUARANTINED, DEPRECATED)
"""PEP 792: "A project always has exactly one status. If no status is explicitly noted, … ``active``"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A project's status marker, and why, for people."""

    state: str = ACTIVE
    reason: str = ""

    @property
    def closed(self) -> bool:
        """PEP 792 of both: "MUST NOT allow uploads of new distributions to the project"."""
        return self.state in {ARCHIVED, QUARANTINED}

    def __str__(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is said of one project; nothing said is the default of each."""

    status: Status = Status()
    tracks: tuple[str, ...] = ()
    """PEP 708: the project's pages at the repositories that it extends; whoever runs the index says so."""
    alternate_locations: tuple[str, ...] = ()
    """PEP 708: its pages at other repositories that share its name, by agreement of all of them."""
    index_url: str | None = None
    """The index's address as installers see it, with a slash at its end."""

    @property
    def digest(self) -> str | None:
        """Return what tells these settings from others, 16 hex digits; None where nothing is said."""
        if self == Settings():
            return None
        said = [self.status.state, self.status.reason, self.tracks, self.alternate_locations, self.index_url]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

    def metas(self) -> tuple[tuple[str, str], ...]:
        """Return the names and contents of the meta elements of the project's HTML page."""
        status = self.status
        return (
            *([("pypi:project-status", status.state)] if status != Status() else []),
            *([("pypi:project-status-reason", status.reason)] if status.reason else []),
            *(("pypi:tracks", url) for url in self.tracks),
            *(("pypi:alternate-locations", url) for url in self.alternate_locations),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the keys of the project's JSON page."""
        status = {"status": self.status.state, **({"reason": self.status.reason} if self.status.reason else {})}
        made: dict[str, Any] = {"project-status": status} if self.status != Status() else {}
        return made | ({"alternate-locations": list(self.alternate_locations)} if self.alternate_locations else {})

    def to_meta(self) -> dict[str, Any]:
        """Return the keys of the JSON page's ``meta``."""
        made: dict[str, Any] = {"tracks": list(self.tracks)} if self.tracks else {}
        return made | ({"_index-url": self.index_url} if self.index_url else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a matrix says of projects. A project that it does not name keeps the settings that it has."""

    projects: Mapping[NormalizedName, Settings] = field(default_factory=dict)
    index_url: str | None = None

    def of(self, name: NormalizedName) -> Settings | None:
        """Return all that a project is to have, None for one that is not named."""
        found = self.projects.get(name)
        return None if found is None else replace(found, index_url=self.index_url)

    def settings(self, name: NormalizedName, now: Settings) -> Settings:
        """Return the settings that a project is to have, which has these ``now``."""
        return self.of(name) or replace(now, index_url=self.index_url)
