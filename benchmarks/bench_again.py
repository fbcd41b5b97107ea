"""The main job when there is nothing to do: all of it, and how long a person waits for the first line."""

from __future__ import annotations

import sys
import time

from benchmarks.report import Row, median_seconds, report
from tasks import process

NOX = (sys.executable, "-m", "nox")


def main() -> int:
    """Run the main job once, so that there is nothing left to do; then measure it in this checkout."""
    process.run([*NOX])
    return report(
        "again",
        [
            Row(work="nox, nothing to do", figure=median_seconds(lambda: process.run([*NOX])), unit="s", at_most=30),
            Row(work="nox -s plan, to its first line", figure=_first_line(), unit="s", at_most=1),
            Row(work="of which nox", figure=_first_line("nox > python -m tasks.plan"), unit="s"),
        ],
    )


def _first_line(line: str = "planning ") -> float:
    """Return the seconds from the start of ``nox -s plan`` to a line that begins so; the median of five."""

    def once() -> float:
        seen: list[float] = []
        start = time.perf_counter()

        def on_line(text: str) -> None:
            if text.startswith(line):
                seen.append(time.perf_counter() - start)

        process.start([*NOX, "-s", "plan"], on_line).wait()
        return seen[0]

    return sorted(once() for _ in range(5))[2]


if __name__ == "__main__":
    sys.exit(main())
