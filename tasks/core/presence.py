"""What an index has, as planning needs it: wheels by version, and whether one of them does on a target.

A page or a listing becomes :class:`Shelf` values once; a planning run then compares sets of tags and parses no name.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_version

from tasks.core.releases import parse_requires_python, specifiers_admit
from tasks.core.targets import ABI3
from tasks.core.wheels import WheelName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.tags import Tag
    from packaging.utils import BuildTag, NormalizedName
    from packaging.version import Version

    from tasks.core.index import ProjectPage
    from tasks.core.targets import PythonTag, Target


@dataclass(frozen=True, slots=True)
class ShelfWheel:
    """One wheel of an index, its name parsed."""

    filename: str
    build: BuildTag
    tags: frozenset[Tag]
    recipe: str | None = None
    """The recipe key that it was built by, where that is known."""
    yanked: str | None = None
    """None: not yanked. Else the reason, which may be empty (PEP 592)."""
    requires_python: str | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """The wheels of one project, by version as :func:`version_key` writes it, sorted by file name."""

    wheels: Mapping[str, tuple[ShelfWheel, ...]]

    @classmethod
    def of_page(cls, page: ProjectPage) -> Shelf:
        """Take what a project's page lists; what is no wheel of the project is left out."""
        rows = ((file.filename, file.recipe, file.yanked, file.requires_python) for file in page.files)
        return shelves(rows).get(page.name, cls({}))

    def of_version(self, version: Version) -> tuple[ShelfWheel, ...]:
        """Return the wheels of a version; ``1.0`` is ``1.0.0``."""
        return self.wheels.get(version_key(version), ())


def shelves(
    files: Iterable[tuple[str, str | None, str | None, str | None]],
) -> dict[NormalizedName, Shelf]:
    """Sort files by project: their names, each with its recipe key, yank and ``requires-python`` where known."""
    found: dict[NormalizedName, dict[str, list[ShelfWheel]]] = defaultdict(lambda: defaultdict(list))
    for filename, recipe, yanked, requires_python in sorted(files, key=lambda file: file[0]):
        try:
            name = WheelName.parse(filename)
        except ValueError:
            continue  # an sdist, or what nobody can install
        wheel = ShelfWheel(filename, name.build, name.tags, recipe, yanked, requires_python)
        found[name.name][version_key(name.version)].append(wheel)
    return {
        name: Shelf({version: tuple(wheels) for version, wheels in by_version.items()})
        for name, by_version in found.items()
    }


def version_key(version: Version) -> str:
    """Return one text for all spellings of a version (PEP 440): ``1`` for ``1.0`` and ``1.0.0``."""
    return canonicalize_version(version)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a wheel is to install: a target with one of its interpreters. What was found out is kept."""

    target: Target
    python: PythonTag
    accepted: tuple[frozenset[Tag], ...]
    """For each platform tag of the target, every tag that installs there."""
    _native: dict[frozenset[Tag], bool] = field(default_factory=dict)
    _any: dict[frozenset[Tag], bool] = field(default_factory=dict)
    _admitted: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Target, python: PythonTag) -> Site:
        """Work out the tags that install."""
        each = (replace(target, platforms=(platform,)).install_tags(python) for platform in target.platforms)
        return cls(target, python, tuple(each))

    def takes(self, tags: frozenset[Tag], *, native: bool) -> bool:
        """Whether a wheel of these tags installs, on each of the target's platforms.

        A ``none-any`` wheel is no answer for a native package, nor is one interpreter's where ``abi3`` is asked for.
        """
        known = self._native if native else self._any
        if tags not in known:
            counted = {
                tag
                for tag in tags
                if not (native and tag.platform == "any")
                and not (self.python.abi == ABI3 and tag.abi not in {ABI3, "none"})
            }
            known[tags] = not any(counted.isdisjoint(accepted) for accepted in self.accepted)
        return known[tags]

    def admitted(self, requires_python: str) -> bool:
        """Whether a wheel's ``requires-python`` admits the interpreter."""
        if requires_python not in self._admitted:
            specifiers = parse_requires_python(requires_python)
            self._admitted[requires_python] = specifiers_admit(specifiers, self.python.dotted)
        return self._admitted[requires_python]


class Sites:
    """Every place of a planning run, each worked out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, PythonTag], Site] = {}

    def at(self, target: Target, python: PythonTag) -> Site:
        """Return a target with one of its interpreters."""
        key = (target.name, python)
        site = self._known.get(key)
        if site is None:
            site = self._known[key] = Site.of(target, python)
        return site


def find(wheels: Iterable[ShelfWheel], site: Site, *, native: bool, revision: int | None) -> ShelfWheel | None:
    """Return a wheel that does, a yanked one only where there is no other; its build tag is not below ``revision``."""
    least: BuildTag = () if revision is None else (revision, "")
    yanked: ShelfWheel | None = None
    for wheel in wheels:
        if not site.takes(wheel.tags, native=native) or wheel.build < least:
            continue
        if wheel.requires_python and not site.admitted(wheel.requires_python):
            continue
        if wheel.yanked is None:
            return wheel
        yanked = yanked or wheel
    return yanked
