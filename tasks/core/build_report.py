"""A build run as the page of a CI run shows it: what became of each wheel, and why those failed that did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.core.markdown import block, table, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.records import ActionOutcome

HEADINGS = ("outcome", "wheel", "seconds", "instance")
FAILED = ("failed", "refused")
MOST = 50
"""Failures that are shown with their last lines: such a page may have 1 MiB."""


def markdown(outcomes: Sequence[ActionOutcome], dist: str, artifact: str | None) -> str:
    """Return the report of a build run.

    ``dist`` is where its logs are, ``artifact`` names as Markdown what a CI keeps of that, if it does.
    """
    rows = [
        (
            each.outcome,
            each.wheel or each.action.wheel.filename,
            f"{each.seconds:.1f}" if each.outcome == "built" else "",
            f"{each.action.instance} {each.action.arch}",
        )
        for each in outcomes
    ]
    failures = [each for each in outcomes if each.outcome in FAILED]
    where = f" in the artifact {artifact}" if artifact else f" in `{dist}`"
    lines = [f"### {_summary(outcomes, failures)}", "", *table(HEADINGS, rows), ""]
    if artifact:
        lines += [f"Wheels, records and logs are{where}.", ""]
    for each in failures[:MOST]:
        lines += [f"#### {each.outcome}: {text(each.action.wheel.filename)}", "", text(each.reason or ""), ""]
        if each.tail:
            lines += ["Its last lines:", "", *block(each.tail), ""]
        if each.log:
            lines += [f"The whole log is `{each.log}`{where}.", ""]
    if failures[MOST:]:
        lines += [f"{len(failures) - MOST} more failed; their logs are{where}.", ""]
    return "\n".join(lines)


def _summary(outcomes: Sequence[ActionOutcome], failures: Sequence[ActionOutcome]) -> str:
    there = len(outcomes) - len(failures)
    noun = "wheel" if there == 1 else "wheels"
    return f"{there} {noun}, {len(failures)} failed" if failures else f"{there} {noun}"
