"""What is measured: each case starts what it needs, loads it, and makes tables of what came out."""

from __future__ import annotations

from tickwire_bench.cases import shapes
from tickwire_bench.cases.beside import beside
from tickwire_bench.cases.catching_up import CatchUp
from tickwire_bench.cases.connections import IdleConnections, Storm
from tickwire_bench.cases.effort import Case
from tickwire_bench.cases.memory import Kept
from tickwire_bench.cases.sdk import Sdk
from tickwire_bench.cases.stalled import StalledReader

__all__ = ["CASES"]

_ALL: tuple[Case, ...] = (
    beside("one", "100 readers, 1 in flight", 100, 1, 1, goal=1, of_floor=1.4),
    beside("fanout-1", "100 readers, 256 in flight, 1 message a frame", 100, 256, 1, goal=35),
    beside("fanout-64", "100 readers, 256 in flight, 64 messages a frame", 100, 256, 64, goal=130),
    beside("fanout-1000", "1,000 readers, 16 in flight, 1 message a frame", 1_000, 16, 1, goal=9),
    shapes.fan_out(),
    shapes.topics(),
    shapes.payloads(),
    shapes.ingest(),
    shapes.latency(),
    shapes.durable(),
    CatchUp(),
    shapes.compression(),
    shapes.tls(),
    IdleConnections(),
    Storm(),
    Kept(),
    Sdk(),
    StalledReader(),
)
CASES: dict[str, Case] = {case.key: case for case in _ALL}
