"""R6 to R10: what keeps a PEX the same as what ``pip install`` gives."""

from __future__ import annotations

import ast
import re
import warnings
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tasks.monorepo.layout_rules import PYTHON
from tasks.monorepo.tree import Address, binaries, parse_address, public_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tasks.monorepo.build_file import BuildFile
    from tasks.monorepo.tree import Tree
    from tasks.monorepo.values import Exported, Note, Said, Target

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_ENTRY_POINT = re.compile(rf"(?P<module>{_NAME}(\.{_NAME})*)(:(?P<function>{_NAME}(\.{_NAME})*))?")


def binary_is_its_console_script(build: BuildFile, _tree: Tree) -> Iterator[Note]:
    """R6: a binary, its console script and its PEX have one name."""
    for binary in binaries(build):
        if binary.name.endswith(".pex"):
            name = binary.name.removesuffix(".pex")
            yield binary.line, f"'{binary.name}' is named like its file; write: name = '{name}',"
    named = {binary.name for binary in binaries(build)}
    for each in exported(build):
        address = parse_address(each.address, build.directory)
        if address.directory == build.directory and address.name in named and each.script != address.name:
            message = f"the console script '{each.script}' runs the binary '{address.name}'"
            yield each.line, f"{message}; write: {_entry(address.name)}"


def nothing_depends_on_a_binary(build: BuildFile, tree: Tree) -> Iterator[Note]:
    """R6: a binary is a way to run a library, and no part of one."""
    for target in build.targets:
        for said in target.dependencies:
            address = parse_address(said.value, build.directory)
            known = tree.targets.get(address)
            if known is not None and known.is_binary:
                library = f":_{build.name}" if address.directory == build.directory else address.directory
                yield said.line, f"'{said.value}' is a binary; write '{library}'"


def binaries_use_entry_points(build: BuildFile, tree: Tree) -> Iterator[Note]:
    """R7: a binary runs a module of its library, the one that tests see, and that module is there."""
    component = tree.layout.component(build.directory)
    for binary in binaries(build):
        files = [each.value for each in (binary.source, *(binary.sources.files if binary.sources else ())) if each]
        name = files[0].removesuffix(".py").replace("/", ".") if files else binary.name.replace("-", "_")
        module = f"{component}.{name}"
        for said in (binary.source, binary.sources):
            if said is not None:
                message = f"the binary '{binary.name}' has sources of its own"
                yield said.line, f"{message}; write: entry_point = '{module}',"
        if binary.entry_point is not None:
            yield from _entry_point(binary, binary.entry_point, build, tree)
        elif binary.source is None and binary.sources is None:
            yield binary.line, f"the binary '{binary.name}' has no entry point; write: entry_point = '{module}',"


def binaries_depend_on_the_private_library(build: BuildFile, _tree: Tree) -> Iterator[Note]:
    """R8: a binary depends on exactly what the public library depends on."""
    for binary in binaries(build):
        if [each.value for each in binary.dependencies] != [f":_{build.name}"]:
            message = f"the binary '{binary.name}' has other dependencies than the public library"
            yield binary.dependencies_line or binary.line, f"{message}; write: {_dependencies(build)}"


def binaries_are_exported(build: BuildFile, _tree: Tree) -> Iterator[Note]:
    """R9: every binary is repeated in ``.with_binaries({…})``, and nothing else."""
    every, named = exported(build), [binary.name for binary in binaries(build)]
    public = public_target(build)
    line = 1 if public is None else public.provides.line if public.provides else public.line
    whole = f".with_binaries({{{', '.join(map(_entry, named))}}})" if named else "setup_py(...) without .with_binaries"
    addresses = {parse_address(each.address, build.directory) for each in every}
    for name in named:
        if Address(build.directory, name) not in addresses:
            yield line, f"the binary '{name}' is no console script; write: {whole}"
    for each in every:
        address = parse_address(each.address, build.directory)
        if address.directory != build.directory or address.name not in named:
            yield each.line, f"'{each.address}' is no binary of this file; write: {whole}"
    for each in [each for each in every if each.keyword][:1]:
        yield each.line, f"'{each.script}' is a keyword, which can hold no dash; write the dict form: {whole}"


