"""What the core asks of a store: whose epoch this is, and to keep what a flush sealed before anybody is shown it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tickwire.fanout.section import Section


@dataclass(frozen=True, slots=True)
class Life:
    """Where the store stood when it was opened: its epoch, the last stamp in it, where new topics start."""

    epoch: int
    stamp: int = 0
    floor: int = 0


class Store(Protocol):
    """Where sections last."""

    acknowledges: str
    """What an acknowledgment means here: a word of the protocol, `memory` for now."""

    def open(self) -> Life:
        """Begin, or go on where the store ended."""

    def keep(self, sealed: Sequence[tuple[str, Section]]) -> None:
        """Keep the sections of a flush, each with its topic. They are kept when this returns."""
