"""From an action to a checked wheel: built on the worker, inspected here, and what comes of that tried on the worker.

What the wheel or its build requires, and nobody has a wheel of, is looked for among the wheels that are ours, then
waited for where this visit makes it, then built from its sdist. Nothing is built twice for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from packaging.utils import canonicalize_name

from tasks.core.errors import Failed
from tasks.core.requirements import BuiltRequirement, Need, OwnWheel
from tasks.core.wheels import WheelName
from tasks.inspection import Inspected, inspect, rewrites
from tasks.wheelfile import sha256_of
from tasks.workers.host import Errand, HelperFailed, reason_of
from tasks.workers.local import LocalWorker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tasks.core.actions import Action
    from tasks.core.jobs import BuiltFile, Result
    from tasks.services.sources import Sources
    from tasks.workers.host import Host
    from tasks.workers.own_wheels import OwnWheels
    from tasks.workers.requirements import Build, Requirements


class Awaited(Protocol):
    """Tells of a requirement that the visit makes itself."""

    def __call__(self, need: Need, parent: Action, own: WheelName | None) -> Path | None:
        """Return its wheel, not checked yet; ``None`` where ``own`` is what there is.

        Raises where it is worth waiting for.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A wheel that passed every check, and how it came about."""

    result: Result
    wheel: Inspected
    built_first: tuple[BuiltRequirement, ...] = ()
    ours: tuple[OwnWheel, ...] = ()
    """Wheels of ours that it was built with."""

    @property
    def check_seconds(self) -> float:
        """What all checks took, on the worker and here."""
        return self.result.times.get("check", 0.0) + self.wheel.seconds


@dataclass(slots=True, kw_only=True)
class Making:
    """An action under way: what there is already. One that waits for another goes on from here."""

    action: Action
    sources: Sources
    folder: Path
    """On this machine."""
    on_line: Callable[[str], None]
    chain: tuple[str, ...]
    """The projects that are being built for each other, this one last."""
    output: str = ""
    """On the worker, once it is there."""
    lacking: tuple[str, ...] = ()
    """What the helper asked for last."""
    built_first: list[BuiltRequirement] = field(default_factory=list)
    ours: dict[str, OwnWheel] = field(default_factory=dict)
    """Wheels of ours, by their path on the worker."""
    built_with: tuple[OwnWheel, ...] = ()
    result: Result | None = None
    """What the helper said of the build."""
    wheel: Inspected | None = None


class Maker:
    """Makes the wheels of a visit. Threads may share it, each with a making of its own."""

    def __init__(
        self,
        host: Host,
        requirements: Requirements,
        own: OwnWheels,
        awaited: Awaited,
        *,
        with_checks: bool,
    ) -> None:
        self._host = host
        self._requirements = requirements
        self._own = own
        self._awaited = awaited
        self._with_checks = with_checks

    def make(self, making: Making) -> Built:
        """Build the wheel, inspect it, check it; or go on with that. Raises :class:`Failed`."""
        if making.result is None:
            making.result = self._built(making, with_check=self._checks_at_once(making.action))
            making.built_with = tuple(making.ours.values())
        if making.wheel is None:
            making.wheel = self._inspected(making, making.result)
        result, wheel = making.result, making.wheel
        tried_at_once = self._checks_at_once(making.action) and result.built and not wheel.change
        if self._with_checks and not tried_at_once:
            tried = self._tried(making, wheel)
            seconds = round(result.times.get("check", 0.0) + sum(tried.times.values()), 3)
            result = replace(result, checks=tried.checks, times={**result.times, "check": seconds})
        findings = [finding.to_dict() for finding in wheel.findings]
        times = {**result.times, "inspection": round(wheel.seconds, 3)}
        result = replace(result, checks=(*findings, *result.checks), times=times)
        return Built(result=result, wheel=wheel, built_first=tuple(making.built_first), ours=making.built_with)

    def _checks_at_once(self, action: Action) -> bool:
        """Whether the helper tries the wheel when it has built it: in one go, where it stays as it is."""
        return self._with_checks and not rewrites(action)

    def _built(self, making: Making, *, with_check: bool) -> Result:
        """Have the helper build the wheel; each time that the build lacks something, get that first."""
        while True:
            self._provide(making)
            errand = self._errand(making, making.folder.name, with_check=with_check)
            result = self._host.help(making.action, making.sources, errand, making.on_line)
            making.lacking = result.lacking
            if result.wheel is not None or not result.lacking:
                return result

    def _inspected(self, making: Making, result: Result) -> Inspected:
        built = _wheel_of(result)
        path = making.folder / built.filename
        try:
            self._host.worker.get(f"{making.output}/{path.name}", path)
        except FileNotFoundError:
            raise Failed(f"the helper says that it built {path.name}, which is not there") from None
        return inspect(
            path,
            built.sha256,
            making.action,
            making.sources.sdist,
            built_here=self._host.worker.kind == LocalWorker.kind,
            audited=self._with_checks,
        )

    def _tried(self, making: Making, wheel: Inspected) -> Result:
        """Have the helper check the wheel as it will be delivered, once all is there that it requires."""
        there = self._host.send(wheel.path, f"made/{making.action.key}")
        because = f"{wheel.path.name} was {wheel.change}: " if wheel.change else ""
        try:
            while True:
                self._provide(making)
                errand = replace(self._errand(making, f"check-{making.folder.name}", with_check=True), wheel=there)
                result = self._host.help(making.action, making.sources, errand, making.on_line)
                making.lacking = result.lacking
                if not result.lacking:
                    break
        except HelperFailed as failure:
            raise HelperFailed(f"{because}{failure}", failure.check) from None
        except Failed as failure:
            if not making.lacking:
                raise
            raise HelperFailed(f"{because}the wheel's check failed (install): {failure}", "install") from None
        if _wheel_of(result).sha256 != wheel.contents.sha256:
            raise Failed(f"the helper says that it checked another {wheel.path.name} than it was sent")
        return result

    def _errand(self, making: Making, name: str, *, with_check: bool) -> Errand:
        return Errand(
            name=name,
            folder=making.folder,
            output=making.output,
            with_check=with_check,
            find_links=tuple(each.folder for each in making.built_first),
            wheels=tuple(sorted(making.ours)),
        )

    def _provide(self, making: Making) -> None:
        """Get what is lacking, from the nearest place that has it. Raises :class:`Failed`."""
        if not making.lacking:
            return
        action = making.action
        try:
            need = Need.parse(making.lacking, action.python)
        except ValueError as error:
            text = f"it lacks {', '.join(making.lacking)}: {error}"
            raise Failed(f"the helper's result cannot be read: {text}") from error
        before = next((each for each in making.ours.values() if each.name.name == need.name), None)
        if before is not None:
            raise Failed(f"the requirement {need} has no wheel here; {before.filename} is ours, but does not do")
        if not self._took_ours(making, need):
            build = self._requirement_of(making.folder.parent)
            making.built_first.append(
                self._requirements.provide(action, need, making.built_first, (making.on_line, making.chain), build)
            )
        making.lacking = ()

    def _took_ours(self, making: Making, need: Need) -> bool:
        """Send a wheel of ours, if there is one."""
        while True:
            own = self._own.find(need, making.action)
            found = self._awaited(need, making.action, WheelName.parse(own.name) if own else None) or own
            if found is None:
                return False
            try:
                sha256 = sha256_of(found)
                there = self._host.send(found, f"ours/{sha256}")
            except FileNotFoundError:  # it was not checked yet, and is on its way to `dist` just now
                continue
            making.on_line(f"spare-tire: {need} has no wheel on the public index; taking {found.name} of ours")
            making.ours[there] = OwnWheel(filename=found.name, sha256=sha256)
            return True

    def _requirement_of(self, staging: Path) -> Build:
        """Return what builds a requirement; its wheel stays on the worker."""

        def build(
            action: Action, sources: Sources, on_line: Callable[[str], None], chain: tuple[str, ...]
        ) -> BuiltRequirement:
            folder = staging / f"requirement-{action.key}"
            folder.mkdir(exist_ok=True)
            output = self._host.worker.directory(f"requirements/{action.key}")
            for path in (sources.sdist, *sources.patches):
                self._host.send(path, f"sources/{path.parent.name}")
            making = Making(action=action, sources=sources, folder=folder, output=output, on_line=on_line, chain=chain)
            result = self._built(making, with_check=False)
            return BuiltRequirement(
                action=action,
                wheel=_wheel_of(result),
                folder=output,
                requirements=result.requirements,
                built_first=tuple(making.built_first),
            )

        return build


def making_of(action: Action, sources: Sources, folder: Path, on_line: Callable[[str], None]) -> Making:
    """Return the making of an action that has not begun."""
    return Making(
        action=action,
        sources=sources,
        folder=folder,
        on_line=on_line,
        chain=(canonicalize_name(action.package),),
    )


def _wheel_of(result: Result) -> BuiltFile:
    if result.wheel is None:
        raise reason_of(result)
    return result.wheel
