"""How the CPU of a delivery grows with readers, topics and payloads: one axis at a time, the others as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from peers.running import Advance, Effort, take_turn
from peers.starting import TICKWIRE, Contender, all_started

Line = list[tuple[int, float]]  # (place on the axis, microseconds of CPU a delivery)


@dataclass(frozen=True, slots=True)
class Axis:
    """What grows, in which steps, and what the load tool is told for each."""

    key: str
    title: str
    steps: tuple[int, ...]
    options: tuple[object, ...]  # of each step, before the step itself
    explained: str


AXES = [
    Axis(
        "readers",
        "readers of one topic, 16 messages in flight",
        (1, 10, 100, 1_000, 5_000),
        ("--in-flight", 16, "--readers"),
        "What a message costs by itself (the frame, its decoding, the flush) is shared by all its readers: that is the "
        "fall on the left. What remains on the right is one system call for each reader and flush, with as many "
        "messages as had come until then, and it costs no more where readers are many.",
    ),
    Axis(
        "topics",
        "topics, of which each of 200 readers has 5 by Zipf's law, 256 messages in flight",
        (10, 100, 1_000, 10_000),
        ("--readers", 200, "--each", 5, "--in-flight", 256, "--topics"),
        "With more topics a message has fewer readers, so that its own cost is shared by fewer; and nearly each "
        "message of a flush is a section of its own, with offsets and a place in a log: the others do less with it.",
    ),
    Axis(
        "payload",
        "bytes a message, 100 readers, 4 messages in flight",
        (64, 256, 1_024, 4_096, 16_384, 65_536),
        ("--readers", 100, "--in-flight", 4, "--payload"),  # with more of the largest, who is behind may lose some
        "Up to some hundred bytes the payload hardly counts. Above that it is copied into the kernel for each reader, "
        "which is the slope: bytes, not messages.",
    ),
]
RUNS = 3  # of each step
BESIDE = ("NATS", "Redis", "uWebSockets.js")


def measure(
    axis: Axis, peers: Sequence[Contender], effort: Effort, directory: Path, advance: Advance
) -> dict[str, Line]:
    """The line of each contender: medians of the rounds. A step in which it lost a message is left out of its line."""
    contenders = [TICKWIRE, *(each for each in peers if each.name in BESIDE)]
    lines: dict[str, Line] = {each.name: [] for each in contenders}
    with all_started(contenders, directory / axis.key) as servers:
        for step in axis.steps:
            for contender, server in zip(contenders, servers, strict=True):
                advance(f"{axis.key} {step:,}: {contender.name}")
                runs = [take_turn(contender, server, effort, (*axis.options, step)) for _ in range(RUNS)]
                if all("failed" not in run for run in runs):
                    cpu = median(run["server_cpu_us_per_delivery"] for run in runs)
                    lines[contender.name].append((step, cpu))
    return lines


def turns() -> Iterator[int]:
    """How often `measure` calls `advance`, for each axis."""
    for axis in AXES:
        yield len(axis.steps) * (1 + len(BESIDE))
