"""What a topic and a retained message cost in the broker's memory: slopes, as of connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tickwire_bench.cases.effort import Advance, Effort
from tickwire_bench.figures.sheet import Sheet
from tickwire_bench.figures.unit import BYTES
from tickwire_bench.processes import Figures, broker, load

TOPICS = 20_000
PAYLOAD, KEPT = 64, 48 << 20  # bytes of a message, and of all that is kept
WHAT = {
    "a topic with one message": ("--topics", TOPICS, "--batch", 1),
    f"a retained message of {PAYLOAD} bytes, published singly": ("--batch", 1),
    f"a retained message of {PAYLOAD} bytes, published 64 a frame": ("--batch", 64),
}
_KEEP = ("--retain-bytes", 2 * KEPT, "--retain-seconds", 600)


@dataclass(frozen=True, slots=True)
class Kept:
    """Publish much that nobody reads, and see by how much the broker has grown."""

    key: str = "memory"
    title: str = "Memory of topics and of retained messages"

    def turns(self, effort: Effort) -> int:
        return effort.few * len(WHAT)

    def measure(self, effort: Effort, scratch: Path, advance: Advance) -> Iterator[Figures]:
        for _ in range(effort.few):
            yield {what: self._grown(what, advance) for what in WHAT}

    def _grown(self, what: str, advance: Advance) -> float:
        advance(f"{self.key}: {what}")
        count = TOPICS if "--topics" in WHAT[what] else KEPT // PAYLOAD
        publish = ("--readers", 0, "--window", "ack", "--warmup", 0, "--duration", 120, "--payload", PAYLOAD)
        with broker(*_KEEP) as server:
            load(server, *publish, "--total-bytes", 1 << 16, "--batch", 64)  # what a first message costs is not meant
            before = server.rss()
            figures = load(server, *publish, "--total-bytes", count * PAYLOAD, *WHAT[what])
            return float((server.rss() - before) / figures["published"])

    def sheets(self, runs: list[Figures]) -> Iterator[Sheet]:
        sheet = Sheet(self.title, ["", "resident in the broker, each"])
        sheet.rows += [[what, BYTES.spread([run[what] for run in runs])] for what in WHAT]
        yield sheet
