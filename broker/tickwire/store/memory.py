"""The store that keeps nothing beyond the process: the topic logs in memory are all there is."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from tickwire.core.policy import Policy
from tickwire.core.store import Batch, Dropped, Life, StoreFailed
from tickwire.fanout.log import Reading


class MemoryStore:
    """Each time it is opened is a new epoch."""

    acknowledges = "memory"
    durable = False

    def open(self) -> Life:
        return Life(epoch=secrets.randbits(48))

    unsettled = False
    settles_alone = True
    ended: int | None = None

    def commit(self, batch: Batch) -> None:
        """An acknowledgment means "routed and in the log", and the log comes right after this."""

    def begin(self, batch: Batch) -> bool:
        return False

    def finish(self) -> bool:
        return False

    def settle(self, alone: bool = True) -> None: ...

    def read(self, topic: str, cursor: int, budget: int) -> Reading:
        raise StoreFailed("memory keeps nothing that the logs do not")

    def find(self, topic: str, stamp: int | None = None, time_us: int | None = None) -> int:
        raise StoreFailed("memory keeps nothing that the logs do not")

    def retain(self, policy_of: Callable[[str], Policy], time_us: int) -> list[Dropped]:
        return []

    def probe(self) -> None:
        """There is always room."""

    def close(self) -> None:
        """Nothing is open."""
