"""The public index as one planning run sees it: which release is meant, and whether its wheels do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from tasks.core.presence import Sites, find, shelves
from tasks.core.releases import Project, Release, admits
from tasks.core.resolution import Resolution, Unresolved, resolve
from tasks.core.targets import ABI3, PythonTag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from packaging.utils import NormalizedName

    from tasks.core.matrix import Rules, Wanted
    from tasks.core.presence import ShelfWheel, Site


class Upstream:
    """Answers about wanted wheels; what several of them share is worked out once.

    ``projects`` are the public index's answers; text says why there is none. ``newer_than`` is the cooldown's end: see
    :func:`tasks.core.resolution.resolve`.
    """

    def __init__(
        self,
        projects: Mapping[NormalizedName, Project | str],
        *,
        newer_than: datetime | None = None,
        sites: Sites | None = None,
    ) -> None:
        self._projects = projects
        self._newer_than = newer_than
        self.sites = sites or Sites()
        self._resolved: dict[tuple[NormalizedName, str, str], Resolution] = {}
        self._wheels: dict[tuple[NormalizedName, Version], tuple[ShelfWheel, ...]] = {}

    def resolve(self, wanted: Wanted) -> Resolution:
        """Return the release that is meant. Raises :class:`Unresolved`."""
        key = (wanted.name, wanted.text, wanted.python.dotted)
        if key not in self._resolved:
            project = self._projects.get(wanted.name, "the public index was not asked")
            if isinstance(project, str):
                raise Unresolved(project)
            interpreter = Version(wanted.python.dotted)
            self._resolved[key] = resolve(
                project,
                wanted.request,
                called=wanted.package,
                newer_than=self._newer_than,
                fits=lambda release: admits(release, interpreter) and release.sdist is not None,
            )
        return self._resolved[key]

    def native(self, wanted: Wanted, release: Release, rules: Rules) -> bool:
        """Whether a wheel for every platform is none: the matrix says so, or the release has a platform wheel."""
        if rules.native is not None:
            return rules.native
        return any(tag.platform != "any" for wheel in self._served(wanted.name, release) for tag in wheel.tags)

    def wheels_for(self, wanted: Wanted, release: Release, *, native: bool) -> tuple[str, ...]:
        """Return the wheels of the release that make a build needless, by file name; none where one is missing.

        A yanked wheel does not, nor one whose own ``requires-python`` excludes the interpreter. An ``abi3`` wheel is
        for all interpreters of its target from its own on, so the public index must serve each of them.
        """
        served = [wheel for wheel in self._served(wanted.name, release) if wheel.yanked is None]
        found: dict[str, None] = {}
        for site in self._reach(wanted):
            wheel = find(served, site, native=native, revision=None)
            if wheel is None:
                return ()
            found[wheel.filename] = None
        return tuple(found)

    def _reach(self, wanted: Wanted) -> Iterator[Site]:
        own = wanted.python
        yield self.sites.at(wanted.target, PythonTag.parse(own.tag))
        if own.abi == ABI3:
            for python in wanted.target.pythons:
                if python.version > own.version and not python.free_threaded:
                    yield self.sites.at(wanted.target, PythonTag.parse(python.tag))

    def _served(self, name: NormalizedName, release: Release) -> tuple[ShelfWheel, ...]:
        key = (name, release.version)
        if key not in self._wheels:
            rows = (
                (
                    wheel.filename,
                    None,
                    "" if wheel.yanked else None,
                    None if wheel.requires_python is None else str(wheel.requires_python),
                )
                for wheel in release.wheels
            )
            shelf = shelves(rows).get(name)
            self._wheels[key] = shelf.of_version(release.version) if shelf else ()
        return self._wheels[key]
