"""How far consumer groups are, seen from outside: from the records of their members as they grow."""

from __future__ import annotations

from pathlib import Path

from tickwire.wire.topics import matches

from .crew import GROUPS
from .events import Settled
from .recorder import Tail

Held = tuple[str, int, int]  # topic, epoch, offset


class Progress:
    """What the groups have acknowledged so far, read from the records as they grow."""

    def __init__(self, folder: Path, held: set[Held]) -> None:
        self._tails = [Tail(file) for file in folder.glob("c*.jsonl")]
        self._left = {group: {each for each in held if matches(pattern, each[0])} for group, pattern in GROUPS.items()}

    def missing(self) -> int:
        for tail in self._tails:
            for _, event in tail.read(b'["Settled"'):
                assert isinstance(event, Settled)
                group = event.reader.rpartition(".")[2]
                self._left[group].discard((event.topic, event.epoch, event.offset))
        return sum(map(len, self._left.values()))
