"""The checks of a built wheel that need nothing but what was read of it. Each yields what is wrong, in words.

``tasks.inspection`` runs them, in this order; ``docs/checks.md`` explains each under the name that it has in records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tasks.core.binaries import binary_of
from tasks.core.targets import ABI3
from tasks.core.wheels import is_universal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tasks.core.binaries import Binary
    from tasks.core.wheels import Member, WheelContents

PURE = "if pure Python is meant, give the package `build: {native: false}` in the matrix"
_LIBRARY = re.compile(r".*\.(?:so(?:\.[0-9]+)*|dylib|pyd|dll)", re.DOTALL)
_MODULE = re.compile(r".*\.(?:so|dylib|pyd)", re.DOTALL)
_SCRIPT = re.compile(r"[^/]+\.data/scripts/.+", re.DOTALL)
_TAGGED = re.compile(r"\.(?:cpython-|cp)(?P<version>[0-9]{2,3})d?(?P<threads>t?)d?(?:-[^./]+)?\.(?:so|pyd|dylib)$")
_PYPY = re.compile(r"\.(?P<tag>(?:pypy|graalpy)[0-9]+)-[^/]+\.(?:so|pyd|dylib)$")
_STABLE = re.compile(r"\.abi3t?\.(?:so|pyd|dylib)$")
_SYSTEMS = {
    "freebsd": "FreeBSD",
    "linux": "Linux",
    "macos": "macOS",
    "netbsd": "NetBSD",
    "openbsd": "OpenBSD",
    "solaris": "Solaris",
    "windows": "Windows",
}


class Verdict(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of a check, as a record has it."""

    name: str
    verdict: Verdict
    detail: str
    data: Mapping[str, Any] = field(default_factory=dict)
    """What a tool found out besides, as plain data."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        data = {"data": dict(self.data)} if self.data else {}
        return {"name": self.name, "outcome": self.verdict.value, "detail": self.detail, **data}


def machine_code(contents: WheelContents) -> tuple[Member, ...]:
    """Return the libraries and programs of a wheel: what it runs, not what it merely carries along."""
    return tuple(
        member
        for member in contents.members
        if _LIBRARY.fullmatch(member.path)
        or (_SCRIPT.fullmatch(member.path) and (member.binary is not None or member.broken))
    )


def should_be_binary(contents: WheelContents, *, native: bool | None, source: str | None) -> Iterator[str]:
    """Yield what is wrong with a wheel without machine code.

    ``native`` is what the matrix says, ``source`` what in the sdist compiles (``tasks.core.native_sources``).
    """
    if native is False or machine_code(contents):
        return
    if native:
        yield "the wheel holds no machine code, and the matrix says `native: true`"
    elif source:
        yield (f"the wheel holds no machine code, but the sdist has {source}: the log says what became of it; {PURE}")


def foreign(contents: WheelContents, platforms: Sequence[str]) -> Iterator[str]:
    """Yield each library or program that is not for the target's processor and system.

    A platform that ``tasks.core.binaries`` does not know says nothing of them.
    """
    said: set[str] = set()
    for member in machine_code(contents):
        found = list(_foreign(member, platforms))
        yield from (text for text in found if text not in said)
        said.update(found)


def misplaced(contents: WheelContents) -> Iterator[str]:
    """Yield machine code in a wheel whose tags promise that it is for every platform."""
    if is_universal(contents.name.tags):
        for member in machine_code(contents):
            if member.binary is not None:
                yield f"{member.path} is machine code, in a wheel for every platform"


def mistagged(contents: WheelContents) -> Iterator[str]:
    """Yield each extension module that the wheel's interpreters do not import, by its name's tag (PEP 3149).

    A module without a tag is imported by every interpreter and passes.
    """
    tags = contents.name.tags
    abis = {tag.abi for tag in tags}
    if ABI3 in abis:
        lowest = min({tag.interpreter for tag in tags if tag.abi == ABI3}, key=lambda name: (len(name), name))
        wanted = f"{lowest} and later, by the stable ABI"
    elif abis == {"none"}:
        wanted = f"{', '.join(sorted({tag.interpreter for tag in tags}))}, whatever the interpreter"
    else:
        wanted = ", ".join(sorted(abis))
    for member in contents.members:
        if _STABLE.search(member.path) or is_universal(tags):
            continue
        match = _TAGGED.search(member.path)
        tag = f"cp{match['version']}{match['threads']}" if match else None
        if match is None and (other := _PYPY.search(member.path)):
            tag = other["tag"]
        if tag is not None and tag not in abis:
            yield f"{member.path} is for {tag} alone, the wheel is for {wanted}"


def _foreign(member: Member, platforms: Sequence[str]) -> Iterator[str]:
    if member.broken:
        yield f"{member.path}: {member.broken}"
    elif member.binary is None:
        if _MODULE.fullmatch(member.path):
            yield f"{member.path} is named like machine code, but is no ELF, Mach-O or PE file"
    else:
        for platform in platforms:
            wanted = binary_of(platform)
            if wanted is not None:
                yield from _differences(member.path, member.binary, wanted)


def _differences(path: str, found: Binary, wanted: Binary) -> Iterator[str]:
    if found.format is not wanted.format:
        yield f"{path} has the format {found.format.value}, the target's is {wanted.format.value}"
    elif found.system is not None and found.system != wanted.system:
        yield f"{path} is for {_system(found)}, the target is {_system(wanted)}"
    elif not {*found.processors} >= {*wanted.processors}:
        yield f"{path} is for {_and(found.processors)}, the target is {_and(wanted.processors)}"


def _system(binary: Binary) -> str:
    return _SYSTEMS.get(binary.system or "", binary.system or "")


def _and(names: Sequence[str]) -> str:
    return " and ".join(names)
