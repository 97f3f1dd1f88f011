"""The store that keeps nothing beyond the process: the topic logs in memory are all there is."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from tickwire.core.store import Life
from tickwire.fanout.section import Section


class MemoryStore:
    """Each time it is opened is a new epoch."""

    acknowledges = "memory"

    def open(self) -> Life:
        return Life(epoch=secrets.randbits(48))

    def keep(self, sealed: Sequence[tuple[str, Section]]) -> None:
        """An acknowledgment means "routed and in the log", and the log comes right after this."""
