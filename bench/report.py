"""The figures as tables: medians with their spread, beside the goal and the machine they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from cases import CASES, FanOut, IdleMemory, SdkPublishes, SdkReads, StalledReader
from processes import Figures
from rich import box
from rich.console import Console
from rich.table import Table

Results = dict[str, list[Figures]]  # key of a case -> the figures of each run

SATURATED = 0.95  # a load tool that uses more of its core than this is what was measured
DISTURBED = 0.05  # of the time the server or the load tool could run, and another process had its core


@dataclass(frozen=True, slots=True)
class Unit:
    """How a figure is shown."""

    suffix: str
    scale: float = 1
    digits: int = 3  # significant ones

    def show(self, value: float) -> str:
        return self._number(value) + self.suffix

    def spread(self, values: list[float]) -> str:
        """The median, then the smallest and the largest."""
        low, high = min(values), max(values)
        return f"{self.show(median(values))} ({self._number(low)} to {self._number(high)})"

    def goal(self, wanted: float, reached: float, most: bool = False) -> str:
        """What was promised, and whether it was kept; `most` where less is better."""
        met = reached <= wanted if most else reached >= wanted
        style, word = ("green", "reached") if met else ("red", "missed")
        return f"[{style}]{'<=' if most else '>='} {self.show(wanted)} {word}[/]"

    def _number(self, value: float) -> str:
        scaled = value / self.scale
        return f"{scaled:.0f}" if abs(scaled) >= 10 ** (self.digits - 1) else f"{scaled:.{self.digits}g}"


TIMES, SHARE = Unit("x"), Unit(" %", 0.01)
MILLIONS, THOUSANDS = Unit(" M", 1e6), Unit(" k", 1e3)
KIB, MIB = Unit(" KiB", 1 << 10), Unit(" MiB", 1 << 20)
MS, US = Unit(" ms", 1e3), Unit(" us")


def show(console: Console, machine: dict[str, str], results: Results) -> None:
    """All tables that there are figures for."""
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), style="dim")
    for table in _tables(results):
        console.print(table)
    console.print("Medians; in parentheses the smallest and the largest run. What they say and do not: bench/README.md")


def _tables(results: Results) -> Iterator[Table]:
    others: Results = {}
    for key, runs in results.items():
        case = CASES[key]
        if isinstance(case, FanOut):
            yield _fan_out(case, runs)
        elif isinstance(case, StalledReader):
            yield _stalled(case, runs)
        else:
            others[key] = runs
    if others:
        yield _others(others)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table


def _with_caption(table: Table, lines: list[str]) -> Table:
    table.caption, table.caption_justify, table.caption_style = "\n".join(lines) or None, "left", "yellow"
    return table


def _fan_out(case: FanOut, pairs: list[Figures]) -> Table:
    # Of runs that followed each other: machines change within minutes, so only neighbours compare.
    achieved = [_deliveries(pair["tickwire"]) / _deliveries(pair["broadcaster"]) for pair in pairs]
    cheaper = [_cpu(pair["broadcaster"]) / _cpu(pair["tickwire"]) for pair in pairs if _cpu(pair["tickwire"])]
    title = (
        f"{case.name}\n{TIMES.spread(achieved)} the deliveries per second: {TIMES.goal(case.goal, median(achieved))}"
    )
    if cheaper:
        title += f"; {TIMES.spread(cheaper)} the deliveries per CPU second"
    above = [_cpu(pair["tickwire"]) / _cpu(pair["floor"]) for pair in pairs if _cpu(pair["floor"])]
    if above:
        promised = f": {TIMES.goal(case.of_floor, median(above), most=True)}" if case.of_floor else ""
        title += f"\n{TIMES.spread(above)} the CPU of a delivery that the floor takes{promised}"
    table = _table(title, "", "deliveries/s", "server CPU a delivery", "p99", "core of server, load")
    doubts: list[str] = []
    for server, unit in (("tickwire", MILLIONS), ("broadcaster", THOUSANDS), ("floor", MILLIONS)):
        runs = [pair[server] for pair in pairs]
        table.add_row(
            server,
            unit.spread([_deliveries(run) for run in runs]),
            US.spread([_cpu(run) for run in runs]),
            MS.spread([_p99(run) for run in runs]),
            _cores(runs),
        )
        doubts += _doubts(server, runs)
    return _with_caption(table, doubts)


def _cores(runs: list[Figures]) -> str:
    server = median(run["server_cpu_s"] / run["seconds"] for run in runs)
    return f"{SHARE.show(server)}, {SHARE.show(median(run['own_cpu_share'] for run in runs))}"


def _doubts(name: str, runs: list[Figures]) -> list[str]:
    """Why a figure may not be what it is to be about."""
    doubts = []
    if median(run["own_cpu_share"] for run in runs) > SATURATED:
        doubts.append(f"{name}: the load tool's limit, not the server's")
    waited = median(max(run["server_wait_s"], run["own_wait_s"]) / run["seconds"] for run in runs)
    if waited > DISTURBED:
        doubts.append(f"{name}: disturbed, other processes had one of the cores for {SHARE.show(waited)} of the time")
    return doubts


def _others(results: Results) -> Table:
    table = _table("The SDK on one core, and memory", "", "", "its core", "goal")
    for key, runs in results.items():
        case = CASES[key]
        if isinstance(case, SdkReads | SdkPublishes):
            rates = [run["messages_per_s"] for run in runs]
            share = SHARE.show(median(run["own_cpu_share"] for run in runs))
            goal = MILLIONS.goal(case.goal, median(rates))
            table.add_row(case.name, f"{MILLIONS.spread(rates)} messages/s", share, goal)
        elif isinstance(case, IdleMemory):
            sizes = [run["bytes_per_connection"] for run in runs]
            table.add_row(case.name, KIB.spread(sizes), "", KIB.goal(case.goal, median(sizes), most=True))
    return table


def _stalled(case: StalledReader, before: list[Figures]) -> Table:
    during = [run["stalled"] for run in before]
    kept, factor, growth = ([run[name] for run in before] for name in ("throughput_kept", "p99_factor", "rss_growth"))
    title = f"{case.name}: the other {case.readers - 1}, and the broker's memory"
    table = _table(title, "", "before", "during", "change", "goal")
    rows = (
        ("deliveries/s", _deliveries, MILLIONS, SHARE.spread(kept), SHARE.goal(0.95, median(kept))),
        ("p99", _p99, MS, TIMES.spread(factor), TIMES.goal(2, median(factor), most=True)),
        ("resident", _rss, MIB, MIB.spread(growth), MIB.goal(64 << 20, max(growth), most=True)),
    )
    for name, figure, unit, change, goal in rows:
        table.add_row(name, *(unit.spread([figure(run) for run in runs]) for runs in (before, during)), change, goal)
    return _with_caption(table, _doubts("before", before) + _doubts("during", during))


def _deliveries(run: Figures) -> float:
    return float(run["deliveries_per_s"])


def _cpu(run: Figures) -> float:
    return float(run["server_cpu_us_per_delivery"])


def _p99(run: Figures) -> float:
    return float(run["latency_us"]["p99"])


def _rss(run: Figures) -> float:
    return float(run["server_rss_max"])
