"""`tickwire bench`: measure a broker on this machine, and see that every message arrived."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import click

from .number import Number

_FILE = click.Path(path_type=Path, dir_okay=False, writable=True)


@click.command(short_help="Measure a broker on this machine, in every shape of load.")
@click.option("--case", "keys", multiple=True, metavar="CASE", help="Only this case; may be repeated.  [default: all]")
@click.option("--list", "listed", is_flag=True, help="Tell which cases there are, and measure nothing.")
@click.option("--runs", type=click.IntRange(1, 50), help="Runs of each case; the median is shown.  [default: 5]")
@click.option("--seconds", type=Number(0.2, 60), help="Measured seconds of each run.  [default: 2]")
@click.option("--quick", is_flag=True, help="A look within three minutes: one short run of each. Not for quoting.")
@click.option("--json", "file", type=_FILE, help="Write every run's figures there.")
@click.option("--page", type=_FILE, help="Write the tables there in Markdown, and a folder of plots beside it.")
@click.option(
    "--from",
    "saved",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Measure nothing: show what --json has written. Of several files, the later ones count.",
)
def bench(
    keys: tuple[str, ...],
    listed: bool,
    runs: int | None,
    seconds: float | None,
    quick: bool,
    file: Path | None,
    page: Path | None,
    saved: tuple[Path, ...],
) -> None:
    """Measure a broker on this machine: fan-out, latency, memory, the disk, compression, the SDK.

    Brokers are started and ended by the bench, on this machine only. The server has one core to itself and the load
    generator, which is written in C, another. What arrives is checked: a case in which a message is lost or repeated
    has no figures, and the bench says so.

    \b
    tickwire bench --quick                       a look at everything
    tickwire bench --case latency --case storm   some of it
    tickwire bench --json now.json --page now.md

    Exit code: 0, or 1 where a case has no figures.
    """
    if importlib.util.find_spec("tickwire_bench") is None:
        raise click.ClickException("the bench is not installed: it comes with `pip install tickwire`")
    from rich.console import Console

    from tickwire_bench import machine, running
    from tickwire_bench.cases import CASES

    if listed:
        for key, case in CASES.items():
            click.echo(f"{key:14} {case.title}")
        return
    for key in keys:
        if key not in CASES:
            raise click.BadParameter(f"{key!r} is none of {', '.join(CASES)}", param_hint="--case")
    if page is not None and importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException("--page draws its plots with matplotlib: pip install matplotlib")
    if saved and (keys or runs or seconds or quick):
        raise click.UsageError("--from shows all that was measured: it goes without --case, --runs, --seconds, --quick")
    try:
        running.check_files(file, page)
        if saved:
            results = running.merged([running.load(each) for each in saved])
            code = 1 if results.get("failed") else 0
        else:
            command = machine.own_command(sys.argv[1:], ("--json", "--page"))
            results, code = running.run(keys, running.effort(quick, runs, seconds), command, Console(stderr=True))
    except running.CannotRun as failure:
        raise click.ClickException(str(failure)) from None
    console = Console()
    running.show(console if console.is_terminal else Console(width=150), results)
    if not results["runs"]:
        click.echo("Nothing was measured, so nothing was written.", err=True)
    else:
        if file is not None:
            running.save(results, file)
        if page is not None:
            running.write_page(results, page)
    sys.exit(code)
