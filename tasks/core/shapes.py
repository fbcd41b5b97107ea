"""What a node of a configuration file may look like: one definition that reads it and describes it as JSON Schema.

A shape's ``read`` notes every problem below its node and then raises :class:`Unreadable` once, so that all errors of a
file are reported in one go. Its ``schema`` is JSON Schema 2020-12.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tasks.core import document
from tasks.core.document import Listing, Node, Place, Scalar, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

S = TypeVar("S")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Schema = dict[str, Any]
_SHORT_NUMBER = re.compile(r"[0-9]{1,9}")


class Unreadable(Exception):
    """The node's problems have been noted; there is no value."""


class Shape(Protocol[T_co]):
    """Reads a node into a value and describes the nodes it takes."""

    def read(self, node: Node, place: Place) -> T_co:
        """Return the node's value, or note its problems and raise :class:`Unreadable`."""

    def schema(self) -> Schema:
        """Return the JSON Schema of the nodes that can be read."""


def refuse(node: Node, place: Place, expected: str) -> Unreadable:
    """Note that something else was expected, and return what to raise."""
    place.report(node, f"expected {expected}, found {describe(node)}")
    return Unreadable()


@dataclass(frozen=True, slots=True)
class Text(Generic[T]):
    """A scalar, parsed by ``parse``, whose ``ValueError`` becomes the message."""

    expected: str
    parse: Callable[[str], T]
    pattern: str | None = None
    """The regular expression (ECMA 262, unanchored) that editors check."""
    number: bool = False
    """Whether YAML may have it unquoted as a number: versions, ports."""
    choices: tuple[str, ...] = ()

    def read(self, node: Node, place: Place) -> T:
        """Parse the scalar's text."""
        if not isinstance(node, Scalar) or node.empty:
            raise refuse(node, place, self.expected)
        try:
            return self.parse(node.text)
        except ValueError as error:
            place.report(node, f"expected {self.expected}, found {describe(node)}{_because(error)}")
            raise Unreadable from error

    def schema(self) -> Schema:
        """A string (or number), with its pattern or choices."""
        made: Schema = {"type": ["string", "number"] if self.number else "string", "description": self.expected}
        if self.pattern:
            made["pattern"] = self.pattern
        if self.choices:
            made["enum"] = list(self.choices)
        return made


