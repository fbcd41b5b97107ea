"""Azure Pipelines' expressions, as far as pipelines of ours use them; anything else is an error, never a guess.

https://learn.microsoft.com/azure/devops/pipelines/process/expressions
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Value = str | bool | float | None | Mapping[str, object]
    Status = Callable[[Sequence[str]], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[()\[\],.]))"
)
_RUNTIME = re.compile(r"\$\[(.*)\]", re.DOTALL)
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


class BadExpression(Exception):
    """The expression is wrong, or is more than this evaluator knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an expression may refer to."""

    values: Mapping[str, object]
    """``variables``, ``dependencies`` and the like: mappings of mappings of text."""
    status: Mapping[str, Status]
    """``succeeded()`` and the like, of the names that they are given."""


def evaluate(text: str, scope: Scope) -> Value:
    """Return the value of an expression. Raises :class:`BadExpression`."""
    parser = _Parser(_tokens(text), scope)
    value = parser.value()
    if parser.ahead:
        raise BadExpression(f"{text!r}: {parser.ahead[0][1]!r} comes after the end")
    return value


def holds(text: str, scope: Scope) -> bool:
    """Return whether a condition holds."""
    return is_true(evaluate(text, scope))


def runtime(text: str, scope: Scope) -> str:
    """Return the text that a runtime expression, ``$[ … ]``, stands for."""
    found = _RUNTIME.fullmatch(text)
    if found is None:
        raise BadExpression(f"{text!r} is no runtime expression")
    return _text(evaluate(found[1], scope))


def is_true(value: object) -> bool:
    """Cast a value to a boolean: null, 0 and no text are false."""
    return bool(value) or isinstance(value, dict)


def member(value: object, name: str) -> object:
    """Return a mapping's member, whatever the case of its name; null where there is none."""
    if not isinstance(value, dict):
        return None
    return next((found for key, found in value.items() if key.lower() == name.lower()), None)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise BadExpression(f"{text!r}: cannot be read from {text[place:].strip()!r} on")
        found.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return found


class _Parser:
    """Reads and evaluates in one go."""

    def __init__(self, tokens: list[tuple[str, str]], scope: Scope) -> None:
        self.ahead = tokens
        self._scope = scope

    def value(self) -> Value:
        kind, token = self._next()
        if kind == "string":
            return token[1:-1].replace("''", "'")
        if kind == "number":
            return float(token)
        if kind != "name":
            raise BadExpression(f"{token!r} stands where a value is expected")
        if self._skip("("):
            return self._call(token)
        if token.lower() in _WORDS:
            return _WORDS[token.lower()]
        if token not in self._scope.values:
            raise BadExpression(f"there is no {token!r} here; there are {', '.join(sorted(self._scope.values))}")
        return self._members(self._scope.values[token])

    def _members(self, value: object) -> Value:
        while self.ahead and self.ahead[0][1] in {".", "["}:
            if self._skip("."):
                name = self._next()[1]
            else:
                self._skip("[")
                name = str(self.value())
                self._expect("]")
            value = member(value, name)
        if value is not None and not isinstance(value, (str, bool, float, dict)):
            raise BadExpression(f"{value!r} is no value of an expression")
        return value

    def _call(self, name: str) -> Value:
        arguments: list[Value] = []
        while not self._skip(")"):
            if arguments:
                self._expect(",")
            arguments.append(self.value())
        function = name.lower()
        for status, answer in self._scope.status.items():
            if status.lower() == function:
                return answer([str(argument) for argument in arguments])
        if function not in FUNCTIONS:
            raise BadExpression(f"the function {name!r} is unknown")
        return FUNCTIONS[function](arguments)

    def _next(self) -> tuple[str, str]:
        if not self.ahead:
            raise BadExpression("the expression ends where a value is expected")
        return self.ahead.pop(0)

    def _skip(self, sign: str) -> bool:
        found = bool(self.ahead) and self.ahead[0] == ("sign", sign)
        if found:
            self.ahead.pop(0)
        return found

    def _expect(self, sign: str) -> None:
        if not self._skip(sign):
            found = self.ahead[0][1] if self.ahead else "the end"
            raise BadExpression(f"found {found!r}, expected {sign!r}")


def _equal(left: Value, right: Value) -> bool:
    """Compare after the right value has been given the left one's type; text without regard to case."""
    if isinstance(left, bool):
        return left == is_true(right)
    if isinstance(left, float):
        try:
            return left == float(str(right or 0))
        except ValueError:
            return False
    if isinstance(left, dict) or isinstance(right, dict):
        return left is right
    return _text(left).lower() == _text(right).lower()


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _coalesce(values: Iterable[Value]) -> Value:
    return next((value for value in values if value not in (None, "")), None)


FUNCTIONS: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "and": lambda values: all(map(is_true, values)),
    "or": lambda values: any(map(is_true, values)),
    "not": lambda values: not is_true(values[0]),
    "eq": lambda values: _equal(values[0], values[1]),
    "ne": lambda values: not _equal(values[0], values[1]),
    "in": lambda values: any(_equal(values[0], value) for value in values[1:]),
    "startswith": lambda values: _text(values[0]).lower().startswith(_text(values[1]).lower()),
    "coalesce": _coalesce,
}
