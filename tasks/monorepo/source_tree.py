"""Reads a monorepo: each folder once, each BUILD file once, and the few files that those name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tasks.core.errors import BadInput
from tasks.monorepo.binary_rules import entry_modules, names_defined
from tasks.monorepo.build_file import DEPENDANT_KINDS, KINDS, BuildFile, Unreadable, read_build
from tasks.monorepo.packages import SNAPSHOT
from tasks.monorepo.tree import Layout, Tree, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.utils import NormalizedName

    from tasks.core.monorepo import Components

_IGNORED = re.compile(r"\..*|__pycache__|.*\.egg-info")
_SPARE = re.compile(r"BUILD\.[A-Za-z0-9_-]+")
_COMMENT = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies below some folder, as addresses; it is added to while the folders are read."""

    top: str
    inside: str
    """Where ``top`` really is."""
    paths: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_tree(components: Components, folder: Path) -> Tree:
    """Read a monorepo whose matrix lies in ``folder``.

    Raises :class:`BadInput` with all that is wrong with its files, each message with file and line.
    """
    base = folder / components.buildroot
    reader = _Reader(base)
    version = _version(components, base, reader)
    root = components.address(components.root)
    layout = Layout(
        root=root,
        requirements=components.address(components.third_party),
        version_file=components.address(components.version_file),
        version=version,
        prefix="" if base == Path() else f"{base}/",
    )
    found = reader.walk(root)
    others = [reader.walk(components.address(dependant)) for dependant in components.dependants]
    problems = [*found.problems, *(problem for other in others for problem in other.problems)]
    builds = list(_builds(found, reader, KINDS, problems))
    dependants = [build for other in others for build in _builds(other, reader, DEPENDANT_KINDS, problems)]
    try:
        requirements = _requirements(components, layout, reader)
    except BadInput as error:
        problems += error.messages
        requirements = {}
    if problems:
        raise BadInput(*problems)
    tree = Tree(
        layout=layout,
        builds=tuple(builds),
        dependants=tuple(dependants),
        paths=tuple(sorted(found.paths)),
        links=found.links,
        spare=tuple(sorted(path for path in found.paths if _SPARE.fullmatch(path.rpartition("/")[2]))),
        requirements=requirements,
        elsewhere=_elsewhere(layout, [*builds, *dependants], base),
    )
    modules = {path: names_defined(reader.bytes(path)) for path in entry_modules(tree)}
    return replace(tree, defined=modules)


class _Reader:
    """Reads below the build root; a file whose text BUILD files ask for is read once."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._texts: dict[str, str] = {}

    def bytes(self, address: str) -> bytes:
        """Return a file's bytes. Raises :class:`BadInput`."""
        path = self.base / address
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise BadInput(f"{path}:1: there is no such file") from None
        except OSError as error:
            raise BadInput(f"{path}:1: cannot be read: {error.strerror}") from error

    def text(self, address: str) -> str:
        """Return a file's text. Raises :class:`LookupError` with the reason."""
        if address not in self._texts:
            path = self.base / address
            if not path.resolve().is_relative_to(self.base.resolve()):
                raise LookupError("leads out of the build root")
            try:
                self._texts[address] = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                raise LookupError("there is no such file") from None
            except OSError as error:
                raise LookupError(f"cannot be read: {error.strerror}") from error
            except UnicodeDecodeError:
                raise LookupError("is not UTF-8") from None
        return self._texts[address]

    def walk(self, top: str) -> Found:
        """Read the folders from ``top`` on, each once. Raises :class:`BadInput` where there is no such folder."""
        start = self.base / top
        if not start.is_dir():
            raise BadInput(f"{start}: there is no such folder; components in the matrix names it")
        found = Found(top=top, inside=os.path.realpath(start))
        ahead = [top]
        while ahead:
            ahead += self._read_folder(ahead.pop(), found)
        found.problems.sort()
        return found

    def _read_folder(self, folder: str, found: Found) -> list[str]:
        """Note the files of a folder, and return its folders."""
        below = []
        try:
            with os.scandir(self.base / folder) as entries:
                for entry in entries:
                    address = entry.name if folder == "." else f"{folder}/{entry.name}"
                    if entry.is_symlink():
                        self._follow(address, found)
                    elif entry.is_dir():
                        if not _IGNORED.fullmatch(entry.name):
                            below.append(address)
                    elif entry.is_file():
                        found.paths.append(address)
        except OSError as error:
            found.problems.append(f"{self.base / folder}:1: cannot be read: {error.strerror}")
        return below

    def _follow(self, address: str, found: Found) -> None:
        path = self.base / address
        target = os.path.realpath(path)
        if Path(target).is_dir() and _IGNORED.fullmatch(path.name):
            return
        if not target.startswith(f"{found.inside}{os.sep}"):
            message = f"is a symbolic link to {path.readlink()}, out of the root; put a copy there"
        elif Path(target).is_dir():
            message = f"is a symbolic link to the folder {path.readlink()}; put a copy there, or leave it out"
        elif not Path(target).is_file():
            message = f"is a symbolic link to {path.readlink()}, where nothing is"
        else:
            found.paths.append(address)
            place = Path(target).relative_to(found.inside).as_posix()
            found.links[address] = place if found.top == "." else f"{found.top}/{place}"
            return
        found.problems.append(f"{path}:1: {message}")


