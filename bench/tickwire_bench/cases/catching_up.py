"""A reader that is far behind is brought up to date from the disk."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tickwire_bench import history, meters
from tickwire_bench.cases.effort import Advance, Effort
from tickwire_bench.figures.sheet import Sheet
from tickwire_bench.figures.unit import SHARE, THOUSANDS
from tickwire_bench.processes import Figures, broker, finished, first_line, started_client

READER = "tickwire_bench.clients.catching_up"


@dataclass(frozen=True, slots=True)
class CatchUp:
    """The SDK reads a topic from its earliest message, of a broker that was started on its directory."""

    key: str = "catch-up"
    title: str = "Catching up from the disk: one reader, the SDK, 100-byte messages"

    def turns(self, effort: Effort) -> int:
        return effort.runs + 1

    def measure(self, effort: Effort, scratch: Path, advance: Advance) -> Iterator[Figures]:
        advance(f"{self.key}: making a store")
        made = history.make(scratch / "history", 0, effort.behind, lambda _: None)
        with broker("--data", made.directory) as server:
            for _ in range(effort.runs):
                advance(self.key)
                asked = (server.url, made.deep, made.per_topic, effort.seconds)
                with started_client(READER, *asked) as reader:
                    first_line(reader, "the reader that is behind")
                    cpu = meters.cpu_seconds(server.pid)
                    reader.send_signal(signal.SIGUSR1)
                    figures = finished(reader, "the reader that is behind")
                read = made.per_topic * figures["catch_ups"]
                used = meters.cpu_seconds(server.pid) - cpu
                yield figures | {"server_cpu_share": used * figures["messages_per_s"] / read}

    def sheets(self, runs: list[Figures]) -> Iterator[Sheet]:
        sheet = Sheet(self.title, ["", "messages/s", "core of server"])
        rates, shares = [run["messages_per_s"] for run in runs], [run["server_cpu_share"] for run in runs]
        sheet.rows.append(["from the earliest to the newest", THOUSANDS.spread(rates), SHARE.spread(shares)])
        yield sheet
