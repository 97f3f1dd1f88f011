"""Sheets at the terminal, and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from tickwire_bench.figures import sheet
from tickwire_bench.figures.sheet import Sheet
from tickwire_bench.processes import Figures

_INTRODUCTION = """\
# Durable publishing, catching up, restarting: figures

Written by `make bench-durable ARGS="--page docs/durability-figures.md"`; what is measured and how is in
[bench/durable](../bench/durable/README.md). All figures are of one run on one machine, medians with the smallest and
the largest round in parentheses. What an acknowledgment means is in [delivery.md](delivery.md).
"""

_NOT = """\
## What these numbers are not

- **Not what another disk gives.** An acknowledgment costs a flush, and flushes differ a hundredfold between disks (and
  some lie about them). The two rows of the disk alone say what this one gave in the same minutes.
- **Not the others' limits.** Each server has one core and is spoken to through its own Python client, all publishers
  in one process on one other core. Where the load's core is full the client is the limit, and a faster one would show
  more.
- **Not the others' defaults.** Out of the box JetStream syncs every two minutes and Redis every second, and both are
  then many times as fast, with that much to lose. `sync_interval: always` and `appendfsync always` promise what
  `tickwire serve --data` does: what is acknowledged survives a power cut.
- **Not what was promised, where it says MISSED.** Such a case stays in the table.
- **Not with a core to spare.** While publishers wait for their acknowledgments Tickwire stays awake for the disk and
  for the next publish (`busy_poll`, 500 us unless set otherwise), which is in its share of the core here; the others
  sleep.
- **Not for messages that do not pack.** The payloads are real prices as JSON, which LZ4 makes three to five times
  smaller on Tickwire's disk. Only the last case has random bytes, which take all of their size, twice.
- **Not what a better broker could not change.** The floor is what our SDK gets of a server in C that only reads,
  writes, syncs and answers. What it has more than Tickwire is the broker's; where it has itself little more than was
  promised, hardly any broker could keep the promise here.
- **Flushes** are what the disk counted (`/proc/diskstats`), of all programs on it. A write with O_DSYNC, as Tickwire's
  journal has them, is one. So is an fdatasync where only data was due; it is two where the file grew and the journal of
  the file system was due as well.
- **JetStream's "a message each"** are 100 publishes in flight at once and 100 acknowledgments; its "atomic batch" is
  one acknowledgment for 100, like Tickwire's. Redis's batch is a pipeline, not a transaction: it may be kept in part.
- **The p99 of the live readers** is of the oldest message in each delivery, on loopback, with the flush to disk in it.
- **Restarts** are with the files dropped from the page cache, as far as the system follows that wish.
"""


def show(console: Console, results: Figures, sheets: Iterable[Sheet]) -> None:
    """All sheets as tables, under the machine that they come from."""
    console.print(", ".join(f"{name} {value}" for name, value in _origin(results).items()), style="dim")
    for each in sheets:
        sheet.show(console, each)
    console.print(
        "\nMedians; in parentheses the smallest and the largest round. Flushes are those that the disk counted."
    )


def page(results: Figures, sheets: Iterable[Sheet], command: str) -> str:
    """The same in Markdown, with what the numbers are not."""
    origin = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in _origin(results).items())
    parts = [_INTRODUCTION, f"## Where they come from\n\n    {command}\n\n{origin}\n"]
    return "\n".join([*parts, *(sheet.markdown(each) for each in sheets), _NOT])


def _origin(results: Figures) -> dict[str, str]:
    return {**results["machine"], **results["versions"]}
