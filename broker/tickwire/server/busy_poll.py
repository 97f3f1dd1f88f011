"""Staying awake for what is about to come: a core that is let go of for 200 us comes back cold."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Callable
from functools import partial

COMMIT, PUBLISH = 0, 1  # what is awaited: the end of a commit, and what is published next


class BusyPoll:
    """Keeps the loop turning while something is awaited that comes within the limit, in seconds, as the last time did.

    So do the kernel's net.core.busy_poll, and KVM's halt_poll_ns with the same rule. On a fast disk a commit takes 0.2
    to 0.3 ms, and a publisher that waited for it is back in as much. It costs a core up to the limit for each of the
    two, and nothing where they are further apart than that.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._took = [0.0, 0.0]
        self._awaited, self._since = PUBLISH, time.perf_counter()  # uvloop's own clock counts milliseconds
        self._turning = False

    def expect(self, what: int) -> None:
        """What was awaited is there, and from now on this is."""
        now = time.perf_counter()
        self._took[self._awaited] = now - self._since
        self._awaited, self._since = what, now
        if not self._turning and self._worth(0.0):
            self._turning = True
            self._loop.call_soon(self._turn)

    @property
    def awake(self) -> bool:
        """Whether the loop is kept turning."""
        return self._turning

    def _worth(self, waited: float) -> bool:
        return self._took[self._awaited] <= self._limit and waited < self._limit

    def _turn(self) -> None:
        self._turning = self._worth(time.perf_counter() - self._since)
        if self._turning:
            _give_way()
            self._loop.call_soon(self._turn)


def _giving_way() -> Callable[[], object]:
    """Lets other threads have the core, and the interpreter too, which os.sched_yield of Python 3.11 keeps."""
    try:
        give_way: Callable[[], object] = ctypes.CDLL(None).sched_yield
    except (OSError, AttributeError):
        return partial(time.sleep, 0)
    return give_way


_give_way = _giving_way()
