"""One reader stops reading while much is published; the others, and the broker's memory, should not notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tickwire_bench.cases.effort import Advance, Effort
from tickwire_bench.cases.loads import deliveries, doubts, waited
from tickwire_bench.figures.sheet import Sheet, promised
from tickwire_bench.figures.unit import MIB, MILLIONS, MS, SHARE, TIMES, Unit
from tickwire_bench.processes import Figures, broker, load

READERS = 20
LOAD = ("--readers", READERS, "--slow", 1, "--batch", 64, "--in-flight", 256, "--warmup", 1)


@dataclass(frozen=True, slots=True)
class StalledReader:
    """What changes for the others, and for the broker's memory."""

    key: str = "stalled"
    title: str = f"1 of {READERS} readers stops reading: the others, and the broker's memory"

    def turns(self, effort: Effort) -> int:
        return effort.few

    def measure(self, effort: Effort, scratch: Path, advance: Advance) -> Iterator[Figures]:
        for _ in range(self.turns(effort)):
            advance(self.key)
            with broker() as server:
                yield load(server, *LOAD, "--duration", effort.seconds, "--total-bytes", effort.stalled_bytes)

    def sheets(self, runs: list[Figures]) -> Iterator[Sheet]:
        during = [run["stalled"] for run in runs]
        sheet = Sheet(self.title, ["", "before", "during"])
        rows: list[tuple[str, Callable[[Figures], float], Unit]] = [
            ("deliveries/s", deliveries, MILLIONS),
            ("p99", waited("p99"), MS),
            ("resident", lambda run: float(run["server_rss_max"]), MIB),
        ]
        for name, figure, unit in rows:
            sheet.rows.append([name, *(unit.spread(list(map(figure, some))) for some in (runs, during))])
        kept, longer = ([figure(b) / figure(a) for a, b in zip(runs, during, strict=True)] for _, figure, _ in rows[:2])
        grown = [rows[2][1](b) - rows[2][1](a) for a, b in zip(runs, during, strict=True)]
        sheet.goals = [
            promised("deliveries a second, of those before", SHARE, kept, 0.95),
            promised("p99, of that before", TIMES, longer, 2, most=True),
            promised("more memory", MIB, grown, 64 << 20, most=True),
        ]
        sheet.doubts = doubts("before", runs) + doubts("during", during)
        yield sheet
