"""What a monorepo makes: a distribution of each component, with its scripts and what it requires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from tasks.monorepo.layout_rules import build_file
from tasks.monorepo.tree import Address, parse_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.monorepo.build_file import BuildFile
    from tasks.monorepo.tree import Tree
    from tasks.monorepo.values import PlacedNote, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A binary: its name, and the module or ``module:function`` that it runs, if it says."""

    name: str
    entry_point: str | None
    line: int
    """Where it says so, else where it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A component as others install it."""

    name: str
    version: str
    """As its BUILD file says; PEP 440 is for who builds it."""
    version_line: int
    directory: str
    """Its folder, below the build root."""
    scripts: tuple[Script, ...]
    requires: tuple[str, ...]
    """The distributions of the monorepo that it requires at their version, sorted."""
    third_party: tuple[str, ...]
    """The third-party requirements that it has, by their normalised names, sorted."""
    files: tuple[str, ...]
    """The files that it holds, its own and those copied in, below the build root, sorted."""
    elsewhere: tuple[PlacedNote, ...] = ()
    """The folders out of the roots that it depends on, each with its place, sorted: their files are not read."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "version": self.version,
            "directory": self.directory,
            "binaries": [{"name": each.name, "entry_point": each.entry_point} for each in self.scripts],
            "requires": list(self.requires),
            "third_party": list(self.third_party),
            "files": list(self.files),
        }


def distributions(tree: Tree) -> tuple[Distribution, ...]:
    """Return what the components provide, by their folders."""
    return tuple(
        _distribution(build, target, tree)
        for build in tree.builds
        for target in build.targets
        if target.provides is not None
    )


def tree_lines(made: Sequence[Distribution], every: Sequence[Distribution]) -> list[str]:
    """Return some of all distributions as people read them: with scripts and requirements, one level deep."""
    versions = {each.name: each.version for each in every}
    lines = []
    for each in made:
        lines.append(f"{each.name} {each.version}  {each.directory}")
        leaves = [f"binary {script.name}: {script.entry_point or 'no entry point'}" for script in each.scripts]
        leaves += [f"{name} {versions.get(name, '')}".rstrip() for name in each.requires]
        leaves += [f"{name} (third-party)" for name in each.third_party]
        lines += [f"{'└──' if number == len(leaves) else '├──'} {leaf}" for number, leaf in enumerate(leaves, 1)]
    return lines


def _distribution(build: BuildFile, target: Target, tree: Tree) -> Distribution:
    assert target.provides is not None  # noqa: S101 - the caller has looked
    carried = tree.carried(Address(build.directory, target.name))
    requires, third_party, elsewhere = set(), set(), set()
    for address in carried:
        for each in tree.dependencies(address):
            provides = tree.targets[each].provides
            if provides is not None:
                requires.add(provides.name.value)
        for said in tree.targets[address].dependencies:
            named = parse_address(said.value, address.directory)
            if named.directory == tree.layout.third_party:
                third_party.add(str(canonicalize_name(named.name)))
            elif named.directory in tree.elsewhere or (
                named.directory in tree.directories and not tree.layout.is_inside(named.directory)
            ):
                elsewhere.add((build_file(address.directory), said.line, named.directory))
    return Distribution(
        name=target.provides.name.value,
        version=target.provides.version.value,
        version_line=target.provides.version.line,
        directory=build.directory,
        scripts=tuple(_script(address.name, tree.targets[address]) for address in _binaries(target, build, tree)),
        requires=tuple(sorted(requires - {target.provides.name.value})),
        third_party=tuple(sorted(third_party)),
        files=tree.held(Address(build.directory, target.name)),
        elsewhere=tuple(sorted(elsewhere)),
    )


def _binaries(target: Target, build: BuildFile, tree: Tree) -> list[Address]:
    assert target.provides is not None  # noqa: S101 - the caller has looked
    named = {parse_address(each.address, build.directory) for each in target.provides.binaries}
    return sorted(each for each in named if each in tree.targets and tree.targets[each].is_binary)


def _script(name: str, binary: Target) -> Script:
    said = binary.entry_point
    return Script(name=name, entry_point=said.value if said else None, line=said.line if said else binary.line)
