"""R4, R5 and R11: who may depend on what, and that no file is in two distributions."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.monorepo.layout_rules import build_file
from tasks.monorepo.tree import Address, cycles, parse_address, public_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.utils import NormalizedName

    from tasks.monorepo.build_file import BuildFile
    from tasks.monorepo.tree import Tree
    from tasks.monorepo.values import Note, PlacedNote, Said


def private_targets_begin_with_an_underscore(build: BuildFile, _tree: Tree) -> Iterator[Note]:
    """R4: besides the public library and the binaries every target is private, and its name says so."""
    public = public_target(build)
    for target in build.targets:
        if target is not public and not target.is_binary and not target.name.startswith("_"):
            yield target.line, f"'{target.name}' is a private target; write: name = '_{target.name}',"


def only_public_targets_are_depended_on(build: BuildFile, tree: Tree) -> Iterator[Note]:
    """R4: another component is named by its folder alone, which is its public target."""
    for said, address in _named(build, tree):
        known = tree.targets.get(address)
        if _is_third_party(said.value, address, tree) or (known is not None and known.is_binary):
            continue  # those are of R5 and R6
        if address.directory == build.directory:
            message = _wrong_here(said.value, address, build, tree)
        elif tree.layout.is_inside(address.directory):
            message = _wrong_component(said.value, address, build, tree)
        else:
            message = _wrong_outside(said.value, address, build, tree)
        if message:
            yield said.line, message


def third_party_is_listed(build: BuildFile, tree: Tree) -> Iterator[Note]:
    """R5: a third-party dependency is ``3rdparty/python:<name>``, and the requirements file there lists it."""
    folder, file = tree.layout.third_party, tree.layout.requirements
    for said, address in _named(build, tree):
        if not _is_third_party(said.value, address, tree):
            continue
        if said.value.removeprefix("//") != f"{folder}:{address.name}":
            yield said.line, f"'{said.value}' is a third-party dependency; write '{folder}:{address.name}'"
        if canonicalize_name(address.name) not in tree.requirements:
            near = get_close_matches(canonicalize_name(address.name), sorted(tree.requirements), n=1)
            hint = f"write '{folder}:{near[0]}', or add" if near else "add"
            yield said.line, f"{file} does not list '{address.name}'; {hint} a line to that file: {address.name}"


def no_cycles(tree: Tree) -> Iterator[PlacedNote]:
    """R11: no target depends on itself, whatever the way."""
    graph = {address: tree.dependencies(address) for address in tree.targets}
    for way in cycles(graph):
        first, second = way[:2]
        line = next(
            said.line
            for said in tree.targets[first].dependencies
            if parse_address(said.value, first.directory) == second
        )
        shown = " → ".join(map(str, way))
        yield build_file(first.directory), line, f"a cycle: {shown}; leave out one of these dependencies"


def no_file_is_in_two_distributions(tree: Tree) -> Iterator[PlacedNote]:
    """R11: what is not a distribution is copied into those that depend on it, so into one at most."""
    owners: dict[str, Address] = {}
    for address, target in tree.targets.items():
        if target.provides is None:
            continue
        twice: dict[Address, list[str]] = {}
        for path in tree.held(address):
            owner = owners.setdefault(tree.links.get(path, path), address)
            if owner != address:
                twice.setdefault(owner, []).append(path)
        for owner, paths in twice.items():
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            message = f"{paths[0]}{more}: is in the distribution of '{owner}', too; keep it in one, and depend on that"
            yield build_file(address.directory), target.line, message


def no_two_distributions_have_one_name(tree: Tree) -> Iterator[PlacedNote]:
    """R11: a name is of one distribution, as those read it who install: ``a.b_c`` is ``a-b-c``."""
    owners: dict[NormalizedName, Address] = {}
    for build in tree.builds:
        for target in build.targets:
            if target.provides is None:
                continue
            address, name = Address(build.directory, target.name), target.provides.name
            owner = owners.setdefault(canonicalize_name(name.value), address)
            if owner != address:
                message = f"'{name.value}' is the distribution of '{owner}', too, as pip reads names"
                yield build_file(build.directory), name.line, f"{message}; rename one of them"


def _named(build: BuildFile, tree: Tree) -> Iterator[tuple[Said[str], Address]]:
    """Yield the dependencies of a BUILD file and what they name."""
    for target in build.targets:
        named = tree.named[Address(build.directory, target.name)]
        yield from zip(target.dependencies, named, strict=True)


def _wrong_here(text: str, address: Address, build: BuildFile, tree: Tree) -> str | None:
    """Say what is wrong with a dependency on a target of the same file."""
    if not tree.layout.is_inside(build.directory):
        return None
    if address not in tree.targets:
        near = get_close_matches(address.name, [target.name for target in build.targets], n=1)
        hint = f"write ':{near[0]}', or add it" if near else "add it, or leave this out"
        return f"there is no target '{address.name}' in this file; {hint}"
    return None if text.startswith(":") else f"'{text}' is a target of this file; write ':{address.name}'"


def _wrong_component(text: str, address: Address, build: BuildFile, tree: Tree) -> str | None:
    """Say what is wrong with a dependency on another component."""
    if address.directory not in tree.directories:
        near = get_close_matches(address.directory, sorted(tree.directories - {build.directory}), n=1)
        hint = f"; write '{near[0]}'" if near else "; leave it out"
        return f"'{text}' is no component: there is no {build_file(address.directory)}{hint}"
    if address.name != address.directory.rpartition("/")[2]:
        state = "is private to its BUILD file" if address in tree.targets else "names no target"
        return f"'{text}' {state}; write '{address.directory}'"
    if ":" in text:
        return f"'{text}' names a public target with ':'; write '{address.directory}'"
    if address not in tree.targets:
        return f"'{text}' has no public target; name one '{address.name}' in {build_file(address.directory)}"
    return None


def _wrong_outside(text: str, address: Address, build: BuildFile, tree: Tree) -> str | None:
    """Say what is wrong with a dependency on what lies outside the root."""
    if address.directory in tree.directories:
        if not tree.layout.is_inside(build.directory):
            return None
        return f"'{text}' lies among what depends on components, and components do not depend on it; leave it out"
    there = address.directory in tree.elsewhere
    return None if there else f"'{text}' names nothing: there is no {build_file(address.directory)}"


def _is_third_party(text: str, address: Address, tree: Tree) -> bool:
    """Whether a dependency is third-party, or means to be: ``six`` without a folder is no folder of ours."""
    folder = tree.layout.third_party
    above = folder.rpartition("/")[0] or folder
    if address.directory == folder:
        return True
    if address.directory in tree.directories or tree.layout.is_inside(address.directory):
        return False
    if address.directory.startswith(f"{above}/"):
        return True
    return not set(text) & set(":/") and text not in tree.elsewhere
