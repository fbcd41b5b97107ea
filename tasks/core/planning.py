"""How planning decides, wheel by wheel: which release is meant, whether a wheel is there, what is left to build."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packaging.tags import Tag
from packaging.version import Version

from tasks.core.actions import Action, Sdist
from tasks.core.matrix import Matrix, Rules, Wanted
from tasks.core.plan import Plan, PlanError, Skipped
from tasks.core.releases import Project, Release, admits
from tasks.core.resolution import LATEST, Unresolved, resolve
from tasks.core.targets import ABI3
from tasks.core.wheels import ExpectedWheel, WheelName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from tasks.core.actions import Patch
    from tasks.core.index import ProjectPage


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What planning knows of the world."""

    pages: Mapping[NormalizedName, ProjectPage]
    """Our index, by project; a project that it does not have is not in it."""
    projects: Mapping[NormalizedName, Project | str]
    """The public index, by project; text says why there is no answer."""
    patches: Mapping[str, Patch]
    """Each patch, by the path that the matrix gives."""


Identity = tuple["NormalizedName", Version, tuple[int, str] | tuple[()], frozenset[Tag]]


class Unplannable(Exception):
    """The wheel cannot be planned; the message says why and what to do."""


def questions(wanted: Iterable[Wanted], pages: Mapping[NormalizedName, ProjectPage]) -> tuple[NormalizedName, ...]:
    """Return the projects that the public index has to be asked about, sorted.

    An exact pin that our index satisfies with a platform wheel asks nothing, nor does a pinned sdist.
    """
    return tuple(sorted({each.name for each in wanted if not _answered(each, pages.get(each.name))}))


def make_plan(matrix: Matrix, digest: str, wanted: Iterable[Wanted], known: Knowledge) -> Plan:
    """Decide every wheel that is asked for; one that cannot be planned leaves the others planned."""
    planned: dict[Identity, tuple[Action, Wanted]] = {}
    skipped: list[Skipped] = []
    errors: list[PlanError] = []
    warnings: list[str] = []
    for each in sorted(wanted, key=_wanted_order):
        try:
            decision = _decide(each, known, warnings)
            if isinstance(decision, Action):
                decision = _unique(decision, each, planned)
        except (Unresolved, Unplannable) as error:
            errors.append(_error(each, str(error)))
            continue
        if isinstance(decision, Skipped):
            skipped.append(decision)
        else:
            planned[_identity(decision)] = (decision, each)
    actions = [action for action, _ in planned.values()]
    return Plan(
        matrix=digest,
        public_index=matrix.public_index,
        instances={name: matrix.instance(name) for name in sorted({action.instance for action in actions})},
        actions=tuple(sorted(actions, key=_action_order)),
        skipped=tuple(sorted(skipped, key=_order)),
        errors=tuple(sorted(errors, key=_order)),
        warnings=tuple(sorted(set(warnings))),
    )


def satisfies(found: WheelName, expected: ExpectedWheel, wanted: Wanted, *, native: bool) -> bool:
    """Whether a wheel does for what is wanted: same project and version, not an older build, installs on the target.

    For a native package a ``none-any`` wheel is no answer; where ``abi3`` is asked for, a wheel for one interpreter is
    none. A target with several platform tags wants a wheel that installs on each.
    """
    if (found.name, found.version) != (expected.name, expected.version) or found.build < expected.build:
        return False
    tags = {
        tag
        for tag in found.tags
        if not (native and tag.platform == "any") and not (expected.abi == ABI3 and tag.abi not in {ABI3, "none"})
    }
    target, python = wanted.target, wanted.python
    return all(
        not tags.isdisjoint(replace(target, platforms=(platform,)).install_tags(python))
        for platform in target.platforms
    )


def expect(wanted: Wanted, version: Version, rules: Rules) -> ExpectedWheel:
    """Return the wheel that an action for ``wanted`` yields."""
    return ExpectedWheel(
        name=wanted.name,
        version=version,
        build=(rules.revision, "") if rules.revision is not None else (),
        interpreter=wanted.python.interpreter,
        abi=wanted.python.abi,
        platforms=wanted.target.platforms,
    )


def _answered(wanted: Wanted, page: ProjectPage | None) -> bool:
    if not isinstance(wanted.request, Version):
        return False
    return wanted.sdist is not None or _on_page(wanted, wanted.request, page, native=True) is not None


def _decide(wanted: Wanted, known: Knowledge, warnings: list[str]) -> Action | Skipped:
    page = known.pages.get(wanted.name)
    if isinstance(wanted.request, Version) and _answered(wanted, page) and wanted.sdist is None:
        filename = _on_page(wanted, wanted.request, page, native=True)
        return _skipped(wanted, wanted.request, "present", f"on the index: {filename}")
    release = _release(wanted, known, warnings)
    version = release.version
    rules = wanted.rules_for(version)
    native = rules.native if rules.native is not None else _has_platform_wheel(release)
    filename = _on_page(wanted, version, page, native=native)
    if filename is not None:
        return _skipped(wanted, version, "present", _presence(wanted, release, known, page, filename, warnings))
    if wanted.upstream and wanted.sdist is None:
        served = _upstream(wanted, release, native=native)
        if served is not None:
            return _skipped(wanted, version, "upstream", f"on the public index: {served}")
    return _action(wanted, release, rules, known, native=native)


def _release(wanted: Wanted, known: Knowledge, warnings: list[str]) -> Release:
    if wanted.sdist is not None:
        return _pinned(wanted)
    project = known.projects.get(wanted.name, "the public index was not asked")
    if isinstance(project, str):
        raise Unplannable(project)
    interpreter = Version(wanted.python.dotted)
    resolution = resolve(
        project,
        wanted.request,
        called=wanted.package,
        fits=lambda release: admits(release, interpreter) and release.sdist is not None,
    )
    warnings.extend(resolution.warnings)
    return resolution.release


