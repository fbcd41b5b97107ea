"""What the matrix says of a user's golden files: where they lie, and what reads them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What reads a user's golden files: a command, or a Python callable, of which just one is given."""

    command: tuple[str, ...] = ()
    """The program and its arguments; the file's path comes last. It prints what it found as JSON."""
    callable: str = ""
    """``module:function``, which takes the file's :class:`~pathlib.Path` and returns what JSON can hold."""
    folder: str = "."
    """Where the callable's module lies, relative to the matrix."""

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.callable):
            raise ValueError("expected one of the keys command and callable")
        if self.command and self.folder != ".":
            raise ValueError("folder is for a callable: a command runs in the folder of this file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A user's format, as the matrix has it under ``golden``; paths are relative to the matrix."""

    name: str
    paths: tuple[str, ...]
    """Folders, each with a manifest; ``add`` copies into the first."""
    reader: Reader
