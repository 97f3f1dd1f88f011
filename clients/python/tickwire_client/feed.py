"""A subscription to all that matches: where it stands in each topic, and what has come for it."""

from __future__ import annotations

from dataclasses import replace

from tickwire.wire.codes import EPOCH, EVICTED, FREED
from tickwire.wire.messages import Subscribe, Subscribed

from .buffer import Buffer
from .messages import Gap, Section
from .positions import MAX_POSITIONS, Positions, Start

LIVE = 0  # the stream that all live subscriptions of a connection share
_NOTHING_YET = -1  # a stamp below every section's


class Feed(Buffer):
    """Each position is handed out once, in order; what is missing is a gap in its place.

    It is live on stream 0, or comes level first on a stream of its own. After a reconnection it goes on where it was:
    `_seen` is the stamp up to which everything had come, and the positions say what came beyond.
    """

    def __init__(
        self,
        id: int,
        pattern: str,
        max_messages: int = 1 << 16,
        max_bytes: int = 16 << 20,
        drop: bool = False,
        *,
        start: Start | None = None,
        once: bool = False,
    ) -> None:
        super().__init__(id, pattern, max_messages, max_bytes, drop)
        self._start = start  # where it began, until it has come level for the first time
        self._once = once
        self._positions = Positions()
        self._foreign: dict[tuple[str, int], int] = {}  # sections that name an epoch of their own
        self._since = _NOTHING_YET  # what is no newer is not for it
        self._seen = 0
        self._freed = False  # topics may have been forgotten and come back, none knows which

    # What asks for it.

    def request(self, frame_bytes: int = 1 << 20) -> Subscribe:
        """The first time, where to start; after that what was seen, and the positions beyond.

        Seen is the stamp of the last JOIN, MARK or SUBSCRIBED to stream 0, never that of a section: a client is not
        told when it falls behind, and what is sent to one that was behind goes topic by topic, so that a section with a
        new stamp may come before another topic's older ones. Where it has never come level, it asks for the start
        again, except in topics that it got messages of.
        """
        request = Subscribe(self.id, self.pattern, since=self._start, once=self._once or None)
        if self._epoch is None:
            return request
        positions = self._positions.newest(frame_bytes) or None
        return replace(request, seen=(self._epoch, self._seen), positions=positions)

    def subscribed(self, reply: Subscribed, epoch: int) -> None:
        first, self._epoch = self._epoch is None, epoch
        if reply.stream == LIVE:
            self._come_level(reply.stamp)
        else:
            self._since = _NOTHING_YET
        if first:
            self._begin(reply)
            self.settled(None)
        if reply.stream == LIVE and self.exact and reply.offset is not None:
            # Nothing is missing, says the broker. Where offsets are, the topic was freed and has come back behind them.
            self._skip(self.pattern, reply.offset, reply.offset, FREED)

    def _begin(self, reply: Subscribed) -> None:
        if reply.stream != LIVE:
            self._seen = reply.stamp
        if self._start is not None and self._start[0] == "offset" and self._start[1] == self._epoch:
            self._positions.recent[self.pattern] = int(self._start[2])

    def joined(self, stamp: int) -> None:
        self._come_level(stamp)

    def marked(self, stamp: int) -> None:
        if self.live:
            self._had_everything(stamp)

    def _come_level(self, stamp: int) -> None:
        self.live = True
        self._start = None
        self._since = stamp
        self._had_everything(stamp)

    def _had_everything(self, stamp: int) -> None:
        self._seen = stamp
        self._positions.had_everything()

    def new_epoch(self, epoch: int) -> bool:
        """A gap of unknown size; then comes all that the new epoch holds."""
        if self._epoch is None or self._epoch == epoch:
            return False
        position = self._positions.get(self.pattern) if self.exact else None
        self._add_gap(Gap(self.pattern, self._epoch, position, None, EPOCH))
        self._epoch, self._seen, self._start = epoch, 0, None
        self._positions.clear()
        self._foreign.clear()
        return True

    # What comes.

    def add(self, section: Section, stamp: int) -> None:
        """A jump in the offsets is a gap, whether it was announced or not; what came already is dropped."""
        topic, first = section.topic, section.first
        end = first + len(section.payloads)
        if section.epoch != self._epoch:
            if stamp > self._since:
                self._add_foreign(section, end)
            return
        if stamp <= self._since:
            return  # of before this subscription: another one of this connection still waits for it
        recent = self._positions.recent
        next = recent.get(topic)
        if next is None:
            next = self._positions.get(topic)
        if next is not None and next != first:
            if next >= end:
                return
            if next > first:
                section = section.since(next)
            else:
                self._skip(topic, next, first, FREED if self._freed else EVICTED)
        recent[topic] = end
        self._keep(section)

    def missed(self, topic: str, start: int | None, end: int | None, reason: str) -> None:
        if end is not None:
            self._skip(topic, start, end, reason)
        elif reason == EPOCH:
            self._began_in_another_epoch()
        else:
            self._freed = self._freed or reason == FREED
            self._add_gap(Gap(topic, self._epoch or 0, start, None, reason))

    def _began_in_another_epoch(self) -> None:
        """It asked for a position of one that is over. Elsewhere the welcome has told it already."""
        if self._start is not None and self._start[0] == "offset":
            _, epoch, offset = self._start
            self._add_gap(Gap(self.pattern, int(epoch), int(offset), None, EPOCH))
            self._start = ("earliest",)

    def _skip(self, topic: str, start: int | None, end: int, reason: str) -> None:
        """The offsets up to `end` will not come; those before the own position had come."""
        position = self._positions.get(topic)
        start = start if position is None else position
        if start is not None and end <= start:
            if position is None:
                self._positions.recent[topic] = end
            return
        self._positions.recent[topic] = end
        self._add_gap(Gap(topic, self._epoch or 0, start, end, reason))

    def _add_foreign(self, section: Section, end: int) -> None:
        key = (section.topic, section.epoch)
        next = self._foreign.get(key, section.first)
        if next > section.first:
            return
        if next < section.first:
            self._add_gap(Gap(section.topic, section.epoch, next, section.first, EVICTED))
        if len(self._foreign) >= MAX_POSITIONS:
            self._foreign.clear()
        self._foreign[key] = end
        self._keep(section)
