"""The figures as tables at the terminal, and as a page of the documentation with its plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from peers import compression, connections, sdk
from peers.cases import CASES, Case, Promise, Round, Verdict, failed, figures_of, verdict
from peers.growth import AXES
from peers.starting import FLOOR_ITSELF, TICKWIRE
from tickwire_bench.cases.loads import cores, doubts
from tickwire_bench.figures import sheet
from tickwire_bench.figures.sheet import DISTURBED_WORD, Sheet
from tickwire_bench.figures.unit import MILLIONS, MS, TIMES, US
from tickwire_bench.processes import Figures

Results = dict[str, Any]
COLUMNS = ("", "deliveries/s", "CPU a delivery", "p50", "p99", "core of server, load", "Tickwire has")

_INTRODUCTION = """\
# Benchmarks: Tickwire beside others

Written by `make bench-peers`. Who the others are, in which version, and how each is
set up is in [bench/peers](../bench/peers/README.md); the load tool is in [bench](../bench/README.md). Durable
publishing has [a page of its own](durability-figures.md).

All figures are of one machine: medians, with the smallest and the largest round in parentheses. A ratio is of two turns
within one round, then the median of the rounds: machines change within minutes, and only neighbours compare. The best
peer is the one with the best median. Who was four times as slow as the best in the second round took no further turns.
"""

_NOT = """\
## What these numbers are not

- **Not a network.** Loopback has no distance, no loss and no network card. What a send costs in the kernel is in them.
- **Not what the others promise.** Redis's and NATS's pub/sub and a WebSocket library forget a message once it is sent.
  Tickwire gives each an offset, keeps a history, tells of gaps and checks limits; mosquitto has sessions and QoS.
- **Not the others' limits.** Each server has one core; most of them can use several. The load tool has another; where
  it uses all of it (the last column but one), it is what was measured.
- **Not with readers that sleep.** The load tool polls: to wake a reader that sleeps is an interrupt to the other core
  here, which costs a server more than the sending does, and a network has no such thing. And all its readers
  acknowledge TCP's segments when they read. [How much both matter](../bench/README.md#how) is told with the bench.
- **Not one message at a time.** With 256 in flight all of them live from what comes together: Tickwire joins it for
  each reader, Redis and NATS write what has gathered, uWebSockets gathers up to 32. With 1 in flight there is nothing
  to join.
- **Not the same bytes.** A Tickwire frame names its topic once; NATS and Redis name it with each message, a Socket.IO
  event is two frames. What leaves is what each protocol needs.
- **"64 a frame or send"** is one frame for Tickwire, and 64 publishes in one send for the others, who have no such
  frame.
- **The floor** is a C program that reads what the publisher sent and sends it to each reader, one system call each,
  without topics, offsets, limits or slow readers.
- **socketify polls** instead of sleeping, so its CPU says nothing. A peer of which it says *failed* has no figures:
  what it says behind that is why, be it a lost message or a server that was not there.
