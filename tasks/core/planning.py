"""How planning decides, wheel by wheel: which release is meant, whether a wheel is there, what is left to build."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from packaging.version import Version

from tasks.core.actions import Action
from tasks.core.drafts import Unplannable, draft, pinned_release
from tasks.core.look import Look, Ours
from tasks.core.placement import NoExecutor, place
from tasks.core.plan import Plan, PlanError, Skipped
from tasks.core.presence import Sites
from tasks.core.resolution import LATEST, Unresolved
from tasks.core.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from packaging.tags import Tag
    from packaging.utils import BuildTag, NormalizedName

    from tasks.core.matrix import ConditionalRules, Instance, Matrix, PinnedSdist, Wanted
    from tasks.core.releases import Project, Release
    from tasks.core.resolution import Request
    from tasks.core.targets import Machine
    from tasks.core.wheels import ExpectedWheel

    _Same = tuple[NormalizedName, Version, BuildTag, frozenset[Tag]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What planning knows of the world."""

    ours: Ours
    projects: Mapping[NormalizedName, Project | str]
    """The public index, by project; text says why there is no answer."""
    newer_than: datetime | None = None
    """Releases uploaded after this are too young for ``latest``: the cooldown's end, with time zone."""
    sdist_index: str | None = None
    """The URL of the public index, without user info."""
    own_index: str | None = None
    """Where builds can read our own index: a directory, or a URL without user info."""
    own_projects: frozenset[NormalizedName] = frozenset()
    """Projects whose sdists the matrix gives."""
    machine: Machine | None = None
    """This machine, where something may be built on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What our index alone decides, and what it leaves open, in the order in which it was asked for."""

    skipped: tuple[Skipped, ...]
    open: tuple[Wanted, ...]
    warnings: frozenset[str]

    @property
    def questions(self) -> tuple[NormalizedName, ...]:
        """The projects that the public index has to be asked about, sorted; of a pinned sdist nothing is asked."""
        return tuple(sorted({each.name for each in self.open if each.sdist is None}))


def certain_questions(wanted: Iterable[Wanted]) -> frozenset[NormalizedName]:
    """Return the projects that the public index has to be asked about, whatever our index has.

    A project whose sdist the matrix gives is not among them: its version is exact.
    """
    return frozenset(each.name for each in wanted if not isinstance(each.request, Version))


def settle(wanted: Iterable[Wanted], ours: Ours) -> Settled:
    """Decide what needs no public index: exact versions that our index has.

    Where nothing says whether a package is native, only a wheel for its platform counts here.
    """
    look = Look(ours, Sites())
    skipped: list[Skipped] = []
    left: list[Wanted] = []
    for (request, sdist, *_), entry in groupby(wanted, key=_entry):
        if not isinstance(request, Version) or sdist is not None:
            left += entry
            continue
        rules, version = None, str(request)
        for each in entry:
            rules = rules or look.rules_for(each, request)
            found = look.find(each, request, rules, native=rules.native is not False)
            if found is None:
                left.append(each)
            else:
                skipped.append(_skipped(each, version, "present", look.reason(found, rules, None)))
    return Settled(skipped=tuple(skipped), open=tuple(left), warnings=frozenset(look.warnings))


def make_plan(
    matrix: Matrix, digest: str, settled: Settled, known: Knowledge, broken: Iterable[PlanError] = ()
) -> Plan:
    """Decide every wheel that is still open; one that cannot be planned leaves the others planned.

    ``broken`` is what is known before not to be plannable.
    """
    decide = _Decision(known, matrix.instances)
    planned: dict[_Same, tuple[Action, Wanted]] = {}
    skipped = list(settled.skipped)
    errors = [*broken]
    for each in sorted(settled.open, key=_wanted_order):
        try:
            decision = decide(each)
            if isinstance(decision, Action):
                decision = _unique(decision, each, planned)
        except (Unresolved, Unplannable, NoExecutor) as error:
            refused = isinstance(error, (NoExecutor, PublishedOtherwise))
            errors.append(PlanError.of(each, str(error), refused=refused))
            continue
        if isinstance(decision, Skipped):
            skipped.append(decision)
        else:
            planned[_same(decision.wheel)] = (decision, each)
    actions = [action for action, _ in planned.values()]
    return Plan(
        matrix=digest,
        public_index=matrix.public_index,
        instances={each.name: each for each in _instances(matrix, actions)},
        actions=tuple(sorted(actions, key=_action_order)),
        skipped=tuple(sorted(skipped, key=_order)),
        errors=tuple(sorted(errors, key=_order)),
        warnings=tuple(sorted(settled.warnings | decide.warnings)),
        sdist_index=known.sdist_index,
        own_index=known.own_index,
        own_projects=tuple(sorted(known.own_projects)),
    )


