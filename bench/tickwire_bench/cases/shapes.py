"""The shapes of load on one broker: readers, messages in flight, topics, publishers, payloads, rates."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from tickwire_bench.cases.loads import (
    CPU,
    CPU_OF_PUBLISH,
    DELIVERIES,
    P50,
    P99,
    P999,
    PUBLISHED,
    WIRE,
    LoadCase,
    Rows,
    Step,
    cpu,
    start_broker,
    wire_bytes,
)
from tickwire_bench.figures.sheet import Goal, Plot, promised
from tickwire_bench.figures.unit import SHARE, TIMES
from tickwire_bench.processes import Server, broker, started_server

READERS, IN_FLIGHT = (1, 10, 100, 1_000, 5_000), (1, 16, 256)
OPEN = 20_000  # deliveries a second of the open loop
PAYLOADS = (64, 256, 1_024, 4_096, 16_384, 65_536)
RATES = (10_000, 50_000, 200_000)  # deliveries a second


def fan_out() -> LoadCase:
    """Every number of readers at every number of messages in flight, and at a fixed rate."""
    closed = (
        Step(f"{readers:,} readers, {flight} in flight", ("--readers", readers, "--in-flight", flight))
        for readers in READERS
        for flight in IN_FLIGHT
    )
    opened = (
        Step(f"{readers:,} readers, {OPEN:,}/s", ("--readers", readers, "--rate", OPEN // readers))
        for readers in READERS
    )
    return LoadCase(
        "fan-out",
        "Fan-out: one topic, 64-byte messages, one a frame",
        (*closed, *opened),
        bars=DELIVERIES,
        plot=_by_readers,
    )


def _by_readers(rows: Rows) -> Plot:
    lines: dict[str, list[tuple[float, float]]] = {}
    for flight in IN_FLIGHT:
        lines[f"{flight} in flight"] = [
            (readers, median(map(cpu, rows[f"{readers:,} readers, {flight} in flight"]))) for readers in READERS
        ]
    return Plot("readers", "CPU of the broker a delivery, us", lines)


def topics() -> LoadCase:
    """Readers of a part of many topics."""
    asked = ("--readers", 200, "--topics", 1_000, "--each", 20)
    steps = [
        Step(f"{who}, {flight} in flight", (*asked, *options, "--in-flight", flight))
        for who, options in (("popular ones read by many", ()), ("all read alike", ("--evenly",)))
        for flight in (16, 256)
    ]
    note = (
        "Publishes go to topics by Zipf's law. In the first two rows readers choose by it too, so that a message has "
        "some twenty readers; in the others each topic has four."
    )
    return LoadCase("topics", "200 readers, each of 20 of 1,000 topics", tuple(steps), bars=DELIVERIES, note=note)


def payloads() -> LoadCase:
    """The same messages, larger and larger.

    A topic keeps 4 MiB, and what is in flight is counted by the first reader: with 16 of the largest, who was behind
    that one lost some.
    """
    steps = [Step(f"{size:,} bytes", ("--readers", 100, "--in-flight", 4, "--payload", size)) for size in PAYLOADS]

    def plot(rows: Rows) -> Plot:
        points = [(float(size), median(map(cpu, rows[f"{size:,} bytes"]))) for size in PAYLOADS]
        return Plot("bytes a message", "CPU of the broker a delivery, us", {"100 readers, 4 in flight": points})

    return LoadCase("payloads", "Bytes a message: 100 readers, 4 in flight", tuple(steps), bars=DELIVERIES, plot=plot)


def ingest() -> LoadCase:
    """Publishers whom nobody reads, each with 256 messages that are not acknowledged yet."""
    return LoadCase(
        "ingest",
        "Publishing, acknowledged from memory, 256 messages in flight for each publisher",
        tuple(_publishing("tickwire", "--in-flight", 256)),
        columns=(PUBLISHED, CPU_OF_PUBLISH),
        bars=PUBLISHED,
    )


def _publishing(server: str, *flight: object) -> Iterator[Step]:
    for publishers in (1, 16):
        for batch in (1, 64):
            who = f"{publishers} publisher{'s' if publishers > 1 else ''}"
            options = ("--readers", 0, "--window", "ack", "--publishers", publishers, "--batch", batch, *flight)
            yield Step(f"{who}, {f'{batch} messages' if batch > 1 else '1 message'} a frame", options, server)


def durable() -> LoadCase:
    """The same on disk: an acknowledgment survives a power cut."""
    return LoadCase(
        "durable",
        "Publishing, acknowledged from the disk (survives a power cut), 256 messages in flight for each publisher",
        tuple(_publishing("on disk", "--in-flight", 256)),
        columns=(PUBLISHED, CPU_OF_PUBLISH),
        servers={"on disk": _on_disk},
        bars=PUBLISHED,
        note="What an fsync costs is the disk's. `make bench-durable` puts JetStream and Redis Streams beside it.",
    )


def _on_disk(directory: Path) -> AbstractContextManager[Server]:
    return broker("--data", directory)


def latency() -> LoadCase:
    """How long a message takes at a load of one's choice."""
    steps = [Step(f"{rate:,} deliveries/s", ("--readers", 1_000, "--rate", rate // 1_000)) for rate in RATES]
    return LoadCase(
        "latency",
        "Latency at a fixed load: 1,000 readers, one message a frame",
        tuple(steps),
        columns=(P50, P99, P999, CPU),
        note="From when a message was due until its bytes were read, of the oldest in each read.",
    )


def compression() -> LoadCase:
    """Real ticks in batches to 1,000 readers, plain and compressed."""
    some = ("--readers", 1_000, "--payload", 96)
    steps = tuple(
        Step(f"{name}, {kind}", (*some, *options, *deflate), ticks=True)
        for name, options in (
            ("64 ticks a frame", ("--batch", 64, "--in-flight", 256)),
            ("16 in flight", ("--in-flight", 16)),
        )
        for kind, deflate in (("plain", ()), ("compressed", ("--deflate",)))
    )

    def goals(rows: Rows) -> Iterator[Goal]:
        pairs = list(zip(rows["64 ticks a frame, plain"], rows["64 ticks a frame, compressed"], strict=True))
        smaller = [wire_bytes(packed) / wire_bytes(plain) for plain, packed in pairs]
        dearer = [cpu(packed) / cpu(plain) for plain, packed in pairs]
        yield promised("bytes on the wire by those of the plain ones", SHARE, smaller, 0.4, most=True)
        yield promised("CPU of a delivery by that of a plain one", TIMES, dearer, 1.3, most=True)

    return LoadCase(
        "compression",
        "permessage-deflate: 1,000 readers of real ticks",
        steps,
        columns=(DELIVERIES, WIRE, CPU, P99),
        goals=goals,
    )


def tls() -> LoadCase:
    """The same load, plain and through TLS."""
    steps = tuple(
        Step(f"{name}, {kind}", (*size, *secured), server)
        for name, size in (
            ("100 readers, 256 in flight", ("--readers", 100, "--in-flight", 256)),
            ("the same, 64 a frame", ("--readers", 100, "--in-flight", 256, "--batch", 64)),
            ("1,000 readers, 16 in flight", ("--readers", 1_000, "--in-flight", 16)),
        )
        for kind, secured, server in (("plain", (), "tickwire"), ("TLS", ("--tls",), "behind TLS"))
    )
    return LoadCase(
        "tls",
        "TLS 1.3, by Python's ssl module",
        steps,
        servers={"tickwire": start_broker, "behind TLS": _behind_tls},
        bars=DELIVERIES,
        note="Each reader's bytes are enciphered for it alone: what is shared ends where TLS begins.",
    )


def _behind_tls(_: Path) -> AbstractContextManager[Server]:
    return started_server("tickwire behind TLS", [sys.executable, "-m", "tickwire_bench.tls_server"])
