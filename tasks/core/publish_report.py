"""A publish run in words: how many wheels of each outcome, and for the page of a CI run what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.core.candidates import Outcome
from tasks.core.markdown import table, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.candidates import Result

HEADINGS = ("wheel", "outcome", "note")
MOST = 1000
"""Rows: such a page may have 1 MiB."""


def counted(results: Sequence[Result]) -> str:
    """Return in a line how many wheels there are of each outcome."""
    counts = {outcome: sum(result.outcome is outcome for result in results) for outcome in Outcome}
    return ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)


def markdown(results: Sequence[Result], location: str) -> str:
    """Return the report of a publish run: a row for each wheel that was not there already."""
    told = [result for result in results if result.outcome is not Outcome.UNCHANGED]
    rows = [(result.filename, result.outcome.value, result.note) for result in told[:MOST]]
    lines = [f"### Published to {text(location)}: {counted(results) or 'nothing'}", ""]
    if rows:
        lines += [*table(HEADINGS, rows), ""]
    if told[MOST:]:
        lines += [f"{len(told) - MOST} more are in the log.", ""]
    return "\n".join(lines)
