"""Finds the sdists of build requirements: on the index that the plan's own sdists come from."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.core.addresses import without_credentials
from tasks.core.errors import Failed, Refused, ServiceFailed
from tasks.services.public_index import NoSuchProject, PublicIndex
from tasks.services.sources import fetch_sources

if TYPE_CHECKING:
    from tasks.core.actions import Action
    from tasks.core.releases import Project
    from tasks.services.pip_config import PipSettings
    from tasks.services.sources import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementSdists:
    """What the index says of build requirements; each page is asked for once. Threads may share it."""

    url: str | None
    """The index, as the plan names it: without user info. pip's configuration may add that."""
    cache: Path
    settings: PipSettings
    beside: Path = Path()
    """The plan's folder."""
    _pages: dict[str, Project] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def project(self, name: str) -> Project:
        """Return what the index serves of a project. Raises :class:`Failed` with the reason where it does not."""
        name = canonicalize_name(name)
        with self._lock:
            if name not in self._pages:
                self._pages[name] = self._ask(name)
            return self._pages[name]

    def fetch(self, action: Action) -> Sources:
        """Return the sdist, fetched and its digest checked, and the patches. Raises :class:`Failed`."""
        try:
            sources, lacking = fetch_sources([action], self.cache / "sdists", self.settings, self.beside)
        except (ServiceFailed, Refused) as error:
            raise Failed(str(error)) from error
        if action.key in lacking:
            raise Failed(str(lacking[action.key]))
        return sources[action.key]

    def _ask(self, name: str) -> Project:
        own = self.settings.index_url
        declared = None if own and without_credentials(own).rstrip("/") == (self.url or "").rstrip("/") else self.url
        if declared is None and own is None:
            raise Failed(f"the plan does not name the index that {name} could come from; run nox -s plan again")
        try:
            with PublicIndex(declared, self.cache / "simple", settings=self.settings) as index:
                (answer,) = index.fetch([name]).values()
        except ServiceFailed as error:
            raise Failed(str(error)) from error
        if isinstance(answer, NoSuchProject):
            raise Failed(answer.message)
        return answer
