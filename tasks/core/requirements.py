"""Build requirements that have no wheel for a worker: which sdist they are built from first, and under what rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from tasks.core.actions import Action, Sdist
from tasks.core.errors import Failed
from tasks.core.matrix import Rules
from tasks.core.releases import admits, parse_requires_python, specifiers_admit
from tasks.core.resolution import LATEST, Unresolved, resolve
from tasks.core.targets import PythonTag
from tasks.core.wheels import ExpectedWheel, WheelName, suits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tasks.core.jobs import BuiltFile
    from tasks.core.releases import Project, Release

DEEPEST = 8
"""How far requirements may require each other's builds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A project that a build requires, and which versions of it."""

    name: NormalizedName
    specifiers: SpecifierSet

    def __str__(self) -> str:
        return f"{self.name}{self.specifiers}"

    @classmethod
    def parse(cls, asked: Sequence[str], python: PythonTag) -> Need:
        """Read what a helper says is asked of one project (PEP 508), its name first. Raises ``ValueError``.

        What is asked for other versions of Python does not count.
        """
        try:
            wishes = [Requirement(text) for text in asked]
        except InvalidRequirement as error:
            raise ValueError(str(error)) from error
        (name, *others) = {canonicalize_name(wish.name): None for wish in wishes}
        if others:
            raise ValueError(f"it is about {name} and {', '.join(others)}")
        here = {"python_version": python.dotted, "python_full_version": f"{python.dotted}.0"}
        specifiers = SpecifierSet()
        for wish in wishes:
            if wish.marker is None or wish.marker.evaluate({**here, "extra": ""}):
                specifiers &= wish.specifier
        return cls(name=name, specifiers=specifiers)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRequirement:
    """A build requirement that was built from its sdist, on the worker, before it was installed."""

    action: Action
    wheel: BuiltFile
    folder: str
    """The directory that the wheel is in; the worker's."""
    requirements: tuple[str, ...] = ()
    """Its own build environment, as resolved."""
    built_first: tuple[BuiltRequirement, ...] = ()
    """Those of its own build requirements that had to be built, too."""

    @property
    def pinned(self) -> str:
        """What it is: ``maturin==1.9.4``."""
        return f"{canonicalize_name(self.action.package)}=={self.action.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWheel:
    """A wheel that this run, a former one or the team's index had for a requirement."""

    filename: str
    sha256: str

    @property
    def name(self) -> WheelName:
        """The file name, parsed."""
        return WheelName.parse(self.filename)


def newest_that_does(need: Need, parent: Action, filenames: Iterable[str]) -> tuple[str, ...]:
    """Return those wheels that do for what ``parent`` requires, by their names; the one to take comes first.

    Final releases go before others, as installers have it.
    """
    python = _plain(parent.python)
    place = ExpectedWheel(
        name=need.name,
        version=parent.version,
        build=(),
        interpreter=python.interpreter,
        abi=python.abi,
        platforms=parent.wheel.platforms,
    )
    fitting = []
    for filename in sorted(filenames):
        try:
            name = WheelName.parse(filename)
        except ValueError:
            continue
        right = name.name == need.name and need.specifiers.contains(name.version, prereleases=True)
        if right and suits(name.tags, place, native=False):
            fitting.append((not name.version.is_prerelease, name.version, name.build, filename))
    return tuple(filename for *_, filename in sorted(fitting, reverse=True))


def runs_on(requires_python: str | None, parent: Action) -> bool:
    """Whether a wheel with this ``Requires-Python`` installs on the interpreter that ``parent`` is for."""
    return specifiers_admit(parse_requires_python(requires_python or ""), parent.python.dotted)


def with_nested(found: Iterable[BuiltRequirement]) -> tuple[BuiltRequirement, ...]:
    """Return requirements and what was built for them, each once, sorted."""
    every: dict[str, BuiltRequirement] = {}
    for each in found:
        every[each.action.key] = each
        every.update({inner.action.key: inner for inner in with_nested(each.built_first)})
    return tuple(sorted(every.values(), key=lambda each: (each.pinned, each.action.key)))


def planned_action(need: Need, parent: Action, planned: Iterable[Action]) -> Action | None:
    """Return the newest of the plan's own actions that does for a requirement: it has the matrix's rules for that."""
    python = _plain(parent.python)
    fitting = [
        action
        for action in planned
        if canonicalize_name(action.package) == need.name
        and _plain(action.python) == python
        and (action.instance, action.arch) == (parent.instance, parent.arch)
        and need.specifiers.contains(action.version, prereleases=True)
    ]
    return max(fitting, key=lambda action: (action.version, action.key), default=None)


def action_for(need: Need, project: Project, parent: Action) -> Action:
    """Return the action that builds a requirement from the newest sdist that does. Raises :class:`Failed`.

    It gets the variables of the action that requires it, and the network if that has it: those are mostly the target's.
    """
    interpreter = Version(parent.python.dotted)
    try:
        release = resolve(
            project,
            need.specifiers or LATEST,
            called=need.name,
            fits=lambda release: release.sdist is not None and admits(release, interpreter),
        ).release
    except Unresolved as error:
        raise Failed(f"the requirement {need} cannot be built: {error}") from error
    python = _plain(parent.python)
    return Action(
        package=need.name,
        target=parent.target,
        instance=parent.instance,
        arch=parent.arch,
        python=python,
        wheel=ExpectedWheel(
            name=need.name,
            version=release.version,
            build=(),
            interpreter=python.interpreter,
            abi=python.abi,
            platforms=parent.wheel.platforms,
        ),
        sdist=_sdist(need, release, parent),
        rules=Rules(env=parent.rules.env, network=parent.rules.network, timeout=parent.rules.timeout),
        native=False,
    )


def _sdist(need: Need, release: Release, parent: Action) -> Sdist:
    found = release.sdist
    named = f"the requirement {need} cannot be built: {need.name} {release.version}"
    if found is None:
        raise Failed(f"{named} has no sdist")
    if not admits(release, Version(parent.python.dotted)):
        raise Failed(f"{named} requires Python {release.requires_python}, which {parent.python.tag} is not")
    if found.sha256 is None:
        raise Failed(f"{named} has no sha256 on the public index, so its sdist cannot be trusted")
    return Sdist(filename=found.filename, url=found.url, sha256=found.sha256, size=found.size)


def _plain(python: PythonTag) -> PythonTag:
    return PythonTag.parse(python.tag)
