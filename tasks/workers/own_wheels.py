"""The wheels that are ours already: ``dist``, then the team's index. What no other index has may be among them."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Protocol

from tasks.core.errors import Failed, ServiceFailed
from tasks.core.index import LIST_PATH, ProjectPage, page_path, wheel_path
from tasks.core.project_list import ProjectList
from tasks.core.requirements import newest_that_does, runs_on
from tasks.core.settings import QUARANTINED
from tasks.wheelfile import UnreadableWheel, read_headers

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName

    from tasks.core.actions import Action
    from tasks.core.index_file import IndexFile
    from tasks.core.requirements import Need
    from tasks.core.storage import Stored
    from tasks.distdir import DistDir


class OwnIndex(Protocol):
    """Our index, in a directory or on the web."""

    def get(self, path: str) -> Stored | None:
        """Return an object, None where there is none. Raises :class:`ServiceFailed`."""
        ...


class OwnWheels:
    """Finds a wheel of ours for a requirement. Threads may share it.

    It is asked only for what the public index has no wheel of, or nothing at all; what it gives is that file, and no
    installer looks for another. So no name of ours is looked up in two places, where the higher version would win.
    """

    def __init__(self, dist: DistDir, index: OwnIndex | None, folder: Path) -> None:
        self._dist = dist
        self._index = index
        self._folder = folder
        self._listed: frozenset[NormalizedName] | None = None
        self._pages: dict[NormalizedName, dict[str, IndexFile]] = {}
        self._lock = threading.Lock()

    def find(self, need: Need, parent: Action) -> Path | None:
        """Return the newest wheel that does for what ``parent`` requires. Raises :class:`Failed`."""
        made = self._dist.wheels_of(need.name)
        served = self._served(need.name)
        for filename in newest_that_does(need, parent, {*made, *served}):
            if filename in made:
                if _installs(made[filename], parent):
                    return made[filename]
            elif runs_on(served[filename].requires_python, parent):
                return self._fetched(served[filename])
        return None

    def _served(self, name: NormalizedName) -> dict[str, IndexFile]:
        """Return the wheels in the index's ``packages/`` that are not yanked, by file name; each page is read once."""
        if self._index is None:
            return {}
        with self._lock:
            if name not in self._pages:
                try:
                    page = self._page(self._index, name)
                except ServiceFailed as error:
                    raise Failed(str(error)) from error
                offered = page.files if page and page.settings.status.state != QUARANTINED else ()
                self._pages[name] = {file.filename: file for file in offered if file.yanked is None and not file.url}
            return self._pages[name]

    def _page(self, index: OwnIndex, name: NormalizedName) -> ProjectPage | None:
        """Return a project's page; which projects there are, the list says: a host may answer anything to the rest."""
        if self._listed is None:
            listing = index.get(LIST_PATH)
            projects = ProjectList.from_json(listing.data).projects if listing else ()
            self._listed = frozenset(project.name for project in projects)
        path = page_path(name)
        stored = index.get(path) if name in self._listed else None
        return ProjectPage.from_json(stored.data, path) if stored else None

    def _fetched(self, file: IndexFile) -> Path:
        place = self._folder / file.sha256 / file.filename
        with self._lock:
            if place.exists():
                return place
            path = wheel_path(file.filename)
            try:
                stored = self._index.get(path) if self._index else None
            except ServiceFailed as error:
                raise Failed(str(error)) from error
            found = hashlib.sha256(stored.data).hexdigest() if stored else "none: it is not there"
            if stored is None or found != file.sha256:
                raise Failed(f"our index has {path} with the sha256 {found}, its page says {file.sha256}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(stored.data)
        return place


def _installs(wheel: Path, parent: Action) -> bool:
    try:
        return runs_on(read_headers(wheel).get("Requires-Python"), parent)
    except (UnreadableWheel, FileNotFoundError):  # another run replaces it just now
        return False
