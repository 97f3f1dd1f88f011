"""`make compare BASE=REVISION`: instructions of the hot paths, two commits beside each other in one run.

Time on a shared machine moves by 10 to 40 %; the number of instructions moves by less than one: it shows a slower path
that no timing would. What it does not see is a path that waits, or misses the cache.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from micro.counting import STEPS
from micro.workloads import SUITES

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
MARKS = BENCH / "build" / "marks.so"
BASELINE = Path(__file__).with_name("baseline")
MORE = 1.05  # times the instructions, from which a path counts as slower
_SOURCES = "broker", "clients/python"
_NAME = r"^desc: Trigger: Client Request: (?P<name>.+?)$"
_COUNTED = re.compile(_NAME + r".*?^summary: (?P<count>\d+)$", re.MULTILINE | re.DOTALL)

Counts = dict[str, float]  # instructions of one step, by the workload's name


class CannotCompare(Exception):
    """Why there are no figures."""


@dataclass(slots=True)
class Side:
    """A source tree, and what was counted in it."""

    name: str
    tree: Path
    counts: Counts
    said: str = ""  # on standard error: what could not be counted


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("base", required=False)
@click.option("--to", "revision", help="The revision that is looked at.  [default: the working tree]")
@click.option("--only", "suites", type=click.Choice(list(SUITES)), multiple=True, help="Only these workloads.")
@click.option("--at-most", default=MORE, show_default=True, help="Times the instructions of BASE that are taken.")
def main(base: str | None, revision: str | None, suites: Sequence[str], at_most: float) -> None:
    """Count the instructions of the hot paths in BASE and in the working tree, by callgrind.

    Without BASE it is the revision in bench/micro/baseline, which `make check` compares with. Where a path is to cost
    more, for a reason, write the commit's own revision there.

    Exit code: 0 when none costs more than is taken, 1 when one does, 2 when they cannot be compared.
    """
    console = Console(width=None if sys.stdout.isatty() else 120)
    base = base or BASELINE.read_text(encoding="utf-8").split()[0]
    try:
        with tempfile.TemporaryDirectory(prefix="tickwire-compare-") as directory:
            sides = _counted(base, revision, suites or list(SUITES), Path(directory), console)
    except CannotCompare as error:
        raise click.UsageError(str(error)) from None
    slower = _show(console, *sides, at_most)
    if slower:
        console.print(
            escape(f"{', '.join(slower)}: more than {at_most:g} times the instructions of {base}"), style="red"
        )
    sys.exit(bool(slower))


def ratios(base: Mapping[str, float], now: Mapping[str, float]) -> Counts:
    """Instructions by those of the base, of what both can do."""
    return {name: count / base[name] for name, count in now.items() if name in base}


def counts_in(directory: Path) -> Counts:
    """Instructions of one step, out of what callgrind wrote."""
    counts: Counts = {}
    for file in sorted(directory.glob("out.*"), key=lambda file: int(file.suffix[1:])):
        found = _COUNTED.search(file.read_text(encoding="utf-8", errors="replace"))
        if found:
            counts[found["name"]] = int(found["count"]) / STEPS
    return counts


def _counted(
    base: str, revision: str | None, suites: Sequence[str], directory: Path, console: Console
) -> tuple[Side, Side]:
    sides = [_side(each, directory / name) for each, name in ((base, "base"), (revision, "now"))]
    failures: list[CannotCompare] = []

    def count(side: Side) -> None:
        try:
            count_in(side, suites, directory)
        except CannotCompare as error:
            failures.append(error)

    threads = [threading.Thread(target=count, args=(side,)) for side in sides]
    with console.status(f"counting {sides[1].name} beside {sides[0].name}, about a minute"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    return sides[0], sides[1]


def _side(revision: str | None, directory: Path) -> Side:
    if revision is None:
        return Side("the working tree", ROOT, {})
    directory.mkdir()
    archive = subprocess.run(["git", "archive", revision, *_SOURCES], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise CannotCompare(f"git has no {revision}: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive.stdout, check=True)
    _build_library(directory)
    return Side(revision, directory, {})


def _build_library(tree: Path) -> None:
    """As an installation of that revision would, or its paths in C would be compared with those in Python."""
    native = tree / "broker" / "tickwire" / "native"
    sources = sorted(map(str, native.glob("*.c")))
    if sources and (ROOT / native.relative_to(tree) / "native.so").exists():
        command = ["gcc", "-O2", "-std=c11", "-shared", "-fPIC", "-pthread", "-o", str(native / "native.so"), *sources]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise CannotCompare(f"its C library could not be made: {built.stderr}")


def count_in(side: Side, suites: Sequence[str], directory: Path) -> None:
    """Run the workloads with the side's sources under callgrind. Raises CannotCompare."""
    if not MARKS.exists():
        raise CannotCompare("bench/build/marks.so is not built: run `make compare`, or `make bench/build/marks.so`")
    out = directory / f"out of {side.tree.name}"
    out.mkdir()
    paths = [*(str(side.tree / source) for source in _SOURCES), str(BENCH)]
    # The same hashes in both, or sets and dicts would be in another order.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out / 'out'}"]
    command += [sys.executable, "-m", "micro.counting", str(MARKS), *suites]
    try:
        ended = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CannotCompare("valgrind is not installed: `make compare` installs it") from None
    side.said = "\n".join(line for line in ended.stderr.splitlines() if not line.startswith("=="))
    if ended.returncode:
        raise CannotCompare(f"counting in {side.name} ended with {ended.returncode}: {side.said[-2000:]}")
    side.counts = counts_in(out)


def _show(console: Console, base: Side, now: Side, at_most: float) -> list[str]:
    """The table; returns what costs too much."""
    table = Table(title="Instructions of one step")
    table.add_column("")
    for name in (base.name[:12], now.name[:16], "ratio"):
        table.add_column(escape(name), justify="right")
    compared = ratios(base.counts, now.counts)
    for name, count in now.counts.items():
        ratio = compared.get(name)
        style = "" if ratio is None else "red" if ratio > at_most else "green" if ratio < 1 / at_most else ""
        known = [f"{base.counts[name]:,.0f}", f"{count:,.0f}", f"{ratio:.3f}"] if ratio else ["", f"{count:,.0f}", ""]
        table.add_row(escape(name), *known, style=style)
    console.print(table)
    for side in (base, now):
        if side.said:
            console.print(escape(f"{side.name} could not do: {side.said}"), style="yellow")
    return [name for name, ratio in compared.items() if ratio > at_most]


if __name__ == "__main__":
    main()