def private_library_holds_the_sources(build: BuildFile, _tree: Tree) -> Iterator[Note]:
    """R10: beside binaries the private library has sources and dependencies, the public one depends on it alone."""
    public, private = public_target(build), f"_{build.name}"
    if not binaries(build):
        return
    library = next((target for target in build.targets if target.name == private), None)
    if library is None or library.kind != "python_library":
        line = library.line if library else binaries(build)[0].line
        written = f"python_library(name = '{private}', sources = {PYTHON}, dependencies = [...])"
        yield line, f"there are binaries, and no private library for them; write: {written}"
    elif library.sources is None:
        yield library.line, f"'{private}' has no sources; write: sources = {PYTHON},"
    if public is None:
        return
    for held, what in ((public.sources, "sources"), (public.resources, "resources")):
        if held is not None:
            yield held.line, f"beside binaries '{private}' holds the {what}; leave these out"
    if [each.value for each in public.dependencies] != [f":{private}"]:
        message = f"beside binaries the public library depends on '{private}' alone"
        yield public.dependencies_line or public.line, f"{message}; write: {_dependencies(build)}"


def exported(build: BuildFile) -> tuple[Exported, ...]:
    """Return the console scripts of a BUILD file's distributions."""
    return tuple(each for target in build.targets if target.provides for each in target.provides.binaries)


def entry_modules(tree: Tree) -> tuple[str, ...]:
    """Return the files that an entry point names a function of: :attr:`Tree.defined` has to tell what they define."""
    found: set[str] = set()
    for build in tree.builds:
        for binary in binaries(build):
            match = _ENTRY_POINT.fullmatch(binary.entry_point.value) if binary.entry_point else None
            if match and match["function"]:
                found.update(path for path in _places(match["module"], tree) if tree.has(path))
    return tuple(sorted(found))


def names_defined(source: bytes) -> frozenset[str] | None:
    """Return the names that a module's own statements bind, or ``None`` where only running it would tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names: set[str] = set()
    ahead: list[ast.AST] = [module]
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        ahead += ast.iter_child_nodes(node)
    return None if names & {"*", "__getattr__"} else frozenset(names)


def _entry_point(binary: Target, said: Said[str], build: BuildFile, tree: Tree) -> Iterator[Note]:
    match = _ENTRY_POINT.fullmatch(said.value)
    if match is None:
        form = f"{tree.layout.component(build.directory)}.MODULE:FUNCTION"
        yield said.line, f"'{said.value}' is no entry point; write: entry_point = '{form}',"
        return
    module = match["module"]
    start = Address(build.directory, binary.name)
    there = (path for path in _places(module, tree) if tree.has(path))
    path = next((path for path in there if any(path in tree.files[each] for each in tree.reached(start))), None)
    if path is None:
        modules = {
            _dotted(path, tree) for each in tree.reached(start) for path in tree.files[each] if path.endswith(".py")
        }
        near = get_close_matches(module, sorted(modules), n=1)
        hint = f"write: entry_point = '{near[0]}{said.value[len(module) :]}'," if near else "add it to the sources"
        message = f"neither sources nor dependencies of the binary '{binary.name}' have the module '{module}'"
        yield said.line, f"{message}; {hint}"
    elif match["function"]:
        names = tree.defined.get(path)
        function = match["function"].partition(".")[0]
        if names is not None and function not in names:
            near = get_close_matches(function, sorted(names), n=1)
            hint = f"write: entry_point = '{module}:{near[0]}'," if near else "define it there"
            yield said.line, f"{path} defines no '{function}'; {hint}"


def _places(module: str, tree: Tree) -> Sequence[str]:
    root = "" if tree.layout.root == "." else f"{tree.layout.root}/"
    path = root + module.replace(".", "/")
    return (f"{path}.py", f"{path}/__init__.py")


def _dotted(path: str, tree: Tree) -> str:
    return ".".join(tree.layout.parts(path.removesuffix(".py").removesuffix("/__init__")))


def _entry(name: str) -> str:
    return f"'{name}': ':{name}'"


def _dependencies(build: BuildFile) -> str:
    return f"dependencies = [':_{build.name}'],"
