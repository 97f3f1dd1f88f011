"""`make cost`: what authentication, rights and rates add to a fan-out and to an ingested frame, in instructions."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from micro.compare import ROOT, CannotCompare, Counts, Side, count_in
from micro.workloads import GUARDED


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Count the instructions of the same work without and with them, by callgrind, in one run.

    Exit code: 0, or 1 where they add more than is promised.
    """
    console = Console()
    side = Side("the working tree", ROOT, {})
    try:
        with tempfile.TemporaryDirectory() as directory, console.status("counting, half a minute"):
            count_in(side, ["door"], Path(directory))
    except CannotCompare as error:
        raise click.ClickException(str(error)) from None
    sys.exit(show(console, side.counts))


def show(console: Console, counts: Counts) -> int:
    """The table, and the exit code."""
    table = Table(title="Instructions of one step")
    for name in ("", "open", "with identity, rights and rates", "adds", "at most"):
        table.add_column(name, justify="right" if name else "left")
    missed = 0
    for name, (_, most) in GUARDED.items():
        before, after = (counts[f"door: {name}, {how}"] for how in ("open", "guarded"))
        added = after / before - 1
        missed += added > most
        style = "red" if added > most else ""
        table.add_row(name, f"{before:,.0f}", f"{after:,.0f}", f"{added:.1%}", f"{most:.0%}", style=style)
    console.print(table)
    return int(missed > 0)


if __name__ == "__main__":
    main()
