"""`make bench`: the broker beside a plain aiohttp broadcaster, in turns, and what else it has promised."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import click
import machine
import report
from cases import CASES, FULL, QUICK, Effort
from processes import FLOOR, LOAD, LOAD_CORE, SERVER_CORE, RunFailed, raise_limit_on_files
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", type=click.IntRange(1, 50), help="Runs of each case; the median is shown.  [default: 5]")
@click.option("--seconds", type=click.FloatRange(0.2, 60), help="Measured seconds of each run.  [default: 3]")
@click.option("--only", "keys", type=click.Choice(list(CASES)), multiple=True, help="Only this case; may be repeated.")
@click.option("--quick", is_flag=True, help="A look within a minute: fewer, shorter runs. Not for quoting.")
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write every run's figures there too."
)
def main(runs: int | None, seconds: float | None, keys: Sequence[str], quick: bool, file: Path | None) -> None:
    """Measure the broker beside a plain aiohttp broadcaster, on this machine, in turns.

    The server has one core to itself and the load tool another. Every message is checked: when one is lost or
    repeated, the bench says so and exits with 1, without figures.
    """
    effort = _effort(QUICK if quick else FULL, runs, seconds)
    errors = Console(stderr=True)
    for built in (LOAD, FLOOR):
        if not built.exists():
            raise click.ClickException(
                f"{built.name} is not built: run `make bench`, or `make bench/build/{built.name}`"
            )
    if SERVER_CORE == LOAD_CORE:
        errors.print(
            "Only one core: the server and the load take turns on it, so the figures say little.", style="yellow"
        )
    raise_limit_on_files()
    where = machine.describe()
    try:
        results = _run(keys or list(CASES), effort, errors)
    except RunFailed as failure:
        raise click.ClickException(str(failure)) from None
    if file:
        file.write_text(
            json.dumps({"machine": where, "effort": dataclasses.asdict(effort), "runs": results}, indent=1) + "\n"
        )
    report.show(_output(), where, results)


def _output() -> Console:
    """In a file or a pipe the tables are not folded to the 80 columns of a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def _effort(effort: Effort, runs: int | None, seconds: float | None) -> Effort:
    return dataclasses.replace(effort, runs=runs or effort.runs, seconds=seconds or effort.seconds)


def _run(keys: Sequence[str], effort: Effort, console: Console) -> report.Results:
    total = sum(CASES[key].runs(effort) for key in keys)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    # Once a second: drawing takes CPU from the cores that are measured.
    with Progress(*columns, console=console, transient=True, refresh_per_second=1) as progress:
        task = progress.add_task("", total=total, completed=-1)
        return {key: list(CASES[key].measure(effort, lambda what: _advance(progress, task, what))) for key in keys}


def _advance(progress: Progress, task: TaskID, what: str) -> None:
    progress.update(task, advance=1, description=what)


if __name__ == "__main__":
    main()
