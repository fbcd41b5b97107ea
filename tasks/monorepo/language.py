"""The expressions of BUILD files: Python's syntax, a dozen words, nothing executed.

A file is parsed with ``ast`` and its expressions are evaluated here, node by node. What is not listed here is refused
with its line. The one thing that is looked up is the text of a file below the build root, through ``read``.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from tasks.monorepo.globbing import check_pattern
from tasks.monorepo.values import Exported, Glob, Said, SetupPy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

GLOBS = ("globs", "rglobs", "zglobs")
FUNCTIONS = (*GLOBS, "get_buildroot", "open", "setup_py")
LONGEST = 60
"""Characters of an expression that a message shows."""

T = TypeVar("T")


class Wrong(Exception):
    """Something at a line is not of the language; the message says what was found and what was expected."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class BuildRoot:
    """What ``get_buildroot()`` returns."""


@dataclass(frozen=True, slots=True)
class RootPath:
    """A path below the build root."""

    path: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A file below the build root, opened."""

    path: str


Plain = str | bool | int | float | None
Data = Plain | tuple["Said[Data]", ...] | dict[str, "Said[Data]"] | Glob | SetupPy | BuildRoot | RootPath | Opened
Value = Said[Data]


class Evaluator:
    """Evaluates the expressions of one file."""

    def __init__(self, read: Callable[[str], str]) -> None:
        """``read`` returns the text of a file below the build root, or raises :class:`LookupError` with the reason."""
        self.read = read
        self.os = False
        """Whether the file has imported ``os``."""

    def value(self, node: ast.expr) -> Value:
        """Return what an expression stands for; raise :class:`Wrong`."""
        if isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, str | int | float)):
            return Said(node.value, node.lineno)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return Said(tuple(self.value(item) for item in node.elts), node.lineno)
        if isinstance(node, ast.Dict):
            return Said(self._mapping(node), node.lineno)
        if isinstance(node, ast.Call):
            return Said(self._call(node), node.lineno)
        raise Wrong(
            node.lineno, f"expected text, a number, a list, a mapping or a call, found {shown(node)}; nothing is run"
        )

    def arguments(self, node: ast.Call) -> tuple[list[Value], dict[str, Value]]:
        """Return the arguments of a call, by position and by keyword."""
        named: dict[str, Value] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise Wrong(keyword.value.lineno, f"expected name = value, found **{shown(keyword.value, ticks=False)}")
            if keyword.arg in named:
                raise Wrong(keyword.value.lineno, f"{keyword.arg}: is there already, in line {named[keyword.arg].line}")
            named[keyword.arg] = self.value(keyword.value)
        return [self.value(argument) for argument in node.args], named

    def _mapping(self, node: ast.Dict) -> dict[str, Value]:
        made: dict[str, Value] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            name = None if key is None else self.value(key).value
            if not isinstance(name, str):
                found = shown(item, before="**") if key is None else shown(key)
                raise Wrong(item.lineno if key is None else key.lineno, f"expected a text as the key, found {found}")
            if name in made:
                raise Wrong(item.lineno, f"the key '{name}' is there already, in line {made[name].line}")
            made[name] = self.value(item)
        return made

    def _call(self, node: ast.Call) -> Data:
        if isinstance(node.func, ast.Name):
            return self._function(node.func.id, node)
        if isinstance(node.func, ast.Attribute):
            if node.func.attr == "join" and ast.unparse(node.func) == "os.path.join":
                return self._join(node)
            return self._method(node.func, node)
        raise Wrong(node.lineno, f"expected a call of {', '.join(FUNCTIONS)}, found {shown(node)}; nothing is run")

    def _function(self, name: str, node: ast.Call) -> Data:
        if name in GLOBS:
            return self._glob(name, node)
        if name == "setup_py":
            return self._setup_py(node)
        if name == "get_buildroot":
            self._nothing("get_buildroot()", node)
            return BuildRoot()
        if name == "open":
            path = self._only("open", node).value
            if not isinstance(path, RootPath):
                raise Wrong(node.lineno, "open: expected os.path.join(get_buildroot(), 'FILE'), nothing else is read")
            return Opened(path.path)
        raise Wrong(node.lineno, unknown(name, FUNCTIONS))

    def _method(self, attribute: ast.Attribute, node: ast.Call) -> Data:
        name, of = attribute.attr, self.value(attribute.value).value
        line = attribute.end_lineno or node.lineno
        if isinstance(of, SetupPy) and name == "with_binaries":
            return replace(of, binaries=(*of.binaries, *self._binaries(node, line)))
        if isinstance(of, Opened) and name == "read":
            self._nothing(".read()", node)
            try:
                return self.read(of.path)
            except LookupError as error:
                raise Wrong(line, f"open: {of.path}: {error.args[0]}") from error
        if isinstance(of, str) and name in {"strip", "upper"}:
            self._nothing(f".{name}()", node)
            return of.strip() if name == "strip" else of.upper()
        raise Wrong(line, f"unknown method .{name}() of {described(of)}; there are .read().strip().upper() of a file "
                          "and .with_binaries({...}) of setup_py")  # fmt: skip

    def _join(self, node: ast.Call) -> RootPath:
        if not self.os:
            raise Wrong(node.lineno, "os is not imported; write: import os")
        values, named = self.arguments(node)
        parts = [text(value, "os.path.join") for value in values[1:]]
        if named or not parts or not isinstance(values[0].value, BuildRoot):
            raise Wrong(node.lineno, f"expected os.path.join(get_buildroot(), 'FILE'), found {shown(node)}")
        path = "/".join(part.value for part in parts)
        if ".." in path.split("/") or any(part.value.startswith("/") for part in parts):
            raise Wrong(node.lineno, f"os.path.join: '{path}' leads out of the build root")
        return RootPath(path)

    def _glob(self, name: str, node: ast.Call) -> Glob:
        values, named = self.arguments(node)
        patterns = [text(value, name) for value in values]
        if not patterns:
            raise Wrong(node.lineno, f"{name}: expected a pattern such as '*.py', found none")
        for pattern in patterns:
            _check(pattern, name)
        exclude = named.pop("exclude", None)
        return Glob(
            function=name,
            patterns=tuple(pattern.value for pattern in patterns),
            exclude=() if exclude is None else tuple(_excluded(exclude, f"{name}: exclude")),
        )

    def _setup_py(self, node: ast.Call) -> SetupPy:
        values, named = self.arguments(node)
        if values:
            raise Wrong(values[0].line, f"setup_py: expected name = value, found {described(values[0].value)}")
        for key in ("name", "version"):
            if key not in named:
                raise Wrong(node.lineno, f"setup_py: {key} is missing; write: {key} = '...'")
        return SetupPy(
            name=text(named["name"], "setup_py: name"),
            version=text(named["version"], "setup_py: version"),
            line=node.lineno,
        )

    def _binaries(self, node: ast.Call, line: int) -> Iterable[Exported]:
        values, named = self.arguments(node)
        for value in values:
            if not isinstance(value.value, dict):
                raise Wrong(value.line, f".with_binaries: expected {{...}}, found {described(value.value)}")
        mappings = [(value.value, False) for value in values if isinstance(value.value, dict)] + [(named, True)]
        if not any(mapping for mapping, _ in mappings):
            raise Wrong(line, ".with_binaries: expected {'NAME': ':NAME'}, found nothing")
        for mapping, keyword in mappings:
            for script, value in mapping.items():
                address = text(value, f".with_binaries: {script}")
                yield Exported(script=script, address=address.value, line=address.line, keyword=keyword)

    def _only(self, name: str, node: ast.Call) -> Value:
        values, named = self.arguments(node)
        if len(values) != 1 or named:
            raise Wrong(node.lineno, f"{name}: expected one argument, found {shown(node)}")
        return values[0]

    def _nothing(self, name: str, node: ast.Call) -> None:
        if node.args or node.keywords:
            raise Wrong(node.lineno, f"{name} takes no argument, found {shown(node)}")


def text(value: Value, what: str) -> Said[str]:
    """Return a text that is not empty; ``what`` names its place in a message."""
    if not isinstance(value.value, str) or not value.value:
        raise Wrong(value.line, f"{what}: expected text, found {described(value.value)}")
    return Said(value.value, value.line)


def texts(value: Value, what: str) -> tuple[Said[str], ...]:
    """Return a list of texts."""
    if not isinstance(value.value, tuple):
        raise Wrong(value.line, f"{what}: expected a list of texts, found {described(value.value)}")
    return tuple(text(item, what) for item in value.value)


def unknown(name: str, known: Iterable[str]) -> str:
    """Return the message for a function that is not of the language."""
    near = get_close_matches(name, known, n=1)
    return f"unknown function {name}(...); " + (
        f"did you mean {near[0]}(...)?" if near else f"expected one of {', '.join(known)}; nothing is run"
    )


def shown(node: ast.AST, *, before: str = "", ticks: bool = True) -> str:
    """Return an expression or statement for a message, in one line."""
    whole = " ".join(ast.unparse(node).split())
    short = before + (whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}…")
    return f"'{short}'" if ticks else short


def described(data: Data) -> str:
    """Return how a message names a value."""
    if isinstance(data, str):
        return f"'{data[:LONGEST]}'" if data else "an empty text"
    if data is None or isinstance(data, bool | int | float):
        return str(data)
    names = {tuple: "a list", dict: "a mapping", Glob: "globs", SetupPy: "setup_py(...)", BuildRoot: "get_buildroot()"}
    return names.get(type(data), "a file")


def _excluded(value: Value, what: str) -> Iterable[Glob]:
    """Yield what ``exclude`` holds: globs, file names and lists of them."""
    data = value.value
    if isinstance(data, Glob):
        yield data
    elif isinstance(data, tuple):
        for item in data:
            yield from _excluded(item, what)
    else:
        name = text(value, what)
        _check(name, what)
        yield Glob(function="globs", patterns=(name.value,))


def _check(pattern: Said[str], what: str) -> None:
    try:
        check_pattern(pattern.value)
    except ValueError as error:
        raise Wrong(pattern.line, f"{what}: '{pattern.value}' {error}") from error
