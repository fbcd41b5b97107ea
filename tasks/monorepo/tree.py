"""All BUILD files of a monorepo beside the files that are there, and which target holds what."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.monorepo.globbing import found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from tasks.monorepo.build_file import BuildFile
    from tasks.monorepo.values import Sources, Target

LEVEL = 3
"""A component is a folder this far below the root: ``a/b/c`` is ``a.b.c``."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A target of a BUILD file: the folder's path below the build root, and the target's name."""

    directory: str
    name: str

    def __str__(self) -> str:
        return self.directory if self.name == self.directory.rpartition("/")[2] else f"{self.directory}:{self.name}"


def parse_address(text: str, here: str) -> Address:
    """Return what a dependency names: ``:name`` in the folder ``here``, ``path`` or ``path:name``."""
    directory, _, name = text.removeprefix("//").partition(":")
    directory = directory.rstrip("/") or here
    return Address(directory, name or directory.rpartition("/")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things lie, as addresses: paths below the build root, ``.`` for itself."""

    root: str
    requirements: str
    """The file of third-party requirements."""
    version_file: str
    version: str
    """The version of every component: what the version file holds, stripped, upper-cased."""
    prefix: str = ""
    """What a path has before it in messages: the build root as the user would name it."""

    @property
    def third_party(self) -> str:
        """The folder that third-party dependencies are addressed by."""
        return self.requirements.rpartition("/")[0]

    def is_inside(self, path: str) -> bool:
        """Whether a path lies below the root of the components."""
        return self.root == "." or path.startswith(f"{self.root}/")

    def parts(self, directory: str) -> list[str]:
        """Return the parts of a folder's path below the root; none for the root itself."""
        if directory == self.root:
            return []
        return (directory if self.root == "." else directory.removeprefix(f"{self.root}/")).split("/")

    def component(self, directory: str) -> str:
        """Return the dotted name of a folder below the root; of another folder its address."""
        inside = self.is_inside(directory) and directory != self.root
        return ".".join(self.parts(directory)) if inside else directory

    def is_component(self, directory: str) -> bool:
        """Whether a folder is on the level of components."""
        return self.is_inside(directory) and len(self.parts(directory)) == LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A monorepo as it was read."""

    layout: Layout
    builds: tuple[BuildFile, ...]
    """Those below the root, by folder."""
    dependants: tuple[BuildFile, ...] = ()
    """Those of other roots, by folder: they depend on components and are none."""
    paths: tuple[str, ...] = ()
    """Every file below the root, sorted."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Those that are symbolic links, with the files below the root that they lead to."""
    spare: tuple[str, ...] = ()
    """Files that Pants takes for BUILD files too: ``BUILD.*``."""
    requirements: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=dict)
    """The third-party requirements that are listed, each with its lines as PEP 508 writes them."""
    elsewhere: frozenset[str] = frozenset()
    """Folders with a BUILD file outside the roots that some target depends on."""
    defined: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    """The names that modules with entry points define, by path; ``None`` where only running a module would tell."""
    directories: frozenset[str] = field(init=False)
    """The folders of all these BUILD files."""
    targets: Mapping[Address, Target] = field(init=False)
    named: Mapping[Address, tuple[Address, ...]] = field(init=False)
    """What each dependency of a target names, whether it is there or not."""
    files: Mapping[Address, tuple[str, ...]] = field(init=False)
    """What the sources of each target find, paths below the build root."""

    def __post_init__(self) -> None:
        builds = (*self.builds, *self.dependants)
        targets = {Address(build.directory, target.name): target for build in builds for target in build.targets}
        named = {
            address: tuple(parse_address(said.value, address.directory) for said in target.dependencies)
            for address, target in targets.items()
        }
        object.__setattr__(self, "directories", frozenset(build.directory for build in builds))
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "named", named)
        object.__setattr__(self, "files", {address: self._found(address, targets[address]) for address in targets})

    def has(self, path: str) -> bool:
        """Whether a file lies below the root."""
        place = bisect_left(self.paths, path)
        return place < len(self.paths) and self.paths[place] == path

    def below(self, directory: str) -> tuple[str, ...]:
        """Return every file below a folder of the root."""
        if directory == ".":
            return self.paths
        start, end = bisect_left(self.paths, f"{directory}/"), bisect_left(self.paths, f"{directory}0")
        return self.paths[start:end]  # "0" comes right after "/"

    def folders(self) -> frozenset[str]:
        """Return the folders on the level of components that hold files: each has to be one."""
        level = LEVEL + (0 if self.layout.root == "." else self.layout.root.count("/") + 1)
        return frozenset("/".join(path.split("/")[:level]) for path in self.paths if path.count("/") >= level)

    def matched(self, sources: Sources, directory: str) -> tuple[str, ...]:
        """Return the files that are there of what some sources of a folder's BUILD file name."""
        prefix = "" if directory == "." else f"{directory}/"
        if sources.glob is not None:
            there = (path[len(prefix) :] for path in self.below(directory))
            return tuple(prefix + path for path in found(sources.glob, there))
        return tuple(path for file in sources.files if self.has(path := prefix + file.value))

    def carried(self, address: Address) -> tuple[Address, ...]:
        """Return a target and all below it that provide no distribution: what is copied with it into its own."""
        ahead, seen = [address], {address: None}
        while ahead:
            for each in self.dependencies(ahead.pop()):
                if each not in seen and self.targets[each].provides is None and not self.targets[each].is_binary:
                    seen[each] = None
                    ahead.append(each)
        return tuple(seen)

    def dependencies(self, address: Address) -> tuple[Address, ...]:
        """Return the targets of the tree that a target depends on, in its order."""
        return tuple(dict.fromkeys(each for each in self.named[address] if each in self.targets))

    def held(self, address: Address) -> tuple[str, ...]:
        """Return the files of a target and of all that is copied with it, sorted."""
        return tuple(sorted({path for each in self.carried(address) for path in self.files[each]}))

    def reached(self, address: Address) -> Iterator[Address]:
        """Yield a target and everything of the tree that it depends on in some way, the near ones first."""
        ahead, seen = [address], {address}
        for each in ahead:
            yield each
            new = [other for other in self.dependencies(each) if other not in seen]
            seen.update(new)
            ahead += new

    def _found(self, address: Address, target: Target) -> tuple[str, ...]:
        every = [sources for sources in (target.sources, target.resources) if sources is not None]
        return tuple(dict.fromkeys(path for each in every for path in self.matched(each, address.directory)))


