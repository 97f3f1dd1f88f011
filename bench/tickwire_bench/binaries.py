"""Where the programs of others are, and which version they are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

_SYSTEM = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


def nats_server() -> str:
    """The one that pip put beside this Python, whatever the PATH is."""
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"


def redis_server() -> str:
    return shutil.which("redis-server") or "/usr/bin/redis-server"


def mosquitto() -> str:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_SYSTEM) or "mosquitto"


def node() -> str:
    return shutil.which("node") or "node"


def version_of(*command: str) -> str:
    """What stands in its answer as a version."""
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", told.stdout + told.stderr)
    return found[0] if found else "unknown"
