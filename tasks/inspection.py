"""Checks a wheel that a worker has built, before it is kept, and gives it the tags of its target.

Each check is a small function that says what is wrong; what came of all of them goes into the wheel's record. The first
that fails ends the inspection: what comes after it would judge another wheel than the one that was meant.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.auditing import AuditFailed, linkage, repair, stable_abi_violations
from tasks.core.binaries import binary_of, for_linux
from tasks.core.checks import (
    Finding,
    Verdict,
    foreign,
    machine_code,
    misplaced,
    mistagged,
    should_be_binary,
)
from tasks.core.errors import Failed
from tasks.core.native_sources import native_source
from tasks.core.targets import ABI3
from tasks.core.wheels import is_universal, mismatches, problems
from tasks.sdistfile import read_names, read_pyproject
from tasks.wheelfile import UnreadableWheel, newest_member, normalise, read_wheel, retag

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tasks.core.actions import Action
    from tasks.core.wheels import WheelContents


class CheckFailed(Failed):
    """A wheel failed a check; the message says which file, and why."""

    def __init__(self, message: str, findings: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.findings = findings
        """What the checks found, the failed one last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A wheel that passed every check."""

    path: Path
    """Where it is now: repaired or with other tags it is another file."""
    contents: WheelContents
    findings: tuple[Finding, ...]
    seconds: float
    change: str = ""
    """What was done to it since it was built; nothing where its bytes are still the worker's."""


def rewrites(action: Action) -> bool:
    """Whether :func:`inspect` will mostly write an action's wheel anew, so that only what comes of it is worth trying.

    Of a package that need not be native nothing is known before it is built.
    """
    platforms = action.wheel.platforms
    return action.native and (len(platforms) > 1 or _is_for_other_linuxes(platforms))


def inspect(
    wheel: Path, sha256: str, action: Action, sdist: Path, *, built_here: bool, audited: bool = True
) -> Inspected:
    """Check a wheel against the action that it was built for. Raises :class:`CheckFailed`.

    ``sha256`` is what the worker says that it sent. ``built_here``: whether the libraries that the wheel was linked
    with are this machine's. Without ``audited`` the auditors, which are programs of their own, are not asked.
    """
    began = time.monotonic()
    inspection = _Inspection(wheel, action, sdist, built_here=built_here)
    inspection.read(sha256)
    for check in (
        _binary,
        _processor,
        _modules,
        _adapt,
        _wheel_and_tags,
        *((_stable_abi, _linkage) if audited else ()),
    ):
        check(inspection)
    if not audited:
        inspection.skipped("audits", "the build was asked not to check")
    return Inspected(
        path=inspection.path,
        contents=inspection.contents,
        findings=tuple(inspection.findings),
        seconds=time.monotonic() - began,
        change=inspection.change,
    )


@dataclass(slots=True)
class _Inspection:
    """A wheel between two checks, and what was found so far."""

    path: Path
    action: Action
    sdist: Path
    built_here: bool = field(kw_only=True)
    findings: list[Finding] = field(default_factory=list)
    contents: WheelContents = field(init=False)
    change: str = ""

    def read(self, sha256: str | None = None) -> None:
        """Read the wheel; it is sound from here on, and has the digest that is expected."""
        try:
            self.contents = read_wheel(self.path)
        except UnreadableWheel as error:
            raise self._failed("wheel", f"{self.path.name} is no wheel: {error}", str(error)) from error
        if sha256 is not None and self.contents.sha256 != sha256:
            said = f"arrived with the sha256 {self.contents.sha256}, the helper built {sha256}"
            raise self._failed("wheel", f"{self.path.name} {said}", said)
        if found := list(problems(self.contents)):
            raise self.failed("wheel", found)

    def passed(self, name: str, detail: str, **data: object) -> None:
        """Note that a check found nothing wrong."""
        self.findings.append(Finding(name=name, verdict=Verdict.PASSED, detail=detail, data=data))

    def skipped(self, name: str, why: str) -> None:
        """Note that a check has nothing to look at."""
        self.findings.append(Finding(name=name, verdict=Verdict.SKIPPED, detail=why))

    def judge(self, name: str, found: Iterable[str], passed: str) -> None:
        """Note a check's outcome; anything found fails the wheel."""
        if wrong := list(found):
            raise self.failed(name, wrong)
        self.passed(name, passed)

    def failed(self, name: str, found: Iterable[str]) -> CheckFailed:
        """Return the failure for what was found."""
        detail = "; ".join(found)
        return self._failed(name, f"{self.path.name}: {detail}", detail)

    def _failed(self, name: str, message: str, detail: str) -> CheckFailed:
        return CheckFailed(message, (*self.findings, Finding(name=name, verdict=Verdict.FAILED, detail=detail)))


def _binary(wheel: _Inspection) -> None:
    native = wheel.action.rules.native
    held = machine_code(wheel.contents)
    source = None
    if native is None and not held:  # a large sdist takes its time
        source = native_source(read_names(wheel.sdist), read_pyproject(wheel.sdist))
    what = f"{len(held)} files of machine code" if held else "no machine code, as it should be"
    wheel.judge("machine code", should_be_binary(wheel.contents, native=native, source=source), what)