def _pinned(wanted: Wanted) -> Release:
    if not isinstance(wanted.request, Version):
        raise Unplannable(f"the sdist is pinned, so the version must be too: found {wanted.text}")
    return Release(
        version=wanted.request,
        sdist=None,
        wheels=(),
        yanked=False,
        yanked_reason="",
        requires_python=None,
        upload_time=None,
    )


def _on_page(wanted: Wanted, version: Version, page: ProjectPage | None, *, native: bool) -> str | None:
    expected = expect(wanted, version, wanted.rules_for(version))
    for file in page.files if page else ():
        found = file.wheel
        if found is not None and satisfies(found, expected, wanted, native=native):
            return file.filename
    return None


def _presence(
    wanted: Wanted,
    release: Release,
    known: Knowledge,
    page: ProjectPage | None,
    filename: str,
    warnings: list[str],
) -> str:
    file = page.file(filename) if page else None
    if file is not None and file.recipe is not None:
        try:
            key = _action(wanted, release, wanted.rules_for(release.version), known, native=True).key
        except Unplannable:
            key = file.recipe
        if key != file.recipe:
            warnings.append(f"{filename} is on the index, and its recipe has changed: set `revision` to replace it")
            return f"on the index: {filename}; recipe changed: set `revision`"
    return f"on the index: {filename}"


def _has_platform_wheel(release: Release) -> bool:
    for wheel in release.wheels:
        try:
            name = WheelName.parse(wheel.filename)
        except ValueError:
            continue
        if any(tag.platform != "any" for tag in name.tags):
            return True
    return False


def _upstream(wanted: Wanted, release: Release, *, native: bool) -> str | None:
    plain = expect(wanted, release.version, Rules())
    for wheel in release.wheels:
        if not wheel.yanked:
            try:
                name = WheelName.parse(wheel.filename)
            except ValueError:
                continue
            if satisfies(name, plain, wanted, native=native):
                return wheel.filename
    return None


def _action(wanted: Wanted, release: Release, rules: Rules, known: Knowledge, *, native: bool) -> Action:
    named = f"{wanted.package} {release.version}"
    if not admits(release, Version(wanted.python.dotted)):
        raise Unplannable(f"{named} requires Python {release.requires_python}, which {wanted.python.tag} is not")
    settings = {
        name: tuple(value.replace("{python_tag}", wanted.python.interpreter) for value in values)
        for name, values in (rules.config_settings or {}).items()
    }
    return Action(
        package=wanted.package,
        target=wanted.target.name,
        instance=wanted.target.instance,
        arch=wanted.target.arch,
        python=wanted.python,
        wheel=expect(wanted, release.version, rules),
        sdist=_sdist(wanted, release, named),
        rules=replace(rules, config_settings=settings) if settings else rules,
        patches=tuple(known.patches[path] for path in rules.patches or ()),
        check=wanted.check,
        native=native,
    )


def _sdist(wanted: Wanted, release: Release, named: str) -> Sdist:
    if wanted.sdist is not None:
        filename = wanted.sdist.url.rsplit("/", 1)[1]
        return Sdist(filename=filename, url=wanted.sdist.url, sha256=wanted.sdist.sha256)
    if release.sdist is None:
        raise Unplannable(f"{named} has no sdist on the public index; pin one with `sdist: URL#sha256=…`")
    if release.sdist.sha256 is None:
        filename = release.sdist.filename
        raise Unplannable(f"the public index gives no sha256 for {filename}; pin it with `sdist: URL#sha256=…`")
    return Sdist(
        filename=release.sdist.filename,
        url=release.sdist.url,
        sha256=release.sdist.sha256,
        size=release.sdist.size,
    )


def _unique(action: Action, wanted: Wanted, planned: Mapping[Identity, tuple[Action, Wanted]]) -> Action | Skipped:
    """Return the action, or what it is the same as: entries that resolve to one wheel are one."""
    if _identity(action) not in planned:
        return action
    other, first = planned[_identity(action)]
    if other.key != action.key:
        name = action.wheel.filename
        raise Unplannable(f"{name} is planned already, for {first.text} on {first.target.name}, otherwise built")
    return _skipped(wanted, action.version, "same", f"the same wheel as {first.text} on {first.target.name}")


def _identity(action: Action) -> Identity:
    """Return what makes two wheels one: the order of platform tags in the name does not."""
    wheel = action.wheel
    return wheel.name, wheel.version, wheel.build, wheel.tags


def _wanted_order(wanted: Wanted) -> tuple[object, ...]:
    """Sort so that of equal wheels the same one is named whatever the order of the matrix: ``latest`` first."""
    return wanted.name, wanted.text != str(LATEST), wanted.text, wanted.target.name, wanted.python


def _skipped(wanted: Wanted, version: Version, state: str, reason: str) -> Skipped:
    return Skipped(
        package=wanted.package,
        version=str(version),
        target=wanted.target.name,
        python=wanted.python.tag,
        state=state,
        reason=reason,
    )


def _error(wanted: Wanted, message: str) -> PlanError:
    return PlanError(
        package=wanted.package,
        version=wanted.text,
        target=wanted.target.name,
        python=wanted.python.tag,
        message=message,
    )


def _order(entry: Skipped | PlanError) -> tuple[str, ...]:
    return entry.target, entry.package.lower(), entry.version, entry.python, getattr(entry, "reason", "")


def _action_order(action: Action) -> tuple[object, ...]:
    return action.instance, action.arch, action.target, action.wheel.name, action.version, action.python
