"""Targets: the platforms to have wheels for, and what installs on them (PEP 425, 600, 656)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ABI3 = "abi3"
_PYTHON = re.compile(r"cp(?P<major>[0-9])(?P<minor>[0-9]{1,2})(?P<threads>t?)")
_PLATFORM = re.compile(r"[A-Za-z0-9_]+")
_MANYLINUX = re.compile(r"manylinux_(?P<major>\d+)_(?P<minor>\d+)_(?P<arch>\w+)")
_MUSLLINUX = re.compile(r"musllinux_(?P<major>\d+)_(?P<minor>\d+)_(?P<arch>\w+)")
_MACOSX = re.compile(r"macosx_(?P<major>\d+)_(?P<minor>\d+)_(?P<arch>\w+)")
LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
"""The C library's version that the older manylinux tags stand for (PEP 600)."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PythonTag:
    """An interpreter and the ABI that its wheels are built for."""

    version: tuple[int, int]
    """Major and minor version."""
    abi: str
    """The ABI tag: the interpreter's own (``cp313``, ``cp313t``) or ``abi3``."""

    @classmethod
    def parse(cls, tag: str, abi: str | None = None) -> PythonTag:
        """Parse an interpreter tag such as ``cp314`` or ``cp314t`` (free-threaded). Raises ``ValueError``."""
        match = _PYTHON.fullmatch(tag)
        if match is None:
            raise ValueError("an interpreter tag looks like cp314")
        if abi not in {None, ABI3, tag}:
            raise ValueError(f"the ABI of {tag} is {tag} or {ABI3}")
        if abi == ABI3 and match["threads"]:
            raise ValueError("free-threaded interpreters have no stable ABI before abi3t")
        return cls(version=(int(match["major"]), int(match["minor"])), abi=abi or tag)

    @property
    def interpreter(self) -> str:
        """The interpreter tag, as a wheel's name carries it: ``cp314`` also for a free-threaded one."""
        return f"cp{self.version[0]}{self.version[1]}"

    @property
    def tag(self) -> str:
        """The interpreter as the matrix names it: ``cp314``, or ``cp314t`` for a free-threaded one."""
        return self.interpreter if self.abi == ABI3 else self.abi

    @property
    def free_threaded(self) -> bool:
        """Whether the interpreter has no global lock, and so takes no ``abi3`` wheel."""
        return self.abi.endswith("t")

    @property
    def dotted(self) -> str:
        """The version as people and ansible-test write it: ``3.14``."""
        return f"{self.version[0]}.{self.version[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A platform to have wheels for."""

    name: str
    instance: str | None
    """What builds for it; ``None`` for whatever has the properties that it needs."""
    arch: str
    platforms: tuple[str, ...]
    """Platform tags, lower case; several make a compressed tag set."""
    pythons: tuple[PythonTag, ...]
    accepts: tuple[str, ...] = ()
    """Platform tags that install here besides those of ``platforms``: for this machine, what its libc takes."""
    exec_properties: Mapping[str, str] = field(default_factory=dict)
    """What an executor must have besides what follows from the platform."""

    def install_tags(self, python: PythonTag) -> frozenset[Tag]:
        """Return every tag of a wheel that an installer takes on this target with this interpreter."""
        return installing(python, self.platforms, self.accepts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This machine, as ``host`` means it: found out by the stage, a value here."""

    arch: str
    platform: str
    accepts: tuple[str, ...]
    pythons: tuple[PythonTag, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTarget:
    """A target that is this machine, before anyone has looked at the machine; ``None`` is for the machine to say."""

    name: str
    instance: str
    arch: str | None
    platforms: tuple[str, ...] | None
    pythons: tuple[PythonTag, ...] | None
    exec_properties: Mapping[str, str] = field(default_factory=dict)

    def on(self, machine: Machine) -> Target:
        """Return the target that this is on ``machine``; what the matrix says goes before what the machine has."""
        platforms = self.platforms or (machine.platform,)
        return Target(
            name=self.name,
            instance=self.instance,
            arch=self.arch or machine.arch,
            platforms=platforms,
            pythons=self.pythons or machine.pythons,
            accepts=machine.accepts if machine.platform in platforms else (),
            exec_properties=self.exec_properties,
        )


def parse_platforms(text: str) -> tuple[str, ...]:
    """Parse a platform tag or a compressed set of them (``a.b``), folded to lower case. Raises ``ValueError``."""
    found = tuple(text.lower().split("."))
    for platform in found:
        if not _PLATFORM.fullmatch(platform) or platform == "any":
            raise ValueError("a platform tag looks like freebsd_15_1_release_amd64: letters, digits and underscores")
    return found


def installing(python: PythonTag, platforms: Iterable[str], accepts: Iterable[str] = ()) -> frozenset[Tag]:
    """Return every tag of a wheel that an installer takes on one of the platforms, or of what else it ``accepts``."""
    every = dict.fromkeys([*accepts, *(each for platform in platforms for each in accepted(platform))])
    return _install_tags(python.version, python.tag, tuple(every))


def accepted(platform: str) -> Iterator[str]:
    """Yield the platform tags whose wheels install where ``platform``'s do: itself, and older C libraries or systems.

    PEP 600 for manylinux, PEP 656 for musllinux; for macOS as ``packaging`` has it, universal binaries among them.
    """
    yield platform
    if match := _MANYLINUX.fullmatch(platform):
        yield from _manylinux(int(match["major"]), int(match["minor"]), match["arch"])
    elif match := _MUSLLINUX.fullmatch(platform):
        for minor in range(int(match["minor"]), -1, -1):
            yield f"musllinux_{match['major']}_{minor}_{match['arch']}"
        yield f"linux_{match['arch']}"
    elif match := _MACOSX.fullmatch(platform):
        yield from mac_platforms((int(match["major"]), int(match["minor"])), match["arch"])
    elif platform.split("_", 1)[0] in LEGACY:
        legacy, arch = platform.split("_", 1)
        yield from _manylinux(*LEGACY[legacy], arch)


def _manylinux(major: int, minor: int, arch: str) -> Iterator[str]:
    for older in range(minor, 4, -1):
        yield f"manylinux_{major}_{older}_{arch}"
    for legacy, glibc in LEGACY.items():
        if glibc <= (major, minor):
            yield f"{legacy}_{arch}"
    yield f"linux_{arch}"


@cache
def _install_tags(version: tuple[int, int], tag: str, platforms: tuple[str, ...]) -> frozenset[Tag]:
    interpreter = f"cp{version[0]}{version[1]}"
    return frozenset(
        [
            *cpython_tags(python_version=version, abis=[tag], platforms=platforms),
            *compatible_tags(python_version=version, interpreter=interpreter, platforms=platforms),
        ]
    )
