"""Markdown for the pages of CI runs, as GitHub and Azure Pipelines read it. What it quotes is text, never markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tasks.core.addresses import without_credentials
from tasks.core.logs import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"([\\`*\[\]<>|~&#])")  # an underscore inside a word means nothing
_TICKS = re.compile(r"`+")
_LONGEST_LINE = 400  # characters: a compiler's command line may have many thousand, and a page holds 1 MiB


def text(value: str) -> str:
    """Return a value for the middle of a line or of a table's cell; lines become ``<br>``."""
    lines = [plain(line) for line in without_credentials(value).splitlines()]
    return "<br>".join(_MARKUP.sub(r"\\\1", line) for line in lines)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table's lines."""
    return [_row(list(map(text, headings))), _row(["---"] * len(headings)), *(_row([*map(text, row)]) for row in rows)]


def block(lines: Iterable[str]) -> list[str]:
    """Return lines as they are, but for their length, in a fence that nothing in them ends."""
    shown = [plain(without_credentials(line)) for line in lines]
    shown = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …" for line in shown]
    ticks = max((len(found) for line in shown for found in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, ticks + 1)
    return [f"{fence}text", *shown, fence]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
