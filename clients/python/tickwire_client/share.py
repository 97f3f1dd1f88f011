"""A member of a live queue group: each message goes to one of its members, and is settled by that."""

from __future__ import annotations

from tickwire.wire.codes import EPOCH
from tickwire.wire.messages import Consume, Subscribe, Subscribed

from .buffer import Buffer
from .messages import Gap, Section


class Share(Buffer):
    """A member of a live queue group. A message is settled when it is sent: what the connection loses, nobody gets."""

    def __init__(self, id: int, pattern: str, group: str, max_messages: int, max_bytes: int, drop: bool) -> None:
        super().__init__(id, pattern, max_messages, max_bytes, drop)
        self.group = group

    def request(self, frame_bytes: int = 1 << 20) -> Subscribe | Consume:
        return Subscribe(self.id, self.pattern, group=self.group)

    def subscribed(self, reply: Subscribed, epoch: int) -> None:
        first, self._epoch, self.live = self._epoch is None, epoch, True
        if first:
            self.settled(None)

    def new_epoch(self, epoch: int) -> bool:
        if self._epoch is None or self._epoch == epoch:
            return False
        self._add_gap(Gap(self.pattern, self._epoch, None, None, EPOCH))
        self._epoch = epoch
        return True

    def add(self, section: Section, stamp: int) -> None:
        self._keep(section)

    def missed(self, topic: str, start: int | None, end: int | None, reason: str) -> None:
        self._add_gap(Gap(topic, self._epoch or 0, start, end, reason))

    def joined(self, stamp: int) -> None:
        """It stays on its own stream."""

    def marked(self, stamp: int) -> None:
        """It has no position to note."""
