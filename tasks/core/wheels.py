"""Wheels: their names, their tags, and the checks that need nothing but the file (PEP 427, PEP 425, PEP 376)."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from tasks.core.targets import ABI3, PythonTag, installing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

    from packaging.utils import NormalizedName

    from tasks.core.binaries import Binary


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """A wheel's file name, parsed; two wheels are the same wheel when their names are equal as values."""

    name: NormalizedName
    version: Version
    build: tuple[int, str] | tuple[()]
    tags: frozenset[Tag]

    @classmethod
    def parse(cls, filename: str) -> WheelName:
        """Parse a wheel's file name. Raises ``ValueError`` with the reason when it is none."""
        if "/" in filename or "\\" in filename:  # `packaging` lets them pass in a build tag
            raise ValueError(f"Invalid wheel filename (it is a path): {filename!r}")
        try:
            name, version, build, tags = parse_wheel_filename(filename)
        except (InvalidWheelFilename, InvalidVersion) as error:
            raise ValueError(str(error)) from error
        return cls(name=name, version=version, build=build, tags=tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file inside a wheel: its path in the archive, its size in bytes, its sha256 as 64 hex digits."""

    path: str
    size: int
    sha256: str | None
    """None where it was not read: see ``tasks.wheelfile.skim_wheel``."""
    binary: Binary | None = None
    """What it says of itself, where it is machine code."""
    broken: str = ""
    """Why that cannot be read, where it begins like machine code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelContents:
    """What a wheel holds, read once by ``tasks.wheelfile`` and judged here."""

    filename: str
    sha256: str
    size: int
    members: tuple[Member, ...]
    dist_info: str
    """The ``.dist-info`` directory's name, without a slash."""
    metadata: bytes
    """``METADATA``, byte for byte."""
    wheel: bytes
    """``WHEEL``, byte for byte."""
    record: bytes
    """``RECORD``, byte for byte."""

    @property
    def name(self) -> WheelName:
        """The file name, parsed."""
        return WheelName.parse(self.filename)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedWheel:
    """The wheel that an action is to yield, compared as values, never as strings."""

    name: NormalizedName
    version: Version
    build: tuple[int, str] | tuple[()]
    interpreter: str
    abi: str
    platforms: tuple[str, ...]

    @property
    def tags(self) -> frozenset[Tag]:
        """The tags that the file name carries: one for each platform."""
        return frozenset(Tag(self.interpreter, self.abi, platform) for platform in self.platforms)

    @property
    def filename(self) -> str:
        """The file name, with platform tags in the matrix's order (PEP 427)."""
        build = f"-{self.build[0]}{self.build[1]}" if self.build else ""
        name = self.name.replace("-", "_")
        return f"{name}-{self.version}{build}-{self.interpreter}-{self.abi}-{'.'.join(self.platforms)}.whl"


def problems(contents: WheelContents) -> Iterator[str]:
    """Yield what is wrong with a wheel as such, whoever built it: its name, metadata, ``RECORD`` and paths."""
    try:
        parsed = WheelName.parse(contents.filename)
    except ValueError as error:
        yield str(error)
        return
    yield from _metadata_problems(contents, parsed)
    yield from _tag_problems(contents, parsed)
    yield from _path_problems(contents)
    yield from _record_problems(contents)


def mismatches(contents: WheelContents, expected: ExpectedWheel, *, native: bool = True) -> Iterator[str]:
    """Yield how a well-formed wheel differs from the one that the action was to yield.

    Where the package need not be ``native``, a wheel for every platform does as well.
    """
    found = contents.name
    if found.name != expected.name:
        yield f"the wheel is of {found.name}, not of {expected.name}"
    if found.version != expected.version:
        yield f"the wheel has version {found.version}, expected {expected.version}"
    if found.build != expected.build:
        yield f"the wheel has build tag {found.build or 'none'}, expected {expected.build or 'none'}"
    if not suits(found.tags, expected, native=native):
        wanted = ", ".join(sorted(map(str, expected.tags)))
        pure = "; if pure Python is meant, give the package `build: {native: false}` in the matrix"
        hint = pure if suits(found.tags, expected, native=False) else ""
        yield f"the wheel has tags {', '.join(sorted(map(str, found.tags)))}; expected {wanted}{hint}"


def suits(tags: frozenset[Tag], expected: ExpectedWheel, *, native: bool) -> bool:
    """Whether an installer takes a wheel with these tags on each of the expected platforms.

    Older tags count: ``abi3`` of a lower interpreter, older manylinux. For a native package ``any`` platform does not;
    where ``abi3`` is expected, a wheel for one interpreter does not.
    """
    abi = expected.abi
    python = PythonTag.parse(expected.interpreter if abi == ABI3 else abi, abi)
    fit = {
        tag
        for tag in tags
        if not (native and tag.platform == "any") and not (abi == ABI3 and tag.abi not in {ABI3, "none"})
    }
    return all(not fit.isdisjoint(installing(python, (platform,))) for platform in expected.platforms)


def is_universal(tags: frozenset[Tag]) -> bool:
    """Whether a wheel with these tags is for every platform."""
    return all(tag.abi == "none" and tag.platform == "any" for tag in tags)


def _headers(text: bytes) -> Message:
    from email.parser import HeaderParser  # noqa: PLC0415 - 10 ms, and planning reads only names

    return HeaderParser().parsestr(text.decode("utf-8", "replace"))


def _metadata_problems(contents: WheelContents, parsed: WheelName) -> Iterator[str]:
    headers = _headers(contents.metadata)
    name, version = headers.get("Name", ""), headers.get("Version", "")
    if canonicalize_name(name) != parsed.name:
        yield f"METADATA names {name or 'no project'}, the file name {parsed.name}"
    try:
        agrees = Version(version) == parsed.version
    except InvalidVersion:
        agrees = False
    if not agrees:
        yield f"METADATA has version {version or '(none)'}, the file name {parsed.version}"


def _tag_problems(contents: WheelContents, parsed: WheelName) -> Iterator[str]:
    headers = _headers(contents.wheel)
    try:
        written = frozenset(tag for line in headers.get_all("Tag", []) for tag in parse_tag(line))
    except ValueError as error:  # InvalidTag is one
        yield f"WHEEL has a tag that is none: {error}"
        return
    if written != parsed.tags:
        listed = ", ".join(sorted(map(str, written))) or "none"
        yield f"WHEEL lists the tags {listed}, the file name {', '.join(sorted(map(str, parsed.tags)))}"


def _path_problems(contents: WheelContents) -> Iterator[str]:
    seen: set[str] = set()
    for member in contents.members:
        parts = member.path.split("/")
        if member.path.startswith(("/", "\\")) or ".." in parts or "\\" in member.path or ":" in parts[0]:
            yield f"{member.path} leaves the wheel's root"
        if member.path in seen:
            yield f"{member.path} is in the wheel twice"
        seen.add(member.path)


def _record_problems(contents: WheelContents) -> Iterator[str]:
    try:
        recorded = _parse_record(contents.record)
    except csv.Error as error:
        yield f"RECORD cannot be read: {error}"
        return
    own = f"{contents.dist_info}/RECORD"
    exempt = {own, f"{own}.jws", f"{own}.p7s"}  # PEP 427: RECORD and its signatures carry no hash
    for member in contents.members:
        if member.path in exempt:
            continue
        if member.path not in recorded:
            yield f"{member.path} is not in RECORD"
        elif member.sha256 is None:
            if recorded[member.path][1] not in {"", str(member.size)}:
                yield f"{member.path} does not have the size that RECORD gives it"
        elif recorded[member.path][0] != _record_hash(member.sha256):
            yield f"{member.path} does not have the hash that RECORD gives it"
    present = {member.path for member in contents.members}
    for path in sorted(set(recorded) - present):
        yield f"RECORD lists {path}, which is not in the wheel"


def _parse_record(record: bytes) -> Mapping[str, tuple[str, str]]:
    """Return by path what ``RECORD`` says: the hash and the size, as written there."""
    rows = csv.reader(io.StringIO(record.decode("utf-8", "replace")))
    return {path: (hashed, size) for path, hashed, size, *_ in ([*row, "", ""] for row in rows if row)}


def _record_hash(sha256: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(bytes.fromhex(sha256)).rstrip(b"=").decode()
