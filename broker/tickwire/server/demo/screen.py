"""What the demo shows: live figures on a terminal, a line a second where the output is piped."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .replay import Day

_BARS = "▁▂▃▄▅▆▇█"
_HISTORY = 32
_RATE_SECONDS = 2.0
_SHOWN = 8  # stocks; all of them would not fit a small terminal


@dataclass(slots=True)
class Figures:
    """Where the demo stands; `run` keeps them, the screen shows them."""

    readers: int
    symbols: tuple[str, ...]
    url: str = ""
    phase: str = "connecting"
    date: str = ""
    subscribed: int = 0
    published: int = 0
    deliveries: int = 0
    lag: int = 0  # messages that the slowest reader is behind
    slowed: bool = False
    closes: deque[tuple[float, ...]] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    def day(self, day: Day) -> None:
        self.date = day.date
        self.closes.append(day.closes)


class Rate:
    """Deliveries a second, over the last few."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> float:
        self._points.append((time.monotonic(), count))
        while len(self._points) > 2 and self._points[-1][0] - self._points[1][0] >= _RATE_SECONDS:
            self._points.popleft()
        (then, first), (now, last) = self._points[0], self._points[-1]
        return (last - first) / (now - then) if now - then > 0.1 else 0.0


async def show(look: Callable[[], Figures], console: Console) -> None:
    """Show the figures until cancelled."""
    rate = Rate()
    if not console.is_terminal:
        await _lines(look, rate, console)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            figures = look()
            live.update(render(figures, rate.add(figures.deliveries)), refresh=True)
            await asyncio.sleep(0.25)


async def _lines(look: Callable[[], Figures], rate: Rate, console: Console) -> NoReturn:
    while True:
        await asyncio.sleep(1.0)
        figures = look()
        console.print(line(figures, rate.add(figures.deliveries)), highlight=False, soft_wrap=True)


def line(figures: Figures, rate: float) -> str:
    """The figures as one line."""
    if not figures.date:
        return f"{figures.phase}: {figures.subscribed:,} of {figures.readers:,} readers subscribed"
    slowed = ", slowed down to the readers' pace" if figures.slowed else ""
    return (
        f"{figures.date}  {figures.published:,} prices published, {figures.deliveries:,} deliveries, "
        f"{rate:,.0f} deliveries/s, {figures.subscribed:,} readers{slowed}"
    )


def render(figures: Figures, rate: float) -> RenderableType:
    """The figures as a panel."""
    title = f"tickwire demo  {figures.url}"
    if not figures.date:
        return Panel(_connecting(figures), title=title, title_align="left", width=76)
    state = "slowed down to the readers' pace" if figures.slowed else figures.phase
    inside = Group(_numbers(figures, rate), Text(), _ticks(figures))
    return Panel(inside, title=title, title_align="left", subtitle=state, subtitle_align="left", width=76)


def _connecting(figures: Figures) -> RenderableType:
    bar = ProgressBar(total=figures.readers, completed=figures.subscribed, width=40)
    table = Table.grid(padding=(0, 2))
    table.add_row("connecting", bar, f"{figures.subscribed:,} of {figures.readers:,}")
    return table


def _numbers(figures: Figures, rate: float) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(style="dim")
        table.add_column(justify="right", min_width=12, style="bold")
    table.add_row("trading day", figures.date, "deliveries", f"{figures.deliveries:,}")
    table.add_row("prices published", f"{figures.published:,}", "deliveries/s", f"{rate:,.0f}")
    slowest = f"{figures.lag:,} behind" if figures.lag > 0 else "level"
    table.add_row("readers", f"{figures.subscribed:,}", "slowest reader", slowest)
    return table


def _ticks(figures: Figures) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(justify="right", min_width=9)
    table.add_column(justify="right", min_width=8)
    table.add_column()
    for index, symbol in enumerate(figures.symbols[:_SHOWN]):
        history = [closes[index] for closes in figures.closes]
        change = (history[-1] / history[-2] - 1) * 100 if len(history) > 1 else 0.0
        colour = "green" if change >= 0 else "red"
        cells = (f"{history[-1]:,.3f}", Text(f"{change:+.2f} %", style=colour), Text(sparkline(history), style=colour))
        table.add_row(symbol, *cells)
    return table


def sparkline(values: Sequence[float]) -> str:
    """The values as bars, from the lowest of them to the highest."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)