def _processor(wheel: _Inspection) -> None:
    platforms = wheel.action.wheel.platforms
    if not machine_code(wheel.contents):
        wheel.skipped("processor", "the wheel holds no machine code")
    elif unknown := [platform for platform in platforms if binary_of(platform) is None]:
        wheel.skipped("processor", f"nothing is known here about the platform {unknown[0]}")
    else:
        found = [*misplaced(wheel.contents), *foreign(wheel.contents, platforms)]
        wheel.judge("processor", found, f"all machine code is for {', '.join(platforms)}")


def _modules(wheel: _Inspection) -> None:
    wheel.judge("modules", mistagged(wheel.contents), "the interpreters of the wheel's tags import every module")


def _adapt(wheel: _Inspection) -> None:
    """Give the wheel its target's platform tags: by auditwheel on Linux, elsewhere where one of several is there."""
    wanted = wheel.action.wheel.platforms
    found = {tag.platform for tag in wheel.contents.name.tags}
    if is_universal(wheel.contents.name.tags):
        return
    if _is_for_other_linuxes(wanted):
        if machine_code(wheel.contents):
            _repair(wheel)
        elif found.isdisjoint(wanted):
            _retag(wheel)
    elif found & {*wanted} and not found >= {*wanted}:
        _retag(wheel)


def _retag(wheel: _Inspection) -> None:
    folder = wheel.path.with_name("retagged")
    folder.mkdir()
    before = wheel.path.name
    wheel.path = retag(wheel.path, wheel.action.wheel.platforms, folder)
    wheel.read()
    wheel.change = "given all platform tags of its target"
    wheel.passed("retag", f"{before} was {wheel.change}")


def _repair(wheel: _Inspection) -> None:
    platforms = [each for each in wheel.action.wheel.platforms if not each.startswith("linux_")]
    env = wheel.action.rules.env or {}
    libraries = [path for path in env.get("LD_LIBRARY_PATH", "").split(os.pathsep) if path]
    before = {member.path for member in wheel.contents.members}
    scratch = wheel.path.with_name("repaired")
    try:
        made = repair(
            wheel.path,
            platforms,
            scratch,
            epoch=newest_member(wheel.path),
            libraries=libraries if wheel.built_here else None,
        )
        wheel.path = normalise(made, _fresh(wheel.path.with_name("normalised")))
        wheel.read()
        found = linkage(wheel.path)
    except AuditFailed as error:
        raise wheel.failed("auditwheel", [f"cannot be made for {', '.join(platforms)}: {error}"]) from None
    added = sorted(member.path for member in wheel.contents.members if member.path not in before)
    libraries_in = ", ".join(path for path in added if ".libs/" in path) or "no library"
    detail = f"repaired for {', '.join(platforms)}: {libraries_in} was copied in; consistent with {found.policy}"
    wheel.change = f"repaired for {', '.join(platforms)}"
    wheel.passed("auditwheel", detail, **found.to_dict())


def _is_for_other_linuxes(platforms: tuple[str, ...]) -> bool:
    """Whether a target promises that its wheels run on other Linux machines than the one that builds them."""
    return for_linux(platforms) and any(not platform.startswith("linux_") for platform in platforms)


def _wheel_and_tags(wheel: _Inspection) -> None:
    action = wheel.action
    wheel.judge(
        "wheel",
        mismatches(wheel.contents, action.wheel, native=action.native),
        "name, version, build tag and tags are the action's; METADATA, WHEEL, RECORD and paths are sound",
    )


def _stable_abi(wheel: _Inspection) -> None:
    if not any(tag.abi == ABI3 for tag in wheel.contents.name.tags):
        wheel.skipped("abi3audit", "the wheel is not for the stable ABI")
        return
    try:
        found = stable_abi_violations(wheel.path)
    except AuditFailed as error:
        raise wheel.failed("abi3audit", [f"abi3audit cannot look at it: {error}"]) from None
    wheel.judge("abi3audit", found, "every symbol is in the stable ABI of the wheel's interpreter tag")


def _linkage(wheel: _Inspection) -> None:
    """Note what a wheel for this machine alone needs of it; it promises nothing to others, so nothing fails."""
    if any(finding.name == "auditwheel" for finding in wheel.findings):
        return
    if not for_linux(wheel.action.wheel.platforms) or not machine_code(wheel.contents):
        wheel.skipped("auditwheel", "the wheel holds no machine code for Linux")
        return
    try:
        found = linkage(wheel.path)
    except AuditFailed as error:
        wheel.skipped("auditwheel", f"auditwheel cannot look at it: {error}")
        return
    needs = ", ".join(found.libraries) or "no library besides those of every Linux"
    wheel.passed("auditwheel", f"consistent with {found.policy}; needs {needs}", **found.to_dict())


def _fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder
