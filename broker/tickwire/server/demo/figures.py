"""Where the demo stands: what `run` keeps, and the screen shows."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from .replay import Day

_HISTORY = 32
_RATE_SECONDS = 2.0
_SHORTEST_SECONDS = 0.1  # over less, a rate says nothing


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

    def add(self, count: int) -> float | None:
        """The rate with this count; None as long as it is not known."""
        self._points.append((time.monotonic(), count))
        while len(self._points) > 2 and self._points[-1][0] - self._points[1][0] >= _RATE_SECONDS:
            self._points.popleft()
        (then, first), (now, last) = self._points[0], self._points[-1]
        return (last - first) / (now - then) if now - then > _SHORTEST_SECONDS else None


def counted(number: int, noun: str) -> str:
    """`1 reader`, `1,000 readers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
