"""What is measured: each case starts what it needs, runs it, and gives one set of figures for each run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from processes import (
    SERVER_CORE,
    Figures,
    Server,
    broadcaster,
    broker,
    finished,
    first_line,
    floor,
    load,
    started_client,
    started_load,
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything: the full bench, or a quick look."""

    runs: int
    seconds: float
    warmup: float
    connections: int  # of the memory case
    messages: int  # of the SDK's publisher
    stalled_bytes: int  # published while a reader does not read


FULL = Effort(5, 3.0, 0.7, 5_000, 2_000_000, 1_000_000_000)
QUICK = Effort(2, 1.0, 0.3, 1_200, 500_000, 200_000_000)

Advance = Callable[[str], None]  # called before each run with what it is


@dataclass(frozen=True, slots=True)
class FanOut:
    """The same readers and messages in flight at each server, in turns. Only Tickwire has batches."""

    name: str
    readers: int
    in_flight: int
    batch: int
    goal: float  # times the broadcaster's deliveries per second
    of_floor: float | None = None  # times the CPU of a delivery that the floor takes, at most

    def runs(self, effort: Effort) -> int:
        return 3 * effort.runs

    def measure(self, effort: Effort, advance: Advance) -> Iterator[Figures]:
        with broker() as ours, broadcaster() as theirs, floor() as beneath:
            for _ in range(effort.runs):
                advance(f"{self.name}: tickwire")
                mine = self._load(effort, ours, "--batch", self.batch)
                advance(f"{self.name}: broadcaster")
                others = self._load(effort, theirs, "--mode", "raw")
                advance(f"{self.name}: floor")
                yield {
                    "tickwire": mine,
                    "broadcaster": others,
                    "floor": self._load(effort, beneath, "--mode", "raw"),
                }

    def _load(self, effort: Effort, server: Server, *options: object) -> Figures:
        size = ("--readers", self.readers, "--in-flight", self.in_flight)
        return load(server, *size, "--duration", effort.seconds, "--warmup", effort.warmup, *options)


@dataclass(frozen=True, slots=True)
class IdleMemory:
    """Resident memory of the broker for one more connection that has said hello and subscribed: a slope."""

    name: str
    goal: float  # bytes
    base: int = 200
    settling_s: float = 1.5

    def runs(self, effort: Effort) -> int:
        return min(effort.runs, 3)

    def measure(self, effort: Effort, advance: Advance) -> Iterator[Figures]:
        for _ in range(self.runs(effort)):
            advance(self.name)
            with broker() as server, ExitStack() as held:
                few = self._rss_with(server, held, self.base)
                more = effort.connections - self.base
                yield {"bytes_per_connection": (self._rss_with(server, held, more) - few) / more}

    def _rss_with(self, server: Server, held: ExitStack, connections: int) -> int:
        process = held.enter_context(started_load(server, "--idle", connections, "--duration", 300))
        first_line(process, "opening idle connections")
        time.sleep(self.settling_s)
        return server.rss()


@dataclass(frozen=True, slots=True)
class SdkReads:
    """The SDK alone on a core takes batches and decodes each message; broker and load tool share the other."""

    name: str
    goal: float  # messages a second
    in_flight: int = 8_192
    batch: int = 64

    def runs(self, effort: Effort) -> int:
        return effort.runs

    def measure(self, effort: Effort, advance: Advance) -> Iterator[Figures]:
        for _ in range(effort.runs):
            advance(self.name)
            with broker() as server, started_client("sdk_reader.py", server.url, effort.seconds) as reader:
                first_line(reader, "the SDK's reader")
                with started_load(server, *self._options(effort), core=SERVER_CORE):
                    yield finished(reader, "the SDK's reader")

    def _options(self, effort: Effort) -> list[object]:
        flight = ["--window", "credit", "--in-flight", self.in_flight, "--batch", self.batch]
        return ["--readers", 0, *flight, "--warmup", 0, "--duration", effort.seconds + 10]


@dataclass(frozen=True, slots=True)
class SdkPublishes:
    """The SDK alone on a core sends with publish_nowait; a reader beside the broker counts what came."""

    name: str
    goal: float  # messages a second

    def runs(self, effort: Effort) -> int:
        return effort.runs

    def measure(self, effort: Effort, advance: Advance) -> Iterator[Figures]:
        wanted = ["--readers", 1, "--publishers", 0, "--expect", effort.messages, "--warmup", 0, "--duration", 60]
        for _ in range(effort.runs):
            advance(self.name)
            with broker() as server, started_load(server, *wanted, core=SERVER_CORE) as counter:
                time.sleep(0.3)  # it counts from its subscription on, and ends with an error where it missed any
                with started_client("sdk_publisher.py", server.url, effort.messages) as publisher:
                    figures = finished(publisher, "the SDK's publisher")
                finished(counter, "the reader of what the SDK published")
                yield figures


@dataclass(frozen=True, slots=True)
class StalledReader:
    """One reader stops reading while much is published; the others, and the broker's memory, should not notice."""

    name: str
    readers: int = 20
    batch: int = 64
    in_flight: int = 256

    def runs(self, effort: Effort) -> int:
        return min(effort.runs, 3)

    def measure(self, effort: Effort, advance: Advance) -> Iterator[Figures]:
        for _ in range(self.runs(effort)):
            advance(self.name)
            with broker() as server:
                yield self._compared(load(server, *self._options(effort)))

    def _options(self, effort: Effort) -> list[object]:
        size = ["--readers", self.readers, "--slow", 1, "--batch", self.batch, "--in-flight", self.in_flight]
        return [*size, "--duration", effort.seconds, "--warmup", 1, "--total-bytes", effort.stalled_bytes]

    @staticmethod
    def _compared(figures: Figures) -> Figures:
        stalled = figures["stalled"]
        return {
            **figures,
            "throughput_kept": stalled["deliveries_per_s"] / figures["deliveries_per_s"],
            "p99_factor": stalled["latency_us"]["p99"] / figures["latency_us"]["p99"],
            "rss_growth": stalled["server_rss_max"] - figures["server_rss_max"],
        }


Case = FanOut | IdleMemory | SdkReads | SdkPublishes | StalledReader

CASES: dict[str, Case] = {
    "one": FanOut("100 readers, 1 in flight", 100, 1, 1, goal=1, of_floor=1.4),
    "fanout-1": FanOut("100 readers, 256 in flight, 1 message a frame", 100, 256, 1, goal=35),
    "fanout-64": FanOut("100 readers, 256 in flight, 64 messages a frame", 100, 256, 64, goal=130),
    "fanout-1000": FanOut("1,000 readers, 16 in flight, 1 message a frame", 1_000, 16, 1, goal=9),
    "memory": IdleMemory("memory of an idle connection", goal=16 << 10),
    "sdk-reads": SdkReads("the SDK reads and decodes, in batches", goal=1_000_000),
    "sdk-publishes": SdkPublishes("the SDK publishes without waiting", goal=500_000),
    "stalled": StalledReader("a reader stops reading"),
}
