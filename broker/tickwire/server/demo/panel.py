"""The panel of the demo on a terminal of any width: what does not fit is left out, and no number is cut."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .figures import Figures

_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 76
_BORDERS = 4  # columns of the panel's frame and its padding
_STOCKS = 8  # shown, at most; all of them would not fit a small terminal
_LINES_BESIDE = 5  # the frame, an empty line, the heading of the stocks, the cursor's line
_SHORTEST_SPARKLINE = 4


class Screen:
    """The figures as rich shows them; a rate that is not known yet is None."""

    def __init__(self, figures: Figures, rate: float | None) -> None:
        self._figures, self._rate = figures, rate

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        figures, width = self._figures, min(_WIDEST, options.max_width)
        title = f"tickwire demo  {figures.url}"
        if len(title) + _BORDERS > width:
            title = "tickwire demo"
        inside = Table.grid()
        for part in self._parts(console, options.update(width=width - _BORDERS)):
            inside.add_row(part)
        state = "slowed down to the readers' pace" if figures.slowed else figures.phase
        subtitle = state if figures.date else None
        yield Panel(inside, title=title, title_align="left", subtitle=subtitle, subtitle_align="left", width=width)

    def _parts(self, console: Console, options: ConsoleOptions) -> list[Table | Text]:
        if not self._figures.date:
            return [_connecting(self._figures, options.max_width)]
        numbers = _numbers(self._figures, self._rate, pairs=2)
        if Measurement.get(console, options.update(width=_WIDEST * 2), numbers).maximum > options.max_width:
            numbers = _numbers(self._figures, self._rate, pairs=1)
        stocks = min(_STOCKS, console.height - _LINES_BESIDE - numbers.row_count)
        return [numbers, *_stocks(self._figures, options.max_width, stocks)]


def _connecting(figures: Figures, width: int) -> Table:
    table = Table.grid(padding=(0, 2))
    label, count = figures.phase, f"{figures.subscribed:,} of {figures.readers:,}"
    room = width - len(label) - len(count) - 4
    bar = ProgressBar(total=figures.readers, completed=figures.subscribed, width=max(1, min(40, room)))
    table.add_row(*((label, bar, count) if room > 0 else (count,)))
    return table


def _numbers(figures: Figures, rate: float | None, pairs: int) -> Table:
    """The numbers with their labels, so many pairs a row."""
    cells = [
        ("trading day", figures.date),
        ("deliveries", f"{figures.deliveries:,}"),
        ("prices published", f"{figures.published:,}"),
        ("deliveries/s", "" if rate is None else f"{rate:,.0f}"),
        ("readers", f"{figures.subscribed:,}"),
        ("slowest reader", f"{figures.lag:,} behind" if figures.lag > 0 else "level"),
    ]
    table = Table.grid(padding=(0, 2))
    for _ in range(pairs):
        table.add_column(style="dim")
        table.add_column(justify="right", min_width=13, style="bold", no_wrap=True)
    for start in range(0, len(cells), pairs):
        table.add_row(*(text for pair in cells[start : start + pairs] for text in pair))
    return table


def _stocks(figures: Figures, width: int, count: int) -> list[Table | Text]:
    """The newest prices of the first stocks, under a heading; nothing where there is no room for them."""
    rows = [_stock(figures, index) for index in range(min(max(count, 0), len(figures.symbols)))]
    room = width - sum(max(len(row[column]) for row in rows) + 2 for column in range(3)) if rows else -1
    if room < 0:
        return []
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True)
    for index, (symbol, close, change) in enumerate(rows):
        colour = "red" if change.startswith("-") else "green"
        history = [closes[index] for closes in figures.closes]
        bars = sparkline(history[-room:]) if room >= _SHORTEST_SPARKLINE else ""
        table.add_row(Text(symbol, style="bold"), close, Text(change, style=colour), Text(bars, style=colour))
    heading = Text(f"{len(rows)} of {len(figures.symbols)} stocks", style="dim")
    return [Text(), heading, table]


def _stock(figures: Figures, index: int) -> tuple[str, str, str]:
    history = [closes[index] for closes in figures.closes]
    change = (history[-1] / history[-2] - 1) * 100 if len(history) > 1 else 0.0
    return figures.symbols[index], f"{history[-1]:,.3f}".rjust(9), f"{change:+.2f} %".rjust(8)


def sparkline(values: Sequence[float]) -> str:
    """The values as bars, from the lowest of them to the highest."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)