def public_target(build: BuildFile) -> Target | None:
    """Return the target that others may depend on: the one named like its folder, else the one that provides."""
    named = (target for target in build.targets if target.name == build.name and not target.is_binary)
    providing = (target for target in build.targets if target.provides is not None)
    return next(named, None) or next(providing, None)


def binaries(build: BuildFile) -> tuple[Target, ...]:
    """Return the binaries of a BUILD file."""
    return tuple(target for target in build.targets if target.is_binary)


def cycles(graph: Mapping[Address, Iterable[Address]]) -> tuple[tuple[Address, ...], ...]:
    """Return one way around for each knot of dependencies, from its least address to that address again."""
    return tuple(_way_around(graph, knot) for knot in sorted(map(sorted, _knots(graph))))


def _knots(graph: Mapping[Address, Iterable[Address]]) -> list[set[Address]]:
    """Return the sets of targets that depend on each other (Kosaraju), and single ones that depend on themselves."""
    backwards: dict[Address, list[Address]] = {each: [] for each in graph}
    for each, onwards in graph.items():
        for other in onwards:
            backwards[other].append(each)
    left = _finished(graph)
    knots: list[set[Address]] = []
    seen: set[Address] = set()
    for start in reversed(left):
        knot, ahead = set[Address](), [start]
        while ahead:
            each = ahead.pop()
            if each not in seen:
                seen.add(each)
                knot.add(each)
                ahead += backwards[each]
        if len(knot) > 1 or start in graph[start]:
            knots.append(knot)
    return [knot for knot in knots if knot]


def _finished(graph: Mapping[Address, Iterable[Address]]) -> list[Address]:
    """Return all targets, each after those that it leads to and that do not lead back."""
    done: list[Address] = []
    seen: set[Address] = set()
    for start in graph:
        ways = [(start, iter(graph[start]))] if start not in seen else []
        seen.add(start)
        while ways:
            each, onwards = ways[-1]
            other = next((other for other in onwards if other not in seen), None)
            if other is None:
                done.append(each)
                ways.pop()
            else:
                seen.add(other)
                ways.append((other, iter(graph[other])))
    return done


def _way_around(graph: Mapping[Address, Iterable[Address]], knot: Iterable[Address]) -> tuple[Address, ...]:
    """Return a shortest way from the least target of a knot back to itself."""
    inside = set(knot)
    start = min(inside)
    ways: list[tuple[Address, ...]] = [(start,)]
    seen: set[Address] = set()
    for way in ways:
        for other in graph[way[-1]]:
            if other == start:
                return (*way, start)
            if other in inside and other not in seen:
                seen.add(other)
                ways.append((*way, other))
    raise AssertionError("a knot has a way around")