def _instances(matrix: Matrix, actions: Iterable[Action]) -> list[Instance]:
    """Return the instances that the actions need, by name."""
    found = [matrix.instance(*place) for place in sorted({(action.instance, action.arch) for action in actions})]
    return list({instance.name: instance for instance in found}.values())


class PublishedOtherwise(Unplannable):
    """A component's version is published, and stands for other sources."""


class _Decision:
    """Decides what our index alone could not; notes what the user should know."""

    def __init__(self, known: Knowledge, instances: Mapping[str, Instance]) -> None:
        self._instances = instances
        self._machine = known.machine
        self._upstream = Upstream(known.projects, newer_than=known.newer_than)
        self._look = Look(known.ours, self._upstream.sites)
        self.warnings = self._look.warnings

    def __call__(self, wanted: Wanted) -> Action | Skipped:
        """Return what is to be built, or why nothing is. Raises :class:`Unresolved`, :class:`Unplannable`."""
        release = self._release(wanted)
        rules = self._look.rules_for(wanted, release.version)
        native = self._upstream.native(wanted, release, rules)
        found = self._look.find(wanted, release.version, rules, native=native)
        if found is None and wanted.upstream:
            served = self._upstream.wheels_for(wanted, release, native=native)
            if served:
                return _skipped(wanted, str(release.version), "upstream", f"on the public index: {', '.join(served)}")
        try:
            action = draft(wanted, release, rules, self._look.patches, native=native)
        except Unplannable:
            if found is None:
                raise
            action = None
        if found is not None:
            if _is_component(wanted) and not self._look.is_as_planned(found, rules, action):
                what = "is yanked" if found.yanked is not None else "was built of other sources or by other tools"
                raise PublishedOtherwise(f"{found.filename} is published, and {what}; raise the version")
            return _skipped(wanted, str(release.version), "present", self._look.reason(found, rules, action))
        assert action is not None  # noqa: S101 - else it was raised
        what = f"{wanted.package} {action.version} for {wanted.target.name}"
        served = self._upstream.wheels_for(wanted, release, native=native)
        instance, arch = place(what, wanted.target, action.needs, self._instances, self._machine, prebuilt=served)
        return replace(action, instance=instance, arch=arch)

    def _release(self, wanted: Wanted) -> Release:
        if wanted.sdist is not None:
            return pinned_release(wanted)
        resolution = self._upstream.resolve(wanted)
        self.warnings.update(resolution.warnings)
        return resolution.release


def _is_component(wanted: Wanted) -> bool:
    return wanted.sdist is not None and wanted.sdist.is_component


def _unique(action: Action, wanted: Wanted, planned: Mapping[_Same, tuple[Action, Wanted]]) -> Action | Skipped:
    """Return the action, or what it is the same as: entries that resolve to one wheel are one."""
    same = _same(action.wheel)
    if same not in planned:
        return action
    other, first = planned[same]
    if other.key != action.key:
        name = action.wheel.filename
        raise Unplannable(f"{name} is planned already, for {first.text} on {first.target.name}, otherwise built")
    return _skipped(wanted, str(action.version), "same", f"the same wheel as {first.text} on {first.target.name}")


def _same(wheel: ExpectedWheel) -> _Same:
    """Return what makes two wheels the same one: the order of their platform tags does not."""
    return wheel.name, wheel.version, wheel.build, wheel.tags


def _entry(wanted: Wanted) -> tuple[Request, PinnedSdist | None, str, NormalizedName, tuple[ConditionalRules, ...]]:
    """Return what the wheels of one entry of the matrix share."""
    return wanted.request, wanted.sdist, wanted.text, wanted.name, wanted.rules


def _wanted_order(wanted: Wanted) -> tuple[object, ...]:
    """Sort so that of equal wheels the same one is named whatever the order of the matrix: ``latest`` first."""
    return wanted.name, wanted.text != str(LATEST), wanted.text, wanted.target.name, wanted.python


def _skipped(wanted: Wanted, version: str, state: str, reason: str) -> Skipped:
    return Skipped(
        package=wanted.package,
        version=version,
        target=wanted.target.name,
        python=wanted.python.tag,
        state=state,
        reason=reason,
    )


def _order(entry: Skipped | PlanError) -> tuple[str, ...]:
    return entry.target, entry.package.lower(), entry.version, entry.python, getattr(entry, "reason", "")


def _action_order(action: Action) -> tuple[object, ...]:
    return action.instance, action.arch, action.target, action.wheel.name, action.version, action.python
