"""`make bench-durable`: what an acknowledgment that survives a power cut costs, beside JetStream and Redis Streams."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from durable import catching_up, publishing, restarting, servers, showing
from durable.sheets import sheets
from durable.workloads import CASES
from tickwire.server.cli.number import Number
from tickwire_bench import history, machine, programs
from tickwire_bench.processes import Figures, RunFailed, prepare
from tickwire_bench.progress import metered

PARTS = ("publishing", "catch-up", "restart")


@dataclasses.dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything: the full bench, or a quick look."""

    rounds: int
    seconds: float  # of a server's turn
    warmup: float
    live_s: float  # of the live readers, before and during
    store_bytes: int
    behind: int  # messages


FULL = Effort(5, 2.0, 0.4, 6.0, 1_000_000_000, 1_000_000)
QUICK = Effort(2, 0.5, 0.2, 3.0, 100_000_000, 300_000)
REPEATS = 3  # of catching up and of restarting


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(1, 50), help="Rounds of each publishing case.  [default: 5]")
@click.option("--seconds", type=Number(0.2, 60), help="Measured seconds of a server's turn.  [default: 2]")
@click.option("--only", "parts", type=click.Choice(PARTS), multiple=True, help="Only this part; may be repeated.")
@click.option("--case", "wanted", multiple=True, help='Only publishing cases with this in their name, as "16 x 64 B".')
@click.option("--quick", is_flag=True, help="A look within two minutes: fewer, shorter rounds. Not for quoting.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=programs.directory(),
    help="Where the stores are made, and removed after: the disk that is measured.  [default: bench/build]",
)
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write every round's figures there."
)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures there as a page.")
def main(
    rounds: int | None,
    seconds: float | None,
    parts: Sequence[str],
    wanted: Sequence[str],
    quick: bool,
    directory: Path,
    file: Path | None,
    page: Path | None,
) -> None:
    """Measure durable publishing beside NATS JetStream and Redis Streams in turns, then catching up and restarting.

    Each server has one core and the load another. What a server acknowledged must be in it afterwards: otherwise the
    bench says so and exits with 1, without figures.
    """
    effort = _effort(QUICK if quick else FULL, rounds, seconds)
    parts = parts or PARTS
    _check_machine(parts)
    prepare()
    results: Figures = {"machine": machine.describe(), "effort": dataclasses.asdict(effort)}
    results["versions"] = servers.versions() if "publishing" in parts else {}
    try:
        with _scratch(directory) as scratch:
            results |= _measure(parts, wanted, effort, scratch)
    except RunFailed as failure:
        raise click.ClickException(str(failure)) from None
    if file:
        file.write_text(json.dumps(results, indent=1) + "\n")
    if page:
        command = machine.command("bench-durable", sys.argv[1:], ("--json", "--page", "--directory"))
        page.write_text(showing.page(results, sheets(results), command))
    console = Console()
    showing.show(console if console.is_terminal else Console(width=180), results, sheets(results))


def _effort(effort: Effort, rounds: int | None, seconds: float | None) -> Effort:
    return dataclasses.replace(effort, rounds=rounds or effort.rounds, seconds=seconds or effort.seconds)


def _check_machine(parts: Sequence[str]) -> None:
    if "publishing" in parts and (missing := servers.missing()):
        raise click.ClickException(f"missing: {', '.join(missing)}; run `make bench-durable`, which installs them")
    try:
        programs.load(), programs.floor("durable")
    except programs.CannotBuild as failure:
        raise click.ClickException(str(failure)) from None


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="durable-", dir=directory))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _measure(parts: Sequence[str], wanted: Sequence[str], effort: Effort, scratch: Path) -> Figures:
    results: Figures = {}
    if "publishing" in parts:
        results["publishing"] = _publishing(wanted, effort, scratch)
    if {"catch-up", "restart"} & set(parts):
        results |= _history(parts, effort, scratch)
    return results


def _publishing(wanted: Sequence[str], effort: Effort, scratch: Path) -> Figures:
    cases = [case for case in CASES if not wanted or any(each in case.key for each in wanted)]
    turns = publishing.Effort(effort.rounds, effort.seconds, effort.warmup)
    results: Figures = {}
    with metered(sum(publishing.turns_of(case, turns) for case in cases), Console(stderr=True)) as advance:
        for case in cases:
            results[case.key] = list(publishing.measure(case, turns, scratch, advance))
            for left in scratch.iterdir():
                shutil.rmtree(left)
    return results


def _history(parts: Sequence[str], effort: Effort, scratch: Path) -> Figures:
    """Both parts need a large store; it is made once."""
    made = _made(effort.store_bytes if "restart" in parts else 0, effort.behind, scratch)
    results: Figures = {"history": {"messages": made.messages, "bytes": made.bytes, "seconds": made.seconds}}
    if "restart" in parts:
        with metered(3 * REPEATS, Console(stderr=True)) as advance:
            results["restart"] = restarting.measure(made, REPEATS, advance)
    if "catch-up" in parts:
        live = catching_up.Effort(REPEATS, effort.live_s)
        with metered(2 * REPEATS, Console(stderr=True)) as advance:
            results["catch_up"] = list(catching_up.measure(made, live, advance))
    return results


def _made(size: int, behind: int, scratch: Path) -> history.History:
    columns = (TextColumn("{task.description:44}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=1) as bar:
        task = bar.add_task("making a store", total=size or None)
        return history.make(scratch / "history", size, behind, lambda now: bar.update(task, completed=now))


if __name__ == "__main__":
    main()
