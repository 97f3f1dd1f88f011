"""The plots of a page. matplotlib draws them, and only here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

from tickwire_bench.figures.sheet import Plot, Sheet

OURS, THEIRS, BENEATH = "#d1495b", "#7d8ca3", "#c9c2b8"
# The same figures give the same file: no date in it, and no random names.
matplotlib.rcParams.update(
    {"svg.hashsalt": "tickwire", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
)


def draw(sheet: Sheet, file: Path) -> None:
    """Its lines where it has some, else a bar for each row."""
    if sheet.plot is not None:
        figure = draw_lines(sheet.plot, sheet.title)
    else:
        figure, panel = plt.subplots(figsize=(7, 0.6 + 0.28 * len(sheet.rows)))
        names, shown = [row[0] for row in sheet.rows], [row[1].partition(" (")[0] for row in sheet.rows]
        bars = panel.barh(names[::-1], sheet.bars[::-1], color=OURS)
        panel.bar_label(bars, labels=shown[::-1], padding=2, fontsize=7)
        panel.set_xlim(0, max(sheet.bars) * 1.15)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        panel.set_xlabel(sheet.columns[1])
        panel.set_title(sheet.title, loc="left", fontsize=9)
    save(figure, file)


def draw_lines(plot: Plot, title: str, ours: str | None = None) -> Any:
    """Both scales logarithmic: a straight line is a power."""
    figure, panel = plt.subplots(figsize=(7, 3.6))
    for name, line in plot.lines.items():
        mine = name == ours
        panel.plot(
            *zip(*line, strict=True),
            marker="o",
            label=name,
            linewidth=2.2 if mine else 1.2,
            color=OURS if mine else None,
        )
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(sorted({place for line in plot.lines.values() for place, _ in line}))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.minorticks_off()
    panel.set_xlabel(plot.x)
    panel.set_ylabel(plot.y)
    panel.set_title(title, loc="left", fontsize=9)
    panel.legend(frameon=False)
    return figure


def short(value: float) -> str:
    for size, suffix in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
