"""What the demo shows: live figures on a terminal, a line a second where the output is piped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from rich.console import Console
from rich.live import Live

from .figures import Figures, Rate, counted
from .panel import Screen


async def show(look: Callable[[], Figures], console: Console) -> None:
    """Show the figures until cancelled."""
    rate = Rate()
    if not console.is_terminal:
        await _lines(look, rate, console)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            figures = look()
            live.update(Screen(figures, _rate(rate, figures)), refresh=True)
            await asyncio.sleep(0.25)


async def _lines(look: Callable[[], Figures], rate: Rate, console: Console) -> NoReturn:
    while True:
        await asyncio.sleep(1.0)
        figures = look()
        console.print(line(figures, _rate(rate, figures)), highlight=False, soft_wrap=True)


def _rate(rate: Rate, figures: Figures) -> float | None:
    # Not before the first price: the time of connecting would count as one without deliveries.
    return rate.add(figures.deliveries) if figures.date else None


def line(figures: Figures, rate: float | None) -> str:
    """The figures as one line; a rate that is not known yet is left out."""
    if not figures.date:
        return f"{figures.phase}: {figures.subscribed:,} of {counted(figures.readers, 'reader')} subscribed"
    parts = [f"{figures.published:,} prices published", f"{figures.deliveries:,} deliveries"]
    parts += [f"{rate:,.0f} deliveries/s"] if rate is not None else []
    parts += [counted(figures.subscribed, "reader")]
    parts += ["slowed down to the readers' pace"] if figures.slowed else []
    return f"{figures.date}  {', '.join(parts)}"
