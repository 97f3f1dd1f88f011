"""`python -m simulation`: thousands of histories, with a bar; the seed of one that fails, and how to see it again."""

from __future__ import annotations

import secrets
import sys
import time

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .plants import PLANTS
from .run import Total, simulate
from .world import Outcome


@click.command()
@click.option("--histories", type=click.IntRange(1), default=5_000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=None, help="Of the first; the others follow. Chosen by chance if not given.")
@click.option("--plant", type=click.Choice(list(PLANTS)), default=None, help="A bug to put in, which must be found.")
@click.option("--jobs", type=click.IntRange(1), default=None, help="Processes; one for each core if not given.")
def main(histories: int, seed: int | None, plant: str | None, jobs: int | None) -> None:
    """Run histories of the broker, its store and its clients, each from one seed, until one breaks the contract."""
    console = Console(stderr=True)
    first = secrets.randbelow(1 << 32) if seed is None else seed
    console.print(f"{histories} histories from seed {first} on" + (f", with {plant} planted" if plant else ""))
    began = time.perf_counter()
    with _progress(console) as progress:
        task = progress.add_task("histories", total=histories)

        def told(outcome: Outcome) -> None:
            progress.advance(task)

        total = simulate(range(first, first + histories), plant, jobs if histories > 1 else 1, told)
    _report(console, total, time.perf_counter() - began, histories == 1)
    if total.failed:
        again = f"python -m simulation --histories 1 --seed {total.failed[0].seed}" + (
            f" --plant {plant}" if plant else ""
        )
        console.print(f"see it again, in tests/: [bold]{again}[/bold]")
    sys.exit(bool(total.failed))


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True)


def _report(console: Console, total: Total, seconds: float, story: bool) -> None:
    said = ", ".join(f"{count} {what}" for what, count in total.counts.items())
    console.print(f"{total.histories} histories in {seconds:.1f} s: {said}", highlight=False)
    for outcome in total.failed[:1]:
        console.print(f"[bold red]seed {outcome.seed} broke the contract[/bold red]")
        for fault in outcome.faults:
            console.print(fault, markup=False, highlight=False)
        if story:
            console.print("what happened: " + ", ".join(outcome.story), markup=False, highlight=False)


if __name__ == "__main__":
    main()
