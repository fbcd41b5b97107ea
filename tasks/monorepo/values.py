"""What a BUILD file says, as frozen values that still know their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
Note = tuple[int, str]
"""What a rule has found in a BUILD file: its line, and the message."""
PlacedNote = tuple[str, int, str]
"""The same with the file before it: its path below the build root."""


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """A value and the line where it stands, counted from 1."""

    value: T
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """``globs(…)``, ``rglobs(…)`` or ``zglobs(…)``."""

    function: str
    patterns: tuple[str, ...]
    exclude: tuple[Glob, ...] = ()

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(repr, self.patterns))}{', exclude = [...]' if self.exclude else ''})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files of a target: those that a glob finds, or those listed."""

    line: int
    glob: Glob | None = None
    files: tuple[Said[str], ...] = ()

    def __str__(self) -> str:
        return str(self.glob) if self.glob else f"[{', '.join(repr(file.value) for file in self.files)}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """An entry of ``.with_binaries(…)``: a console script and the address of its binary."""

    script: str
    address: str
    line: int
    keyword: bool = False
    """Whether it was written ``script = address`` rather than in the dict form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPy:
    """``setup_py(…)`` with its ``.with_binaries(…)``."""

    name: Said[str]
    version: Said[str]
    line: int
    binaries: tuple[Exported, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A declaration of a BUILD file; what it does not say is ``None`` or empty."""

    kind: str
    name: str
    line: int
    sources: Sources | None = None
    resources: Sources | None = None
    """Of a ``python_library``: files that are no Python."""
    source: Said[str] | None = None
    """Of a ``python_binary``: a file to run, where it has no entry point."""
    entry_point: Said[str] | None = None
    dependencies: tuple[Said[str], ...] = ()
    dependencies_line: int | None = None
    provides: SetupPy | None = None

    @property
    def is_binary(self) -> bool:
        """Whether it is a ``python_binary``."""
        return self.kind == "python_binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A convention that a file breaks, with what to write instead."""

    file: str
    line: int
    rule: str
    component: str
    """The component's dotted name; of a BUILD file elsewhere its folder."""
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.rule} {self.message}"
