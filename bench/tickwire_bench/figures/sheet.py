"""A table of figures with what was promised of them, for the terminal and for a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tickwire_bench.figures.unit import Unit

DISTURBED_WORD = "disturbed"  # in what is doubtful about a sheet whose machine had something else to do
WIDE = 120  # columns of a terminal that has room for the spread of each figure
BAR = 18  # characters of the longest bar

_SPREAD = re.compile(r" \([^()]+ to [^()]+\)")


@dataclass(slots=True)
class Goal:
    """What came out, and whether it is what was promised; None where nothing was."""

    text: str
    met: bool | None = None

    def __str__(self) -> str:
        return self.text if self.met is None else f"{self.text}: {'reached' if self.met else 'MISSED'}"


@dataclass(slots=True)
class Sheet:
    """A table. The first column is the name of the row; figures are medians with the smallest and largest behind."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)  # why a figure may not be what it is to be about
    bars: list[float] = field(default_factory=list)  # of each row, drawn beside it at the terminal
    note: str = ""
    plot: Plot | None = None

    def outcome(self, goal: Goal) -> str:
        """The goal, and whether to believe it."""
        doubtful = goal.met is not None and any(DISTURBED_WORD in doubt for doubt in self.doubts)
        return f"{goal}, though {DISTURBED_WORD}" if doubtful else str(goal)


@dataclass(slots=True)
class Plot:
    """What is looked at rather than read: for each line its points (place on the axis, figure)."""

    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]


def promised(
    text: str, unit: Unit, reached: Sequence[float], bound: float, goal: float | None = None, most: bool = False
) -> Goal:
    """A goal from one figure of each run; `most` where less is better."""
    value = median(reached)
    limit = f"promised {'at most' if most else 'at least'} {unit.show(bound)}"
    hoped = "" if goal is None else f", hoped for {unit.show(goal)}"
    return Goal(f"{text}: {unit.spread(reached)}; {limit}{hoped}", value <= bound if most else value >= bound)


def show(console: Console, sheet: Sheet) -> None:
    """The sheet at the terminal, with a bar for each row where it has them and there is room."""
    table = Table(title=sheet.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold", no_wrap=not index)
    bars = sheet.bars if console.width >= WIDE else []
    if bars:
        table.add_column("", justify="left", style="cyan", no_wrap=True)
    longest = max(bars, default=0)
    for index, row in enumerate(sheet.rows):
        bar = [_bar(bars[index] / longest if longest else 0)] if bars else []
        table.add_row(*(escape(fitting(console, cell)) for cell in row), *bar)
    console.print(table)
    for goal in sheet.goals:
        console.print(escape(f"  {sheet.outcome(goal)}"), style={None: "", True: "green", False: "red"}[goal.met])
    for doubt in sheet.doubts:
        console.print(escape(f"  {doubt}"), style="yellow")


def fitting(console: Console, cell: str) -> str:
    """A figure as there is room for it: in a narrow terminal without its spread."""
    return cell if console.width >= WIDE else _SPREAD.sub("", cell)


def legend(console: Console, what: str) -> str:
    """What the figures are, of several runs or rounds."""
    spread = f"in parentheses the smallest and the largest {what}."
    return f"Medians; {spread}" if console.width >= WIDE else f"Medians; from {WIDE} columns on, {spread}"


def _bar(share: float) -> str:
    whole, eighths = divmod(round(share * BAR * 8), 8)
    return "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()


def markdown(sheet: Sheet) -> str:
    """The same as a section of a page."""
    align = "|".join("---" if index == 0 else "--:" for index in range(len(sheet.columns)))
    lines = [f"## {sheet.title}", "", "| " + " | ".join(sheet.columns) + " |", f"|{align}|"]
    lines += ["| " + " | ".join(row) + " |" for row in sheet.rows]
    lines += [
        "",
        *(f"- {sheet.outcome(goal)}" for goal in sheet.goals),
        *(f"- *{doubt}*" for doubt in sheet.doubts),
        "",
    ]
    return "\n".join([*lines, sheet.note, ""] if sheet.note else lines)
