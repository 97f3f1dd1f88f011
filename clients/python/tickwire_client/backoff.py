"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from collections.abc import Callable

BASE = 0.1  # seconds
CAP = 5.0


class Backoff:
    """Full jitter: a random time up to a bound that doubles, so that a thousand clients do not come back at once."""

    def __init__(self, base: float = BASE, cap: float = CAP, uniform: Callable[[float, float], float] = random.uniform):
        self.base, self.cap = base, cap
        self._uniform = uniform
        self._attempt = 0

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait; never less than what the broker asked for, and spread beyond it."""
        bound = min(self.cap, self.base * 2 ** min(self._attempt, 30))
        self._attempt += 1
        return at_least + self._uniform(0.0, bound)

    def connected(self, seconds: float) -> None:
        """A connection was good for that long. One that broke at once counts as another failure."""
        if seconds >= self.cap:
            self._attempt = 0
