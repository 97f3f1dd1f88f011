"""`make bench-peers`: the same load on Tickwire and on what people would pick instead, in turns."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from peers import compression, connections, growth, running, sdk, showing
from peers.cases import CASES, Case
from peers.running import Effort
from peers.starting import PEERS, Contender
from tickwire.server.cli.number import Number
from tickwire_bench import machine, programs
from tickwire_bench.processes import LOAD_CORE, SERVER_CORE, RunFailed, exit_code, prepare
from tickwire_bench.progress import metered
from tickwire_bench.running import CannotRun, check_files

FULL, QUICK = Effort(7, 1.0, 0.3), Effort(2, 0.4, 0.2)
OTHERS = {module.KEY: module for module in (compression, connections, sdk)}  # that have more to them than a load
KEYS = [*(case.key for case in CASES), *OTHERS]
NAMES = [peer.name for peer in PEERS]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(1, 50), help="Rounds of each case.  [default: 7]")
@click.option("--seconds", type=Number(0.2, 60), help="Measured seconds of a server's turn.  [default: 1]")
@click.option("--case", "keys", type=click.Choice(KEYS), multiple=True, help="Only this case.")
@click.option("--peer", "wanted", type=click.Choice(NAMES, case_sensitive=False), multiple=True, help="Only this peer.")
@click.option("--list", "listed", is_flag=True, help="Tell which cases and peers there are, and measure nothing.")
@click.option("--growth/--no-growth", "grows", default=None, help="How cost grows.  [default: with all the cases]")
@click.option("--quick", is_flag=True, help="A look: fewer, shorter rounds. Not for quoting.")
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write every round's figures there."
)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page there, and its plots.")
@click.option(
    "--from",
    "saved",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Measure nothing: show a --json file. Of several, the later ones count.",
)
def main(
    rounds: int | None,
    seconds: float | None,
    keys: Sequence[str],
    wanted: Sequence[str],
    listed: bool,
    grows: bool | None,
    quick: bool,
    file: Path | None,
    page: Path | None,
    saved: Sequence[Path],
) -> None:
    """Put the same load on Tickwire and its peers, in turns, and compare.

    Each server has one core and the load tool another. What arrives is checked: a peer that lost a message has no
    figures, and where Tickwire lost one the bench says so and exits with 1. All of it takes forty minutes; what is
    interrupted shows and writes the cases that are done.
    """
    if listed:
        _list()
        return
    try:
        check_files(file, page)
    except CannotRun as failure:
        raise click.ClickException(str(failure)) from None
    if saved and (keys or wanted or rounds or seconds or quick):
        raise click.UsageError("--from shows all that was measured: it goes without what says what to measure")
    if saved:
        results = merged([_read(each) for each in saved])
        code = 1 if results.get("failed") else 0
        if file:
            _save(results, file)
    else:
        results, code = _measure(keys, wanted, _effort(QUICK if quick else FULL, rounds, seconds), grows, file)
    if not (results["cases"] or results.get("growth") or results.get("failed")):
        click.echo("Nothing was measured, so nothing was written.", err=True)
        sys.exit(code)
    if page:
        showing.write_page(results, page)
    console = Console()
    showing.show(console if console.is_terminal else Console(width=150), results)
    sys.exit(code)


def _list() -> None:
    titles = {case.key: case.title for case in CASES} | {key: each.TITLE for key, each in OTHERS.items()}
    for key, title in titles.items():
        click.echo(f"{key:14} {title}")
    click.echo("\nPeers: " + ", ".join(peer.name for peer in PEERS))


def _measure(
    keys: Sequence[str], wanted: Sequence[str], effort: Effort, grows: bool | None, file: Path | None
) -> tuple[showing.Results, int]:
    """The figures, and an exit code: who ends it, or loses a message in a case, has those of the others."""
    try:
        programs.load(), programs.floor("fanout")
    except programs.CannotBuild as failure:
        raise click.ClickException(str(failure)) from None
    if SERVER_CORE == LOAD_CORE:
        raise click.ClickException("two cores are needed: one for the server, one for the load")
    prepare()
    versions = {peer.name: peer.version() for peer in PEERS if not wanted or peer.name in wanted}
    peers = [peer for peer in PEERS if versions.get(peer.name)]
    results: showing.Results = {
        "command": machine.command("bench-peers", sys.argv[1:], ("--json", "--page")),
        "machine": machine.describe(),
        "effort": dataclasses.asdict(effort),
        "versions": {name: told for name, told in versions.items() if told},
        "missing": [name for name, told in versions.items() if not told],
        "cases": {},
        "growth": {},
        "failed": {},
    }
    cases = [case for case in CASES if not keys or case.key in keys]
    others = [module for key, module in OTHERS.items() if not keys or key in keys]
    grows = not keys if grows is None else grows
    total = sum(running.turns_of(case, peers, effort) for case in cases)
    total += sum(each.turns(peers, effort) for each in others) + (sum(growth.turns()) if grows else 0)
    code = 0
    scratch = Path(tempfile.mkdtemp(prefix="peers-"))
    try:
        with metered(total, Console(stderr=True)) as advance:
            for key, part, run in _work(cases, others, grows, (peers, effort, scratch, advance)):
                try:
                    figures = run()
                    results[part][key] = figures if isinstance(figures, dict) else list(figures)
                except RunFailed as failure:
                    results["failed"][key], code = str(failure), 1
                if file is not None:
                    _save(results, file)  # whatever comes later: a whole run takes most of an hour
    except KeyboardInterrupt as end:
        code = exit_code(end)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return results, code


def _work(
    cases: Sequence[Case],
    others: Sequence[Any],
    grows: bool,
    told: tuple[Sequence[Contender], Effort, Path, running.Advance],
) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Each case and axis: its key, the part of the results that its figures are in, and how they are had."""
    for case in cases:
        yield case.key, "cases", partial(running.measure, case, *told)
    for each in others:
        yield each.KEY, "cases", partial(each.measure, *told)
    for axis in growth.AXES if grows else ():
        yield axis.key, "growth", partial(growth.measure, axis, *told)


def _save(results: showing.Results, file: Path) -> None:
    file.write_text(json.dumps(results, indent=1) + "\n")


def _read(file: Path) -> showing.Results:
    try:
        results: showing.Results = json.loads(file.read_text())
        if not {"cases", "versions", "machine", "command"} <= results.keys():
            raise ValueError
    except (ValueError, AttributeError):
        raise click.ClickException(f"{file} has no figures of this bench in it") from None
    return results


def merged(files: Sequence[showing.Results]) -> showing.Results:
    """The figures of several runs. Of what was measured twice the later run counts."""
    results, *others = files
    for other in others:
        results["cases"] |= other["cases"]
        results["growth"] = results.get("growth", {}) | other.get("growth", {})
        failed = {key: why for key, why in results.get("failed", {}).items() if key not in other["cases"]}
        results["failed"] = failed | other.get("failed", {})
        results["command"] += f"\n    {other['command']}"
    return results


def _effort(effort: Effort, rounds: int | None, seconds: float | None) -> Effort:
    return dataclasses.replace(effort, rounds=rounds or effort.rounds, seconds=seconds or effort.seconds)


if __name__ == "__main__":
    main()
