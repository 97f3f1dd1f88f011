"""What stands or falls together: the sections of one flush, and who must be told what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tickwire.fanout.peer import Peer

from .identity import Repeat
from .store import Batch, Identity
from .topic import Sealed, Topic

Receipt = list[int]  # the id of a publish, then the first offset of each of its runs


@dataclass(slots=True)
class Commit:
    """Sealed, and not shown to anybody yet."""

    batch: Batch
    sealed: list[Sealed]
    receipts: dict[Peer, list[Receipt]]
    repeats: dict[tuple[Peer, int], Repeat]
    publishers: list[Peer]
    own: list[tuple[str, list[bytes]]]  # the broker's own messages in it
    identities: list[Identity]  # of all publishes in it, also of those that are not on disk
    bytes: int
    handed: bool = False


@dataclass(slots=True)
class Pending:
    """What came since the last flush was sealed."""

    touched: list[Topic] = field(default_factory=list)
    receipts: dict[Peer, list[Receipt]] = field(default_factory=dict)
    repeats: dict[tuple[Peer, int], Repeat] = field(default_factory=dict)  # the publishes that had come before
    publishers: list[Peer] = field(default_factory=list)
    own: list[tuple[str, list[bytes]]] = field(default_factory=list)
    bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.touched or self.receipts or self.own)
