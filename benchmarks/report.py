"""A bench's rows: printed as a table, written as JSON to ``build/bench/<name>.json``."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOLDER = Path("build/bench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure beside its bar: seconds, a ratio to a peer, or a count."""

    work: str
    figure: float
    unit: str
    """``s``, ``× uv build``, ``requests`` …"""
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the figure is on the right side of its bar; true where there is none."""
        low = self.at_least is None or self.figure >= self.at_least
        return low and (self.at_most is None or self.figure <= self.at_most)

    @property
    def bar(self) -> str:
        """The bar, as people write it."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else ""


def report(name: str, rows: Sequence[Row]) -> int:
    """Show the rows and write them; return 1 where one misses its bar, else 0."""
    cells = [
        (row.work, f"{row.figure:.3g} {row.unit}", row.bar, "" if row.holds else "missed", row.note) for row in rows
    ]
    Console().table(("work", "figure", "bar", "", "note"), cells)
    FOLDER.mkdir(parents=True, exist_ok=True)
    document = {
        "bench": name,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "rows": [asdict(row) | {"holds": row.holds} for row in rows],
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    return 0 if all(row.holds for row in rows) else 1


def median_seconds(run: Callable[[], object], times: int = 5) -> float:
    """Return the median wall time of some runs, in seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return statistics.median(found)
