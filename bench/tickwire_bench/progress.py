"""How far a bench is: a bar at a terminal; elsewhere a line for each case that begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Meter:
    """Counts turns. Called at the beginning of each with what it is: "case: step"."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar, self._task = bar, bar.add_task("", total=total)
        self._case = ""

    def __call__(self, what: str) -> None:
        self._bar.update(self._task, advance=1, description=what)
        case, _, _ = what.partition(":")
        if case != self._case and not self._bar.console.is_terminal:
            self._bar.console.print(f"[{self.turns} of {self._bar.tasks[0].total:.0f}] {case}", markup=False)
        self._case = case

    @property
    def turns(self) -> int:
        """Those that have begun."""
        return int(self._bar.tasks[0].completed)

    def skip_to(self, turns: int) -> None:
        """A case has ended before its time."""
        self._bar.update(self._task, completed=turns)


@contextmanager
def metered(total: int, console: Console) -> Iterator[Meter]:
    """While so many turns are taken."""
    columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn())
    # Once a second: drawing takes CPU from the cores that are measured.
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True, refresh_per_second=1
    ) as bar:
        yield Meter(bar, total)