def _builds(found: Found, reader: _Reader, kinds: tuple[str, ...], problems: list[str]) -> Iterator[BuildFile]:
    for address in sorted(path for path in found.paths if path.rpartition("/")[2] == "BUILD"):
        try:
            yield read_build(
                reader.bytes(address),
                file=str(reader.base / address),
                directory=address.rpartition("/")[0] or ".",
                read=reader.text,
                kinds=kinds,
            )
        except (Unreadable, BadInput) as error:
            problems += error.messages


def _version(components: Components, base: Path, reader: _Reader) -> str:
    address = components.address(components.version_file)
    try:
        version = reader.text(address).strip().upper()
    except LookupError as error:
        raise BadInput(f"{base / address}:1: {error.args[0]}; components.version_file in the matrix names it") from None
    try:
        Version(version.removesuffix(SNAPSHOT))
    except InvalidVersion:
        expected = f"a version as PEP 440 writes it, {SNAPSHOT} after it or not"
        raise BadInput(f"{base / address}:1: expected {expected}, found '{version}'") from None
    return version


def _requirements(components: Components, layout: Layout, reader: _Reader) -> dict[NormalizedName, tuple[str, ...]]:
    """Return what a requirements file lists, by names; lines of options, such as ``--hash``, are not for us."""
    if components.requirements is None and not (reader.base / layout.requirements).exists():
        return {}
    listed: dict[NormalizedName, tuple[str, ...]] = {}
    lines = reader.bytes(layout.requirements).decode("utf-8", errors="replace").splitlines()
    for number, line in _joined(lines):
        text = _COMMENT.sub("", line).partition(" --")[0].strip()
        if not text or text.startswith("-"):
            continue
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise BadInput(
                f"{reader.base / layout.requirements}:{number}: expected a requirement as PEP 508 writes it, "
                f"found '{text}': {str(error).splitlines()[0]}"
            ) from error
        name = canonicalize_name(requirement.name)
        listed[name] = (*listed.get(name, ()), str(requirement))
    return listed


def _joined(lines: list[str]) -> Iterator[tuple[int, str]]:
    r"""Yield lines with those that a ``\`` at their end goes on in, by the number of the first; no comment goes on."""
    first, text = 1, ""
    for number, line in enumerate(lines, 1):
        comment = _COMMENT.match(line)
        if line.endswith("\\") and not comment:
            text += line.removesuffix("\\")
        else:
            yield first, f"{text} {line}" if comment else text + line
            first, text = number + 1, ""
    yield first, text


def _elsewhere(layout: Layout, builds: list[BuildFile], base: Path) -> frozenset[str]:
    """Return which folders outside the roots that something depends on have a BUILD file, as they should."""
    known = {build.directory for build in builds}
    named = {
        parse_address(said.value, build.directory).directory
        for build in builds
        for target in build.targets
        for said in target.dependencies
    }
    return frozenset(
        directory
        for directory in named - known
        if not layout.is_inside(directory)
        and ".." not in directory.split("/")
        and (base / directory / "BUILD").is_file()
    )
