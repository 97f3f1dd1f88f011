"""The plots of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

from peers.cases import Case, Round, failed, figures_of
from peers.growth import Axis, Line
from peers.starting import FLOOR_ITSELF, TICKWIRE
from tickwire_bench.figures.plots import BENEATH, OURS, THEIRS, draw_lines, save, short
from tickwire_bench.figures.sheet import Plot


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
    save(figure, file)


def _bars(panel: Any, case: Case, rounds: list[Round]) -> None:
    rates = {
        name: median(run["deliveries_per_s"] for run in figures_of(rounds, name))
        for name in rounds[0]
        if failed(rounds, name) is None
    }
    names = sorted(rates, key=lambda name: rates[name])
    colours = [{TICKWIRE.name: OURS, FLOOR_ITSELF.name: BENEATH}.get(name, THEIRS) for name in names]
    bars = panel.barh(names, [rates[name] for name in names], color=colours)
    panel.bar_label(bars, labels=[short(rates[name]) for name in names], padding=2, fontsize=7)
    panel.set_xscale("log")
    panel.set_xlim(min(rates.values()) / 2, max(rates.values()) * 4)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    panel.set_title(case.title, loc="left", fontsize=9)


def draw_growth(axis: Axis, lines: dict[str, Line], file: Path) -> None:
    """Microseconds of CPU a delivery."""
    points = {name: [(float(step), cpu) for step, cpu in line] for name, line in lines.items()}
    save(draw_lines(Plot(axis.title, "CPU of the server a delivery, us", points), "", TICKWIRE.name), file)
