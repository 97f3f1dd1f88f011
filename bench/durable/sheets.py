"""The figures as sheets, with what was promised of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from durable import catching_up, restarting
from durable.workloads import CASES, Case, Ratio, ratios
from tickwire_bench.figures.sheet import Goal, Sheet
from tickwire_bench.figures.unit import MIB, SHARE, TIMES, Unit
from tickwire_bench.processes import Figures

RATE, THOUSANDS, MS, SECONDS = Unit("/s"), Unit(" k/s", 1e3), Unit(" ms"), Unit(" s")
NAMES = {
    "tickwire": "Tickwire",
    "jetstream": "JetStream, a message each",
    "jetstream-atomic": "JetStream, atomic batch",
    "redis": "Redis Streams",
    "floor": "the floor: a server in C, our SDK",
}
DISTURBED = 0.2  # of a core: interrupts and the kernel's own work for the disk are a part of it
DISK = {"appended": "the disk: a page at the end", "written_over": "the disk: a page written over"}


def sheets(results: Figures) -> Iterator[Sheet]:
    """One for each case that there are figures of."""
    for case in CASES:
        if rounds := results.get("publishing", {}).get(case.key):
            yield _publishing(case, rounds)
    if rounds := results.get("catch_up"):
        yield _catching_up(rounds)
    if figures := results.get("restart"):
        yield _restarting(figures)


def _publishing(case: Case, rounds: list[Figures]) -> Sheet:
    columns = ["", "messages/s", "ack p50", "ack p99", "flushes/s", "messages a flush", "core of server, load"]
    sheet = Sheet(case.title, columns)
    for turn in case.turns:
        runs = [each[turn] for each in rounds]
        rates, flushed = _of(runs, "messages_per_s"), [run["flushes_per_s"] for run in runs]
        waits = [MS.spread(_of(runs, name)) for name in ("ack_p50_ms", "ack_p99_ms")]
        sheet.rows.append([NAMES[turn], RATE.spread(rates), *waits, *_flushes(rates, flushed), _cores(runs)])
    for name, title in DISK.items():
        runs = [each["disk"][name] for each in rounds]
        pages, flushed = _of(runs, "pages_per_s"), [run["flushes_per_s"] for run in runs]
        sheet.rows.append([title, RATE.spread(pages), "", "", *_flushes(pages, flushed), ""])
    sheet.goals += [_compared(ratio) for ratio in ratios(case, rounds)]
    others = median(median(each[turn]["others_cpu_share"] for turn in case.turns) for each in rounds)
    if others > DISTURBED:
        sheet.doubts.append(f"disturbed: other programs used {SHARE.show(others)} of a core")
    return sheet


def _compared(ratio: Ratio) -> Goal:
    text = f"{ratio.of}{TIMES.spread(ratio.reached)} the messages a second of {ratio.other}"
    if ratio.promised is None:
        return Goal(text)
    return Goal(f"{text}, promised {'over' if ratio.over else 'at least'} {TIMES.show(ratio.promised)}", ratio.met)


def _flushes(rates: list[float], flushed: list[float | None]) -> list[str]:
    """A rate, and how many messages share one; nothing where the system does not count them."""
    known = [rate for rate in flushed if rate]
    if len(known) < len(flushed):
        return ["not counted", ""]
    return [RATE.spread(known), Unit("").show(median(rate / each for rate, each in zip(rates, known, strict=True)))]


def _catching_up(rounds: list[Figures]) -> Sheet:
    before, during = [each["before"] for each in rounds], [each["during"] for each in rounds]
    readers, rate = catching_up.READERS, catching_up.READERS * catching_up.RATE
    title = f"{readers} live readers, {rate:,} deliveries a second, while one catches up from the disk"
    sheet = Sheet(title, ["", "before", "during"])
    rows: list[tuple[str, Unit, Callable[[Figures], float]]] = [
        ("p50", MS, lambda run: run["latency_us"]["p50"] / 1e3),
        ("p99", MS, lambda run: run["latency_us"]["p99"] / 1e3),
        ("deliveries a second", THOUSANDS, lambda run: run["deliveries_per_s"]),
        ("core of the broker", SHARE, lambda run: run["server_cpu_s"] / run["seconds"]),
        ("core of the load tool", SHARE, lambda run: run["own_cpu_share"]),
    ]
    for name, unit, figure in rows:
        sheet.rows.append([name, *(unit.spread([figure(run) for run in runs]) for runs in (before, during))])
    memory = [MIB.spread(_of(rounds, name)) for name in ("rss_before", "rss_peak")]
    sheet.rows.append(["resident memory of the broker, at most", *memory])
    sheet.rows.append(["catching up, messages a second", "", THOUSANDS.spread(_of(rounds, "messages_per_s"))])
    sheet.rows.append(["catch-ups in that time", "", Unit("").spread(_of(rounds, "catch_ups"))])
    pairs = [(rows[1][2](one), rows[1][2](other)) for one, other in zip(before, during, strict=True)]
    factor, more = median(b / a for a, b in pairs), median(b - a for a, b in pairs)
    allowed = median(catching_up.allowed_ms(a) for a, _ in pairs)
    text = (
        f"p99 {TIMES.show(factor)}, {MS.show(more)} more; promised at most 1.5 times and 5 ms more, {MS.show(allowed)}"
    )
    sheet.goals.append(Goal(text, median(b - catching_up.allowed_ms(a) for a, b in pairs) <= 0))
    return sheet


def _restarting(figures: Figures) -> Sheet:
    size = f"{figures['bytes'] / 1e9:.2f} GB, {figures['messages'] / 1e6:.2f} M messages"
    sheet = Sheet(f"A store of {size}: restart, and replay", ["", ""])
    ready = figures["after_kill_s"] + figures["after_stop_s"]
    sheet.rows.append(["listens, after kill -9", SECONDS.spread(figures["after_kill_s"])])
    sheet.rows.append(["listens, after SIGTERM", SECONDS.spread(figures["after_stop_s"])])
    sheet.goals.append(
        Goal(f"listens within {SECONDS.show(max(ready))}, promised 5 s", max(ready) <= restarting.READY_S)
    )
    replays = figures["replays"]
    rates = _of(replays, "messages_per_s")
    sheet.rows.append(["`tickwire sub --since earliest`, messages a second", THOUSANDS.spread(rates)])
    sheet.rows.append(["core of broker, of the command", _cores(replays)])
    sheet.rows.append(["resident memory of the broker, at most", MIB.spread(_of(replays, "rss_peak"))])
    promised = THOUSANDS.show(restarting.REPLAY_PER_S)
    met = median(rates) >= restarting.REPLAY_PER_S
    sheet.goals.append(Goal(f"replays {THOUSANDS.show(median(rates))}, promised {promised}", met))
    return sheet


def _of(runs: list[Figures], name: str) -> list[float]:
    return [run[name] for run in runs]


def _cores(runs: list[Figures]) -> str:
    return ", ".join(SHARE.show(median(_of(runs, name))) for name in ("server_cpu_share", "own_cpu_share"))