def choice(expected: str, *choices: str) -> Text[str]:
    """Return the shape of one word out of several."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return Text(expected, parse, choices=choices)


@dataclass(frozen=True, slots=True)
class Boolean:
    """``true`` or ``false``, as YAML 1.2 spells them; ``on`` and ``yes`` are words."""

    def read(self, node: Node, place: Place) -> bool:
        """Read an unquoted ``true`` or ``false``."""
        if not isinstance(node, Scalar) or not node.plain or node.text not in {"true", "false"}:
            raise refuse(node, place, "true or false")
        return node.text == "true"

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from ``minimum`` up, to ``maximum`` where there is one."""

    expected: str
    minimum: int = 1
    maximum: int | None = None

    def read(self, node: Node, place: Place) -> int:
        """Read a decimal number."""
        if not isinstance(node, Scalar) or not _SHORT_NUMBER.fullmatch(node.text):
            raise refuse(node, place, self.expected)
        if int(node.text) < self.minimum:
            raise refuse(node, place, f"{self.expected} (at least {self.minimum})")
        if self.maximum is not None and int(node.text) > self.maximum:
            raise refuse(node, place, f"{self.expected} (at most {self.maximum})")
        return int(node.text)

    def schema(self) -> Schema:
        """An integer with its minimum."""
        made: Schema = {"type": "integer", "minimum": self.minimum, "description": self.expected}
        return made if self.maximum is None else {**made, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class ListOf(Generic[T]):
    """A list of one shape; with ``or_one``, a single item may stand without its brackets."""

    item: Shape[T]
    expected: str = "a list"
    or_one: bool = False
    nonempty: bool = False

    def read(self, node: Node, place: Place) -> tuple[T, ...]:
        """Read every item, noting the problems of all."""
        if self.or_one and not isinstance(node, Listing):
            return (self.item.read(node, place),)
        if not isinstance(node, Listing) or (self.nonempty and not node.items):
            raise refuse(node, place, self.expected)
        return tuple(_each((self.item, item, place.index(number)) for number, item in enumerate(node.items)))

    def schema(self) -> Schema:
        """An array, or one item."""
        made: Schema = {"type": "array", "items": self.item.schema()}
        if self.nonempty:
            made["minItems"] = 1
        return {"anyOf": [made, self.item.schema()]} if self.or_one else made


@dataclass(frozen=True, slots=True)
class MappingOf(Generic[T]):
    """A mapping with free keys, each of which ``key`` must take."""

    value: Shape[T]
    key: Text[Any]
    expected: str = "a mapping"

    def read(self, node: Node, place: Place) -> Mapping[str, T]:
        """Read every entry, keys and values, noting the problems of all."""
        if not isinstance(node, document.Mapping):
            raise refuse(node, place, self.expected)
        sound = [self._sound(key, place) for key, _ in node.entries]
        values = _each((self.value, value, place.key(key.text)) for key, value in node.entries)
        if not all(sound):
            raise Unreadable
        return {key.text: value for (key, _), value in zip(node.entries, values, strict=True)}

    def schema(self) -> Schema:
        """An object whose values have one schema."""
        return {"type": "object", "additionalProperties": self.value.schema()}

    def _sound(self, key: Scalar, place: Place) -> bool:
        try:
            self.key.read(key, place.key(key.text))
        except Unreadable:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a :class:`Record`: its shape, what it is for, and whether it must be there."""

    shape: Shape[Any]
    doc: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Record(Generic[T]):
    """A mapping with known keys; ``build`` receives those that were there, and may refuse them with ``ValueError``."""

    fields: Mapping[str, Field]
    build: Callable[..., T]
    expected: str = "a mapping"

    def read(self, node: Node, place: Place) -> T:
        """Read the known keys, refuse the unknown, miss the required."""
        if not isinstance(node, document.Mapping):
            raise refuse(node, place, self.expected)
        found = {key.text: value for key, value in node.entries}
        complete = self._known(node, place)
        for name, field in self.fields.items():
            if field.required and name not in found:
                place.report(node, f"the key '{name}' is missing: {field.doc}")
                complete = False
        known = [name for name in found if name in self.fields]
        values = _each((self.fields[name].shape, found[name], place.key(name)) for name in known)
        if not complete:
            raise Unreadable
        try:
            return self.build(**dict(zip(known, values, strict=True)))
        except ValueError as error:
            place.report(node, str(error))
            raise Unreadable from error

    def schema(self) -> Schema:
        """An object without further keys."""
        properties = {name: {**field.shape.schema(), "description": field.doc} for name, field in self.fields.items()}
        required = [name for name, field in self.fields.items() if field.required]
        made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**made, "required": required} if required else made

    def _known(self, node: document.Mapping, place: Place) -> bool:
        complete = True
        for key, _ in node.entries:
            if key.text not in self.fields:
                near = get_close_matches(key.text, self.fields, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(self.fields)}"
                place.key(key.text).report(key, f"unknown key; {hint}")
                complete = False
        return complete


@dataclass(frozen=True, slots=True)
class Mapped(Generic[S, T]):
    """Another shape's value, turned into something else."""

    shape: Shape[S]
    change: Callable[[S], T]

    def read(self, node: Node, place: Place) -> T:
        """Read, then change."""
        return self.change(self.shape.read(node, place))

    def schema(self) -> Schema:
        """The other shape's schema."""
        return self.shape.schema()


@dataclass(frozen=True, slots=True)
class At(Generic[T]):
    """A value, and where it stood, for what can only be judged once the whole file is read."""

    value: T
    node: Node
    place: Place

    def report(self, message: str) -> None:
        """Note a problem at the value's place."""
        self.place.report(self.node, message)


@dataclass(frozen=True, slots=True)
class Located(Generic[T]):
    """Another shape's value with its place."""

    shape: Shape[T]

    def read(self, node: Node, place: Place) -> At[T]:
        """Read, and keep the place."""
        return At(self.shape.read(node, place), node, place)

    def schema(self) -> Schema:
        """The other shape's schema."""
        return self.shape.schema()


@dataclass(frozen=True, slots=True)
class ByKind(Generic[T]):
    """One of several shapes, chosen by whether the node is a scalar, a list or a mapping."""

    expected: str
    scalar: Shape[T] | None = None
    listing: Shape[T] | None = None
    mapping: Shape[T] | None = None

    def read(self, node: Node, place: Place) -> T:
        """Read with the shape for the node's kind."""
        if isinstance(node, Scalar):
            shape = None if node.empty else self.scalar
        else:
            shape = self.listing if isinstance(node, Listing) else self.mapping
        if shape is None:
            raise refuse(node, place, self.expected)
        return shape.read(node, place)

    def schema(self) -> Schema:
        """Any of the schemas."""
        shapes = (self.scalar, self.listing, self.mapping)
        return {"anyOf": [shape.schema() for shape in shapes if shape is not None]}


def _each(work: Iterator[tuple[Shape[T], Node, Place]]) -> list[T]:
    values: list[T] = []
    whole = True
    for shape, node, place in work:
        try:
            values.append(shape.read(node, place))
        except Unreadable:
            whole = False
    if not whole:
        raise Unreadable
    return values


def _because(error: ValueError) -> str:
    return f": {error}" if str(error) else ""
