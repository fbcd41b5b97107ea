"""A bench's plot, as an SVG that stands in ``docs/performance/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pygal
from pygal.style import Style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path("build/bench")
_STYLE = Style(
    background="white",
    plot_background="white",
    font_family="system-ui, sans-serif",
    colors=("#0b6e4f", "#b5452c"),
    opacity="1",
)


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, and a figure for each size."""

    name: str
    points: Mapping[int, float]


def plot(name: str, title: str, across: str, up: str, series: Sequence[Series]) -> None:
    """Draw lines over sizes to ``build/bench/<name>.svg``, both axes logarithmic; it loads nothing from elsewhere."""
    chart = pygal.XY(
        title=title,
        x_title=across,
        y_title=up,
        logarithmic=True,
        style=_STYLE,
        js=(),
        show_legend=True,
        legend_at_bottom=True,
        width=800,
        height=420,
        disable_xml_declaration=True,
        xrange=(500, 200_000),
        range=(1, 10_000),
        y_labels=(1, 10, 100, 1000, 10_000),
        x_labels=sorted({size for line in series for size in line.points}),
        truncate_legend=-1,
        dots_size=4,
        explicit_size=True,
        no_prefix=True,
    )
    for line in series:
        chart.add(line.name, sorted(line.points.items()))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.svg").write_text(chart.render(), encoding="utf-8")
