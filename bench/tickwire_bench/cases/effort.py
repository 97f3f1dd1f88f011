"""How much of everything is measured: the full bench, or a quick look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tickwire_bench.figures.sheet import Sheet
from tickwire_bench.processes import Figures

Advance = Callable[[str], None]  # called before each turn with what it is


@dataclass(frozen=True, slots=True)
class Effort:
    """How often, and how long."""

    runs: int
    seconds: float
    warmup: float
    connections: int  # of the memory cases and of the storm
    messages: int  # of the SDK's publisher
    stalled_bytes: int  # published while a reader does not read
    behind: int  # messages that a reader catches up with

    @property
    def few(self) -> int:
        """The runs of what takes long and varies little."""
        return min(self.runs, 3)


FULL = Effort(5, 2.0, 0.5, 5_000, 2_000_000, 1_000_000_000, 500_000)
QUICK = Effort(1, 0.5, 0.2, 1_200, 300_000, 200_000_000, 100_000)


class Case(Protocol):
    """Starts what it needs, loads it, and gives one set of figures for each run."""

    @property
    def key(self) -> str: ...

    @property
    def title(self) -> str: ...

    def turns(self, effort: Effort) -> int:
        """How often `measure` calls `advance`."""

    def measure(self, effort: Effort, scratch: Path, advance: Advance) -> Iterator[Figures]:
        """One set of figures for each run. Raises RunFailed where a message was lost or repeated."""

    def sheets(self, runs: list[Figures]) -> Iterator[Sheet]:
        """What came out, as tables."""
