"""R1 to R3: where BUILD files lie, what each provides, and what its sources are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.monorepo.tree import LEVEL, Address, public_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.monorepo.build_file import BuildFile
    from tasks.monorepo.tree import Tree
    from tasks.monorepo.values import Note, PlacedNote, SetupPy, Sources, Target

PYTHON = "rglobs('*.py')"


def one_build_file_per_component(tree: Tree) -> Iterator[PlacedNote]:
    """R1: exactly one ``BUILD`` in each folder three levels below the root, none above or below."""
    layout = tree.layout
    root = [] if layout.root == "." else layout.root.split("/")
    there = {build.directory for build in tree.builds}
    for directory in tree.folders() - there:
        provides = _provides(layout.component(directory), tree).rstrip(",")
        library = f"python_library(name = '{directory.rpartition('/')[2]}', sources = {PYTHON}, {provides})"
        yield f"{directory}/BUILD", 1, f"there is no BUILD file; write: {library}"
    for directory in there:
        depth = len(layout.parts(directory))
        if depth != LEVEL:
            place = "/".join([*root, *layout.parts(directory)[:LEVEL], "BUILD"])
            to = f"targets to {place}" if depth > LEVEL else f"targets to folders on level {LEVEL}"
            yield (
                build_file(directory),
                1,
                f"is on level {depth} below the root, components are on {LEVEL}; move its {to}",
            )
    for path in tree.spare:
        yield path, 1, f"is a second BUILD file; move its targets to {build_file(path.rpartition('/')[0])}"


def one_public_library(build: BuildFile, tree: Tree) -> Iterator[Note]:
    """R2: one ``python_library``, named like its folder, provides the distribution of the dotted name."""
    name, public = tree.layout.component(build.directory), public_target(build)
    providing = [target for target in build.targets if target.provides is not None]
    if not providing:
        line = public.line if public else 1
        message = f"no target provides a distribution; write in the python_library '{build.name}': "
        yield line, message + _provides(name, tree)
        return
    first = public if public is not None and public in providing else providing[0]
    for target in providing:
        if target is not first:
            message = f"'{target.name}' provides a distribution, as '{first.name}' in line {first.line} does"
            yield target.line, f"{message}; leave its provides out"
    if first.kind != "python_library":
        yield first.line, f"a target of {first.kind} provides the distribution; write: python_library("
    elif first.name != build.name:
        yield first.line, f"the public target is named '{first.name}'; write: name = '{build.name}',"
    if first.provides is not None:
        yield from _setup_py(first.provides, name, tree)


def sources_are_rglobs(build: BuildFile, tree: Tree) -> Iterator[Note]:
    """R3: the sources of a library are ``rglobs('*.py')``, and what sources name is there."""
    for target in build.targets:
        if target.kind == "python_library" and target.sources is not None and str(target.sources) != PYTHON:
            yield target.sources.line, f"the sources are {target.sources}; write: sources = {PYTHON},"
        for sources in (target.sources, target.resources):
            if sources is not None:
                yield from _missing(sources, build, tree)
    public = public_target(build)
    if public is not None and not _has_sources(public, build, tree):
        yield public.line, f"the distribution holds no file; write: sources = {PYTHON},"


def build_file(directory: str) -> str:
    """Return the path of a folder's BUILD file."""
    return "BUILD" if directory == "." else f"{directory}/BUILD"


def _provides(name: str, tree: Tree) -> str:
    return f"provides = setup_py(name = '{name}', {_version(tree)}),"


def _version(tree: Tree) -> str:
    return f"version = open(os.path.join(get_buildroot(), '{tree.layout.version_file}')).read().strip().upper()"


def _setup_py(said: SetupPy, name: str, tree: Tree) -> Iterator[Note]:
    layout = tree.layout
    if said.name.value != name:
        yield said.name.line, f"the distribution is named '{said.name.value}'; write: name = '{name}',"
    if said.version.value != layout.version:
        message = f"the version is '{said.version.value}', and {layout.version_file} says '{layout.version}'"
        yield said.version.line, f"{message}; write: {_version(tree)},"


def _missing(sources: Sources, build: BuildFile, tree: Tree) -> Iterator[Note]:
    there = tree.matched(sources, build.directory)
    if sources.glob is not None and not there:
        yield sources.line, f"{sources} finds no file; leave it out, or add the files"
    for file in sources.files:
        if f"{build.directory}/{file.value}" not in there:
            yield file.line, f"there is no file '{file.value}'; leave it out, or add it"


def _has_sources(public: Target, build: BuildFile, tree: Tree) -> bool:
    carried = tree.carried(Address(build.directory, public.name))
    return any(tree.targets[each].sources is not None for each in carried)
