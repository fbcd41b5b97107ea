"""A configuration file as read: scalars, lists and mappings that still know their lines.

The reader (``tasks.matrixfile``) knows YAML; this knows nothing of it, so that what is read from the tree is pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A scalar's text exactly as written (``1.10`` stays ``1.10``); ``plain`` is false where it was quoted."""

    text: str
    plain: bool
    line: int

    @property
    def empty(self) -> bool:
        """Whether nothing was written, or YAML's null."""
        return self.plain and self.text in {"", "~", "null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A sequence of nodes."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Entries in the file's order; no key twice."""

    entries: tuple[tuple[Scalar, Node], ...]
    line: int


Node = Scalar | Listing | Mapping
LONGEST = 100
"""Characters of a scalar that a message shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong at one place of a file."""

    line: int
    path: str
    message: str

    def at(self, file: str) -> str:
        """Return the message with its place: ``FILE:LINE: KEY.PATH: MESSAGE``."""
        place = f"{self.path}: " if self.path else ""
        return f"{file}:{self.line}: {place}{self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reader stands in the tree, and the list that its problems go to."""

    path: str = ""
    problems: list[Problem] = field(default_factory=list)

    def key(self, name: str) -> Place:
        """Return the place of a mapping's entry."""
        return Place(path=f"{self.path}.{name}" if self.path else name, problems=self.problems)

    def index(self, number: int) -> Place:
        """Return the place of a list's item, counted from 0."""
        return Place(path=f"{self.path}[{number}]", problems=self.problems)

    def report(self, node: Node, message: str) -> None:
        """Note a problem and go on."""
        self.problems.append(Problem(line=node.line, path=self.path, message=message))


def describe(node: Node) -> str:
    """Return how a message names what was found."""
    if isinstance(node, Listing):
        return "a list" if node.items else "an empty list"
    if isinstance(node, Mapping):
        return "a mapping" if node.entries else "an empty mapping"
    if node.empty:
        return "nothing"
    return f"'{node.text if len(node.text) <= LONGEST else node.text[:LONGEST] + '…'}'"