- **Latency at a fixed load** is from when a message was due to when its bytes were read, of the oldest in each read.
"""


def show(console: Console, results: Results) -> None:
    """All tables, and whether the promises were kept."""
    console.print(", ".join(f"{name} {value}" for name, value in _origin(results).items()), style="dim")
    for case, rounds in _measured(results):
        table = Table(title=case.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for index, column in enumerate(COLUMNS):
            table.add_column(column, justify="right" if index else "left", overflow="fold", no_wrap=not index)
        for row in _rows(rounds):
            table.add_row(*(escape(sheet.fitting(console, cell)) for cell in row))
        console.print(table)
        for text, met in _promises(case, rounds):
            console.print(escape(f"  {text}"), style="green" if met else "red")
        for doubt in _doubts(rounds):
            console.print(escape(f"  {doubt}"), style="yellow")
    for each in _sheets(results):
        sheet.show(console, each)
    for axis in AXES:
        for name, line in results.get("growth", {}).get(axis.key, {}).items():
            console.print(f"{axis.title}: {name}: " + ", ".join(f"{step:,}: {US.show(cpu)}" for step, cpu in line))
    for key, why in results.get("failed", {}).items():
        console.print(f"{key} has no figures: {why}", style="red", markup=False)
    for name in results["missing"]:
        console.print(f"{name} is not installed and was left out", style="yellow")
    if any(len(rounds) > 1 for rounds in results["cases"].values()):
        console.print(f"\n{sheet.legend(console, 'round')} What they are not: bench/peers/README.md")


def write_page(results: Results, page: Path) -> None:
    """The page, and beside it a folder of its name with the plots."""
    from peers.plots import draw_growth, draw_rates

    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    origin = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in _origin(results).items())
    parts = [_INTRODUCTION, f"## Where they come from\n\n    {results['command']}\n\n{origin}\n"]
    if measured := list(_measured(results)):
        draw_rates([(case, rounds) for case, rounds in measured if case.latency is None], folder / "rates.svg")
        parts.append(
            f"## At a glance\n\n![Deliveries a second]({folder.name}/rates.svg)\n\n{_summary(results, measured)}\n"
        )
    parts += [_section(case, rounds) for case, rounds in measured]
    parts += [sheet.markdown(each) for each in _sheets(results)]
    for axis in AXES:
        if lines := results.get("growth", {}).get(axis.key):
            draw_growth(axis, lines, folder / f"{axis.key}.svg")
            parts.append(
                f"## CPU of a delivery: {axis.title}\n\n![]({folder.name}/{axis.key}.svg)\n\n{axis.explained}\n"
            )
    parts += [f"**{key}** has no figures: {why}\n" for key, why in results.get("failed", {}).items()]
    if results["missing"]:
        parts.append(f"Left out, since they were not installed: {', '.join(results['missing'])}.\n")
    page.write_text("\n".join([*parts, _NOT]))


def _measured(results: Results) -> Iterator[tuple[Case, list[Round]]]:
    for case in CASES:
        if rounds := results["cases"].get(case.key):
            yield case, rounds


def _sheets(results: Results) -> Iterator[Sheet]:
    """Of the cases that have more to them than a load."""
    for module in (sdk, compression, connections):
        if rounds := results["cases"].get(module.KEY):
            yield module.sheet(rounds)


def _verdict(case: Case, rounds: list[Round]) -> Verdict | None:
    return verdict(case, rounds, TICKWIRE.name, FLOOR_ITSELF.name)


def _promises(case: Case, rounds: list[Round]) -> Iterator[tuple[str, bool]]:
    if (found := _verdict(case, rounds)) is None:
        return
    shaken = _shaken(rounds, found)
    for promise in found.promises:
        yield _told(promise) + shaken, promise.met


def _shaken(rounds: list[Round], found: Verdict) -> str:
    """Whether to believe it: the machine may have had something else to do."""
    told = [doubt for name in (TICKWIRE.name, found.best) for doubt in doubts(name, figures_of(rounds, name))]
    return f", though {DISTURBED_WORD}" if any(DISTURBED_WORD in doubt for doubt in told) else ""


def _told(promise: Promise) -> str:
    bound = f"promised {'at most' if promise.most else 'at least'} {TIMES.show(promise.bound)}"
    goal = "" if promise.goal is None else f", hoped for {TIMES.show(promise.goal)}"
    return f"{TIMES.spread(promise.reached)} {promise.text}; {bound}{goal}: {promise.outcome}"


def _summary(results: Results, measured: Sequence[tuple[Case, list[Round]]]) -> str:
    lines = ["| | the best peer | Tickwire | promised |", "|---|---|--:|--:|"]
    for case, rounds in measured:
        if (found := _verdict(case, rounds)) is None:
            continue
        shaken = _shaken(rounds, found)
        for promise in found.promises:
            bound = f"{'<=' if promise.most else '>='} {TIMES.show(promise.bound)}"
            reached = TIMES.show(median(promise.reached)) + shaken
            other = "" if promise.met else f" **{promise.outcome}**"
            lines.append(f"| {case.title}: {promise.text} | {found.best} | {reached} | {bound}{other} |")
    for each in _sheets(results):
        lines += [f"| {each.title} | | {each.outcome(goal)} | |" for goal in each.goals]
    return "\n".join(lines)


def _section(case: Case, rounds: list[Round]) -> str:
    lines = [f"## {case.title}", "", "| " + " | ".join(COLUMNS) + " |", "|---|" + "--:|" * (len(COLUMNS) - 1)]
    for name, *figures in _rows(rounds):
        lines.append("| " + " | ".join([f"**{name}**" if name == TICKWIRE.name else name, *figures]) + " |")
    lines += ["", *(f"- {text}" for text, _ in _promises(case, rounds))]
    lines += [f"- *{doubt}*" for doubt in _doubts(rounds)]
    if case.note:
        lines += ["", case.note]
    return "\n".join([*lines, ""])


def _rows(rounds: list[Round]) -> Iterator[list[str]]:
    """The fastest first, the floor last."""
    ours = [turn[TICKWIRE.name] for turn in rounds]
    names = [name for name in rounds[0] if name != FLOOR_ITSELF.name]
    names.sort(key=lambda name: -_median_rate(figures_of(rounds, name)))
    for name in [*names, *(each for each in rounds[0] if each == FLOOR_ITSELF.name)]:
        runs = figures_of(rounds, name)
        if (why := failed(rounds, name)) is not None:
            yield [name, f"failed: {why}", *[""] * (len(COLUMNS) - 2)]
            continue
        yield [
            name,
            MILLIONS.spread([run["deliveries_per_s"] for run in runs]),
            US.spread([run["server_cpu_us_per_delivery"] for run in runs]),
            *(MS.show(median(run["latency_us"][percent] for run in runs)) for percent in ("p50", "p99")),
            cores(runs),
            _ratio(ours, runs) if name != TICKWIRE.name else "",
        ]


def _doubts(rounds: list[Round]) -> Iterator[str]:
    """Of those who were in it to the end."""
    for name in rounds[-1]:
        if failed(rounds, name) is None:
            yield from doubts(name, figures_of(rounds, name))


def _ratio(ours: list[Figures], theirs: list[Figures]) -> str:
    return TIMES.show(median(a["deliveries_per_s"] / b["deliveries_per_s"] for a, b in zip(ours, theirs, strict=False)))


def _median_rate(runs: list[Figures]) -> float:
    return 0.0 if any("failed" in run for run in runs) else median(run["deliveries_per_s"] for run in runs)


def _origin(results: Results) -> dict[str, str]:
    return {**results["machine"], **results["versions"]}
