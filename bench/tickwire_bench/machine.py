"""Where the figures come from: they say nothing without it."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("tickwire", "aiohttp", "uvloop", "msgpack")


def describe() -> dict[str, str]:
    """The machine and the versions, as a person would note them down."""
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **_commit(),
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load_before": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{package: version(package) for package in PACKAGES},
    }


def _commit() -> dict[str, str]:
    """Of the checkout that this is in, if it is in one."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=, with changes", "--abbrev=12"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return {}
    return {} if told.returncode else {"commit": told.stdout.strip()}


def command(target: str, arguments: Sequence[str], outputs: Collection[str]) -> str:
    """How to measure that again: `make` with those arguments, without the options that say where the figures go."""
    kept = _kept(arguments, outputs)
    return f"make {target}" + (f' ARGS="{" ".join(kept)}"' if kept else "")


def own_command(arguments: Sequence[str], outputs: Collection[str]) -> str:
    """The same, where `tickwire` was called."""
    return " ".join(["tickwire", *_kept(arguments, outputs)])


def _kept(arguments: Sequence[str], outputs: Collection[str]) -> list[str]:
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in outputs:
            next(words, None)
        elif word.partition("=")[0] not in outputs:
            kept.append(shlex.quote(word))
    return kept


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return platform.machine()
