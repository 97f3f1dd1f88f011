"""The prices that are replayed: the daily closes of 20 stocks, 1990 to 2022. Their source is in data/README.md."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Day:
    """One trading day: its date, and the close of each symbol."""

    date: str
    closes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """All days, oldest first."""

    symbols: tuple[str, ...]
    days: tuple[Day, ...]

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(f"prices.{symbol}" for symbol in self.symbols)


def load() -> Replay:
    packed = resources.files(__package__).joinpath("data", "sp500-closes.csv.gz").read_bytes()
    header, *rows = csv.reader(io.StringIO(gzip.decompress(packed).decode()))
    return Replay(tuple(header[1:]), tuple(Day(date, tuple(map(float, closes))) for date, *closes in rows))
