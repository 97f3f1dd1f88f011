"""Cases of the load tool: each row is one way to load a server, in turns, run by run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tickwire_bench import programs, ticks
from tickwire_bench.cases.effort import Advance, Effort
from tickwire_bench.figures.sheet import DISTURBED_WORD, Goal, Plot, Sheet
from tickwire_bench.figures.unit import BYTES, MILLIONS, MS, SHARE, US, Unit
from tickwire_bench.processes import Figures, Server, broker, load

SATURATED = 0.95  # a load tool that uses more of its core than this is what was measured
DISTURBED = 0.05  # of the time the server or the load tool could run, and another process had its core
LATE = 0.98  # of the messages that an open loop was to publish

Start = Callable[[Path], AbstractContextManager[Server]]
Rows = Mapping[str, list[Figures]]  # what each run came to, by the name of the step


@dataclass(frozen=True, slots=True)
class Step:
    """One row: what the load tool is told, and which of the servers it goes to."""

    name: str
    options: tuple[object, ...]
    server: str = "tickwire"
    ticks: bool = False  # payloads are filled with real ones, not with zeros


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a run, and how it is shown."""

    name: str
    figure: Callable[[Figures], float]
    unit: Unit

    def show(self, runs: list[Figures]) -> str:
        return self.unit.spread([self.figure(run) for run in runs])


def deliveries(run: Figures) -> float:
    return float(run["deliveries_per_s"])


def cpu(run: Figures) -> float:
    return float(run["server_cpu_us_per_delivery"])


def published(run: Figures) -> float:
    return float(run["published_per_s"])


def cpu_of_publish(run: Figures) -> float:
    return float(run["server_cpu_s"] * 1e6 / max(run["published"], 1))


def wire_bytes(run: Figures) -> float:
    return float(run["bytes_in"] / max(run["deliveries"], 1))


def waited(percent: str) -> Callable[[Figures], float]:
    return lambda run: float(run["latency_us"][percent])


DELIVERIES = Column("deliveries/s", deliveries, MILLIONS)
CPU = Column("server CPU a delivery", cpu, US)
P50, P99, P999 = (Column(name, waited(name), MS) for name in ("p50", "p99", "p99.9"))
PUBLISHED = Column("messages/s", published, MILLIONS)
CPU_OF_PUBLISH = Column("server CPU a message", cpu_of_publish, US)
WIRE = Column("bytes on the wire", wire_bytes, BYTES)


def start_broker(_: Path) -> AbstractContextManager[Server]:
    """With its default settings, in memory."""
    return broker()


@dataclass(frozen=True, slots=True)
class LoadCase:
    """Steps that take turns within each run, on servers that are started once."""

    key: str
    title: str
    steps: tuple[Step, ...]
    columns: tuple[Column, ...] = (DELIVERIES, CPU, P50, P99)
    servers: Mapping[str, Start] = field(default_factory=lambda: {"tickwire": start_broker})
    goals: Callable[[Rows], Iterator[Goal]] | None = None
    plot: Callable[[Rows], Plot] | None = None
    bars: Column | None = None
    note: str = ""

    def turns(self, effort: Effort) -> int:
        return effort.runs * len(self.steps)

    def measure(self, effort: Effort, scratch: Path, advance: Advance) -> Iterator[Figures]:
        with ExitStack() as stack:
            started = {name: stack.enter_context(start(scratch / name)) for name, start in self.servers.items()}
            for _ in range(effort.runs):
                yield {step.name: self._turn(step, started[step.server], effort, advance) for step in self.steps}

    def _turn(self, step: Step, server: Server, effort: Effort, advance: Advance) -> Figures:
        advance(f"{self.key}: {step.name}")
        filling = ("--filling", ticks.file(programs.directory())) if step.ticks else ()
        return load(server, "--duration", effort.seconds, "--warmup", effort.warmup, *step.options, *filling)

    def sheets(self, runs: list[Figures]) -> Iterator[Sheet]:
        rows = {step.name: [run[step.name] for run in runs] for step in self.steps}
        names = [column.name for column in self.columns]
        sheet = Sheet(self.title, ["", *names, "core of server, load"], note=self.note)
        for name, figures in rows.items():
            sheet.rows.append([name, *(column.show(figures) for column in self.columns), cores(figures)])
            sheet.doubts += doubts(name, figures)
        if self.bars:
            sheet.bars = [median(map(self.bars.figure, figures)) for figures in rows.values()]
        sheet.goals = list(self.goals(rows)) if self.goals else []
        sheet.plot = self.plot(rows) if self.plot else None
        yield sheet


def cores(runs: list[Figures]) -> str:
    """How much of its core each of the two had."""
    server = median(run["server_cpu_s"] / run["seconds"] for run in runs)
    return f"{SHARE.show(server)}, {SHARE.show(median(run['own_cpu_share'] for run in runs))}"


def disturbed(name: str, waits: Sequence[float]) -> list[str]:
    """From the share of each run in which a process could have run, and another one had its core."""
    share = median(waits)
    if share <= DISTURBED:
        return []
    return [f"{name}: {DISTURBED_WORD}, other processes had one of the cores for {SHARE.show(share)} of the time"]


def doubts(name: str, runs: list[Figures]) -> list[str]:
    """Why a figure may not be what it is to be about."""
    found = []
    if median(run["own_cpu_share"] for run in runs) > SATURATED:
        found.append(f"{name}: the load tool's limit, not the server's")
    found += disturbed(name, [max(run["server_wait_s"], run["own_wait_s"]) / run["seconds"] for run in runs])
    if median(run["published_per_s"] / run["rate"] if "rate" in run else 1 for run in runs) < LATE:
        found.append(f"{name}: less was published than asked for; the latency is of messages that were late already")
    return found
