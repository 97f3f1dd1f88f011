"""The plots of the page. matplotlib draws them, and only here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

from peers.cases import Case, Round, failed, figures_of
from peers.growth import Axis, Line
from peers.starting import FLOOR_ITSELF, TICKWIRE

OURS, THEIRS, BENEATH = "#d1495b", "#7d8ca3", "#c9c2b8"
# The same figures give the same file: no date in it, and no random names.
matplotlib.rcParams.update(
    {"svg.hashsalt": "tickwire", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
)


def draw_rates(measured: Sequence[tuple[Case, list[Round]]], file: Path) -> None:
    """Deliveries a second of everybody, a panel for each case, the fastest on top. A logarithmic scale: they differ a
    hundredfold.
    """
    columns = 2
    rows = -(-len(measured) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(10, 2.6 * rows), squeeze=False)
    for panel in panels.flat[len(measured) :]:
        panel.set_visible(False)
    for panel, (case, rounds) in zip(panels.flat, measured, strict=False):
        _bars(panel, case, rounds)
    figure.suptitle("Deliveries a second", x=0.01, ha="left", fontsize=10, fontweight="bold")
    _save(figure, file)


def _bars(panel: Any, case: Case, rounds: list[Round]) -> None:
    rates = {
        name: median(run["deliveries_per_s"] for run in figures_of(rounds, name))
        for name in rounds[0]
        if failed(rounds, name) is None
    }
    names = sorted(rates, key=lambda name: rates[name])
    colours = [{TICKWIRE.name: OURS, FLOOR_ITSELF.name: BENEATH}.get(name, THEIRS) for name in names]
    bars = panel.barh(names, [rates[name] for name in names], color=colours)
    panel.bar_label(bars, labels=[_short(rates[name]) for name in names], padding=2, fontsize=7)
    panel.set_xscale("log")
    panel.set_xlim(min(rates.values()) / 2, max(rates.values()) * 4)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    panel.set_title(case.title, loc="left", fontsize=9)


def draw_growth(axis: Axis, lines: dict[str, Line], file: Path) -> None:
    """Microseconds of CPU a delivery, both scales logarithmic: a straight line is a power."""
    figure, panel = plt.subplots(figsize=(7, 3.6))
    for name, line in lines.items():
        ours = name == TICKWIRE.name
        panel.plot(
            *zip(*line, strict=True),
            marker="o",
            label=name,
            linewidth=2.2 if ours else 1.2,
            color=OURS if ours else None,
        )
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(axis.steps)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} µs"))
    panel.minorticks_off()
    panel.set_xlabel(axis.title)
    panel.set_ylabel("CPU of the server a delivery")
    panel.legend(frameon=False)
    _save(figure, file)


def _short(value: float) -> str:
    for size, suffix in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
