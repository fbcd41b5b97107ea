"""Where an action may run: the properties that a target needs of an executor, and the executors that have them.

Python has no general cross-build (PEP 720), so a build runs on what *is* its target. An executor is an instance of the
matrix with properties, ``{"os": ("linux",), "python": ("cp311", "cp312")}``: of each, one of several texts is enough.
What a target needs follows from its platform tag (PEP 425, 600, 656) and its interpreter, and may be added to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.core.binaries import processor
from tasks.core.matrix import CORE_CI, LOCAL, Instance, declared
from tasks.core.targets import LEGACY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tasks.core.targets import Machine, PythonTag, Target

Properties = Mapping[str, tuple[str, ...]]
Needs = Mapping[str, str]

OS, OS_VERSION, ARCH, LIBC, LIBC_VERSION, PYTHON = "os", "os_version", "arch", "libc", "libc_version", "python"
_LINUX = re.compile(r"(?P<libc>many|musl)linux_(?P<major>\d+)_(?P<minor>\d+)_\w+")
_BSD = re.compile(r"(?P<os>freebsd|openbsd|netbsd|dragonfly)_(?P<major>\d+)_(?P<minor>\d+)(_\w+)?")
_SYSTEMS = {"linux": "linux", "macosx": "macos", "win": "windows", "win32": "windows"}
_LIBCS = {"many": "glibc", "musl": "musl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """An instance for one processor, and what is known of it before anybody has asked it."""

    name: str
    """As the matrix has it: ``local``, ``freebsd/15.1,arch=aarch64``."""
    instance: str
    """Without the processor."""
    properties: Properties


class NoExecutor(Exception):
    """There is none that an action may run on; the message says what it needs and what the nearest one lacks."""


def needs(target: Target, python: PythonTag, *, native: bool = True) -> dict[str, str]:
    """Return what an executor must have to build for a target; of a ``libc_version`` it may have an older one.

    A pure wheel is built wherever the interpreter is, but for what the matrix adds.
    """
    found: dict[str, str] = {}
    if native:
        found = {**_of_platforms(target.platforms), ARCH: processor(target.arch)}
    return {**found, PYTHON: python.tag, **target.exec_properties}


def properties_of(machine: Machine) -> dict[str, tuple[str, ...]]:
    """Return the properties of this machine: its system, processor and libc, and the interpreters that build here."""
    known = _of_platforms((machine.platform,))
    for tag in machine.accepts:  # the newest libc that it takes wheels of is its own, and comes first
        if _LINUX.fullmatch(tag):
            known |= _of_platforms((tag,))
            break
    return {
        **{name: (text,) for name, text in known.items()},
        ARCH: (processor(machine.arch),),
        PYTHON: tuple(python.tag for python in machine.pythons),
    }


def executors(instances: Mapping[str, Instance], machine: Machine | None) -> list[Executor]:
    """Return the executors of a matrix in its order; ``machine`` is what a ``local`` one is, once looked at."""
    found = []
    for name, instance in instances.items():
        base, _, arch = name.partition(",arch=")
        known: dict[str, tuple[str, ...]] = {ARCH: (processor(arch),)} if arch else {}
        if instance.worker == LOCAL and machine is not None:
            known |= properties_of(machine)
        if instance.python:
            known[PYTHON] = tuple(sorted(instance.python))
        found.append(Executor(name=name, instance=base, properties={**known, **(instance.properties or {})}))
    return found


def place(
    what: str,
    target: Target,
    needed: Needs,
    instances: Mapping[str, Instance],
    machine: Machine | None,
    *,
    prebuilt: Sequence[str] = (),
) -> tuple[str, str]:
    """Return the instance and the processor that an action goes to. Raises :class:`NoExecutor`.

    For messages ``what`` names the action, ``MarkupSafe 3.0.3 for linux-arm64``, and ``prebuilt`` are the wheels of the
    public index that would do as well.
    A target that names its instance is bound to it, unless that says it is something else: what it leaves open is made
    sure of when its worker opens. Any other target takes the first that says it is what is needed.
    """
    if target.instance:
        bound = declared(instances, target.instance, target.arch) or Instance(name=target.instance, worker=CORE_CI)
        wrong = [*lacks(needed, bound.properties or {}, silent=True)]
        if wrong:
            raise NoExecutor(_refusal(what, needed, f"bound to  {bound.name}: {'; '.join(wrong)}", target, prebuilt))
        return target.instance, target.arch
    tried = [
        (executor, [*lacks(needed, executor.properties)])
        for executor in _for_processor(executors(instances, machine), needed)
    ]
    for executor, wrong in tried:
        if not wrong:
            there = executor.properties.get(ARCH, ())
            return executor.instance, target.arch if ARCH in needed or not there else there[0]
    nearest, wrong = min(tried, key=lambda each: len(each[1]))
    raise NoExecutor(_refusal(what, needed, f"nearest  {nearest.name}: {'; '.join(wrong)}", target, prebuilt))


def lacks(needed: Needs, has: Properties, *, silent: bool = False) -> Iterator[str]:
    """Yield what is wrong with an executor; with ``silent`` what it does not speak of is not."""
    for name, text in needed.items():
        there = has.get(name)
        if there is None:
            if not silent:
                yield f"it has no {name}"
        elif name == LIBC_VERSION:
            if not any(_version(each) <= _version(text) for each in there):
                yield f"{name} is {', '.join(there)}"
        elif text not in (map(processor, there) if name == ARCH else there):
            yield f"{name} is {', '.join(there) or 'none'}"


def shown(needed: Needs) -> str:
    """Return needs in one line: ``os=linux arch=aarch64 libc=glibc<=2.39 python=cp312``."""
    first = [name for name in (OS, OS_VERSION, ARCH, LIBC, PYTHON) if name in needed]
    order = [*first, *sorted(set(needed) - {*first, LIBC_VERSION})]
    limit = f"<={needed[LIBC_VERSION]}" if LIBC_VERSION in needed else ""
    if limit and LIBC not in needed:
        order.append(LIBC_VERSION)
    return " ".join(
        f"{name}{limit}" if name == LIBC_VERSION else f"{name}={needed[name]}{limit if name == LIBC else ''}"
        for name in order
    )


def _for_processor(every: Iterable[Executor], needed: Needs) -> list[Executor]:
    """Leave out what is meant for every processor where there is one of the same name for the needed one."""
    all_of_them = list(every)
    special = {each.instance for each in all_of_them if each.name == f"{each.instance},arch={needed.get(ARCH)}"}
    return [each for each in all_of_them if each.name != each.instance or each.instance not in special]


def _refusal(what: str, needed: Needs, near: str, target: Target, prebuilt: Sequence[str]) -> str:
    why = "building this sdist would cross-compile its native extensions" if ARCH in needed else "nothing can build it"
    add = "Name another instance" if target.instance else "Add an instance with these properties"
    advice = f"{add}, or rely on a prebuilt wheel (upstream has {', '.join(prebuilt) or 'none'})."
    return f"{what}: {why}.\n  needs  {shown(needed)}\n  {near}\n{advice}"


def _of_platforms(platforms: Iterable[str]) -> dict[str, str]:
    """Return what wheels of these tags say of the system; of several C libraries the oldest, on which all install."""
    found: dict[str, str] = {}
    for tag in platforms:
        for name, text in _of_platform(tag):
            older = name == LIBC_VERSION and name in found
            found[name] = min(found[name], text, key=_version) if older else text
    return found


def _of_platform(tag: str) -> Iterator[tuple[str, str]]:
    if match := _LINUX.fullmatch(tag):
        yield OS, "linux"
        yield LIBC, _LIBCS[match["libc"]]
        yield LIBC_VERSION, f"{match['major']}.{match['minor']}"
    elif match := _BSD.fullmatch(tag):
        yield OS, match["os"]
        yield OS_VERSION, f"{match['major']}.{match['minor']}"
    elif glibc := LEGACY.get(tag.split("_", 1)[0]):
        yield OS, "linux"
        yield LIBC, "glibc"
        yield LIBC_VERSION, ".".join(map(str, glibc))
    elif system := _SYSTEMS.get(tag.split("_", 1)[0]):
        yield OS, system


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
