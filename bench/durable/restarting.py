"""A broker on a large store: how long until it listens, and how fast `tickwire sub` is given all of it again."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from durable import servers
from tickwire_bench import meters
from tickwire_bench.history import PATTERN, History
from tickwire_bench.processes import LOAD_CORE, Figures, RunFailed, last_line, on_core

READY_S, REPLAY_PER_S = 5.0, 300_000
TIMEOUT_S = 300


def measure(history: History, rounds: int, advance: Callable[[str], None]) -> Figures:
    """Restart it in turns after kill -9 and after SIGTERM, then replay; each time with cold files."""
    figures: Figures = {"after_kill_s": [], "after_stop_s": [], "replays": []}
    for _ in range(rounds):
        advance("restart after kill -9")  # the history was made by a broker that ended so
        figures["after_kill_s"].append(_restart(history, kill=False))
        advance("restart after SIGTERM")
        figures["after_stop_s"].append(_restart(history, kill=True))
    for _ in range(rounds):
        advance("tickwire sub --since earliest")
        figures["replays"].append(_replay(history))
    return figures | {"messages": history.messages, "bytes": history.bytes}


def _restart(history: History, kill: bool) -> float:
    meters.forget_pages(history.directory)
    with servers.tickwire(history.directory) as server:
        if kill:
            server.kill()
        return server.seconds


def _replay(history: History) -> Figures:
    meters.forget_pages(history.directory)
    with servers.tickwire(history.directory) as server:
        cpu, start = meters.cpu_seconds(server.pid), time.perf_counter()
        client = _subscribed(server.url, history.messages)
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "messages_per_s": history.messages / seconds,
            "server_cpu_share": (meters.cpu_seconds(server.pid) - cpu) / seconds,
            "own_cpu_share": client / seconds,
            "rss_peak": meters.peak_resident(server.pid),
        }


def _subscribed(url: str, messages: int) -> float:
    """Run the command to its end with its output to nowhere; gives the CPU seconds that it used."""
    command = [str(Path(sys.executable).with_name("tickwire")), "sub", PATTERN, "--since", "earliest", "--url", url]
    before = _children_cpu()
    with on_core(LOAD_CORE):
        ended = subprocess.run(
            [*command, "--count", str(messages)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
        )
    if ended.returncode:
        raise RunFailed(f"tickwire sub: {last_line(ended.stderr)}")
    return _children_cpu() - before


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
