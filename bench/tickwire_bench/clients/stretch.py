"""The figures of a client in Python: what it did in a stretch of time, and what it used for that."""

from __future__ import annotations

import json
import time
from pathlib import Path


class Stretch:
    """From when it is made until it is reported."""

    def __init__(self) -> None:
        self.start, self._cpu, self._waited = time.monotonic(), time.process_time(), _waited()

    def report(self, messages: int) -> None:
        """Print them, as one line of JSON."""
        seconds = time.monotonic() - self.start
        figures = {
            "messages_per_s": messages / seconds,
            "seconds": seconds,
            "own_cpu_share": (time.process_time() - self._cpu) / seconds,
            "own_wait_share": (_waited() - self._waited) / seconds,
        }
        print(json.dumps(figures), flush=True)


def _waited() -> float:
    """Seconds in which this process could have run, and another one had its core."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
