"""How a figure is shown: with its unit, its spread, and beside what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Unit:
    """How a figure is shown."""

    suffix: str
    scale: float = 1
    digits: int = 3  # significant ones

    def show(self, value: float) -> str:
        return self._number(value) + self.suffix

    def spread(self, values: Sequence[float]) -> str:
        """The median, then the smallest and the largest where there are several."""
        if len(values) < 2:
            return self.show(median(values))
        return f"{self.show(median(values))} ({self._number(min(values))} to {self._number(max(values))})"

    def _number(self, value: float) -> str:
        scaled = value / self.scale
        return f"{scaled:.0f}" if abs(scaled) >= 10 ** (self.digits - 1) else f"{scaled:.{self.digits}g}"


TIMES, SHARE = Unit("x"), Unit(" %", 0.01)
MILLIONS, THOUSANDS, PLAIN = Unit(" M", 1e6), Unit(" k", 1e3), Unit("")
BYTES, KIB, MIB = Unit(" B"), Unit(" KiB", 1 << 10), Unit(" MiB", 1 << 20)
SECONDS, MS, US = Unit(" s"), Unit(" ms", 1e3), Unit(" us")  # the last two of microseconds
