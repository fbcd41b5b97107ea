"""A BUILD file as data: its targets with their arguments, each of the type that it has to be.

The form is that of Pants v1. Arguments of targets that are not known here (``tags`` …) are read and ignored; every
other thing that is not known is an error with its line.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.monorepo.globbing import check_pattern
from tasks.monorepo.language import Evaluator, Value, Wrong, described, shown, text, texts, unknown
from tasks.monorepo.values import Glob, Said, SetupPy, Sources, Target

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("python_library", "python_binary", "resources")
DEPENDANT_KINDS = (*KINDS, "python_tests")
"""What BUILD files outside the root may declare besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFile:
    """The targets of one BUILD file, in its order; no name twice."""

    directory: str
    """Its folder's address: the path below the build root."""
    targets: tuple[Target, ...]

    @property
    def name(self) -> str:
        """Its folder's name, which is the public target's."""
        return self.directory.rpartition("/")[2]


class Unreadable(Exception):
    """A BUILD file has problems, of which each message names file and line."""

    def __init__(self, *messages: str) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


def read_build(
    source: bytes, *, file: str, directory: str, read: Callable[[str], str], kinds: tuple[str, ...] = KINDS
) -> BuildFile:
    """Read a BUILD file; raise :class:`Unreadable` with the first problem of each statement.

    ``read`` returns the text of a file below the build root, or raises :class:`LookupError` with the reason.
    """
    evaluator = Evaluator(read)
    targets: dict[str, Target] = {}
    problems: list[Wrong] = []
    try:
        for statement in _parsed(source).body:
            try:
                _take(statement, evaluator, targets, kinds)
            except Wrong as wrong:
                problems.append(wrong)
    except Wrong as wrong:
        problems.append(wrong)
    except (RecursionError, MemoryError):
        problems.append(Wrong(1, "its expressions are nested too deep"))
    if problems:
        raise Unreadable(*(f"{file}:{problem.line}: {problem.message}" for problem in problems))
    return BuildFile(directory=directory, targets=tuple(targets.values()))


def _parsed(source: bytes) -> ast.Module:
    try:
        code = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise Wrong(line, f"not UTF-8: found the byte 0x{source[error.start]:02x}") from error
    if "\0" in code:
        raise Wrong(code.count("\n", 0, code.index("\0")) + 1, "not Python: found a NUL character")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of literals that Python deprecates, such as '\d': they are what they are
        try:
            return ast.parse(code)
        except SyntaxError as error:
            raise Wrong(error.lineno or 1, f"not Python: {error.msg}") from error


def _take(statement: ast.stmt, evaluator: Evaluator, targets: dict[str, Target], kinds: tuple[str, ...]) -> None:
    if isinstance(statement, ast.Import) and [(each.name, each.asname) for each in statement.names] == [("os", None)]:
        evaluator.os = True
        return
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        raise Wrong(
            statement.lineno,
            f"expected import os or a target such as python_library(...), found {shown(statement)}; nothing is run",
        )
    call = statement.value
    kind = call.func.id if isinstance(call.func, ast.Name) else ast.unparse(call.func)
    if kind not in kinds:
        raise Wrong(statement.lineno, unknown(kind, kinds))
    target = _target(kind, call, evaluator)
    first = targets.setdefault(target.name, target)
    if first is not target:
        raise Wrong(target.line, f"the target '{target.name}' is there already, in line {first.line}")


def _target(kind: str, call: ast.Call, evaluator: Evaluator) -> Target:
    values, named = evaluator.arguments(call)
    if values:
        raise Wrong(values[0].line, f"{kind}: expected name = value, found {described(values[0].value)}")
    if "name" not in named:
        raise Wrong(call.lineno, f"{kind}: name is missing; write: name = '...'")
    name = text(named["name"], f"{kind}: name")
    if set(name.value) & set(":/\\ \n"):
        raise Wrong(name.line, f"{kind}: name: expected a name without ':', '/' and spaces, found '{name.value}'")

    def said(argument: str) -> Value | None:
        found = named.get(argument)
        return None if found is None or found.value is None else found

    def a_text(argument: str) -> Said[str] | None:
        found = said(argument)
        return None if found is None else text(found, f"{kind}: {argument}")

    def files(argument: str) -> Sources | None:
        found = said(argument)
        return None if found is None else _sources(found, f"{kind}: {argument}")

    dependencies, provides = said("dependencies"), said("provides")
    if provides is not None and not isinstance(provides.value, SetupPy):
        raise Wrong(provides.line, f"{kind}: provides: expected setup_py(...), found {described(provides.value)}")
    return Target(
        kind=kind,
        name=name.value,
        line=call.lineno,
        sources=files("sources"),
        resources=files("resources"),
        source=a_text("source"),
        entry_point=a_text("entry_point"),
        dependencies=() if dependencies is None else texts(dependencies, f"{kind}: dependencies"),
        dependencies_line=None if dependencies is None else dependencies.line,
        provides=None if provides is None else provides.value if isinstance(provides.value, SetupPy) else None,
    )


def _sources(value: Value, what: str) -> Sources:
    if isinstance(value.value, Glob):
        return Sources(line=value.line, glob=value.value)
    if not isinstance(value.value, tuple):
        expected = "rglobs(...), globs(...), zglobs(...) or a list of file names"
        raise Wrong(value.line, f"{what}: expected {expected}, found {described(value.value)}")
    files = texts(value, what)
    for file in files:
        try:
            check_pattern(file.value)
        except ValueError as error:
            raise Wrong(file.line, f"{what}: '{file.value}' {error}") from error
    return Sources(line=value.line, files=files)
