"""One subscription inside the session: where it stands in each topic, and what has come for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tickwire.wire import topics
from tickwire.wire.codes import DISCONNECTED, DROPPED, EPOCH, EVICTED
from tickwire.wire.messages import Subscribe, Subscribed

from .errors import TickwireError
from .messages import Gap, Section

# A broker holds at most 100,000 topics by default. Where more were read, the oldest positions are forgotten: after a
# reconnection a gap may then be said larger than it was, never smaller.
MAX_POSITIONS = 1 << 17

# What may wait beyond its bounds for a reader that does not drop, while the connection reads on for somebody's answer.
# More than stands between a broker and its client at one time (6 MiB in the kernel here), or messages would be dropped
# where one answer is awaited once.
OVERRUN_MESSAGES, OVERRUN_BYTES = 1 << 18, 16 << 20

Item = Section | Gap


class Feed:
    """Sections and gaps of one subscription, in stream position, until they are taken.

    `wake` is called when there is something new to take, `settled` when the broker first answered: with None, or with
    what went wrong. `error` says why nothing will come any more.
    """

    def __init__(self, id: int, pattern: str, max_messages: int, max_bytes: int, drop: bool) -> None:
        self.id, self.pattern = id, pattern
        self.exact = topics.is_exact(pattern)
        self.live = False  # between SUBSCRIBED and UNSUBSCRIBED, on this connection
        self.ended = False
        self.error: TickwireError | None = None
        self.wake: Callable[[], None] = _nothing
        self.settled: Callable[[TickwireError | None], None] = _nothing_about
        self.lost = 0  # messages in gaps of known size
        self.messages = 0  # not yet taken
        self.bytes = 0
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._drop_messages = max_messages if drop else max_messages + OVERRUN_MESSAGES
        self._drop_bytes = max_bytes if drop else max_bytes + OVERRUN_BYTES
        self._items: deque[Item] = deque()
        self._tail: dict[str, int] = {}  # topic -> how many items stood before its gap, while only gaps came since
        self._taken = 0
        self._epoch: int | None = None  # of the positions; None until the first SUBSCRIBED
        self._next: dict[str, int] = {}
        self._foreign: dict[tuple[str, int], int] = {}  # sections that name an epoch of their own
        self._since = 0
        self._seen = 0
        self._more = False

    @property
    def full(self) -> bool:
        return self.messages >= self._max_messages or self.bytes >= self._max_bytes

    @property
    def half_empty(self) -> bool:
        return self.messages * 2 <= self._max_messages and self.bytes * 2 <= self._max_bytes

    @property
    def position(self) -> int | None:
        """The offset that comes next, where the pattern names one topic and the broker has answered."""
        return self._next.get(self.pattern) if self.exact else None

    def take(self, max_messages: int | None = None) -> list[Item]:
        """What has come, in order: all of it, or whole items until there are as many messages."""
        if max_messages is None or self.messages <= max_messages:
            items = list(self._items)
            self._items.clear()
            self.messages = self.bytes = 0
        else:
            items = []
            enough = self.messages - max_messages
            while self._items and self.messages > enough:
                items.append(self._pop())
        self._taken += len(items)
        if not self._items:
            self._tail.clear()
        return items

    def _pop(self) -> Item:
        item = self._items.popleft()
        if isinstance(item, Gap):
            self.messages -= 1
        else:
            self.messages -= len(item)
            self.bytes -= sum(map(len, item.payloads))
        return item

    # What the session tells it.

    def request(self) -> Subscribe:
        """What asks for it. After the first time it says what was seen, so that the reply says what moved since.

        Seen is the stamp of the last SUBSCRIBED or MARK, never that of a section: a client is not told when it falls
        behind, and what is sent to one that was behind goes topic by topic, so that a section with a new stamp may
        come before another topic's older ones. An old stamp costs nothing but a longer list: what was had since is
        known exactly from the offsets.
        """
        seen = None if self._epoch is None else (self._epoch, self._seen)
        return Subscribe(self.id, self.pattern, seen)

    def subscribed(self, reply: Subscribed, epoch: int) -> None:
        """It is live from here on; what came while it was not is a gap."""
        self.live = True
        self._since = reply.stamp
        self._seen = max(self._seen, reply.stamp)
        first = self._epoch is None
        self._epoch = epoch
        if not first:
            for topic, start, end in reply.moved or ():
                self._skip(topic, start, end, DISCONNECTED)
            self._more = bool(reply.more)
            if self._more:
                # Topics that were never heard of may have moved too, and nothing will show it when they speak.
                self._add_gap(Gap(self.pattern, epoch, None, None, DISCONNECTED))
        if self.exact and reply.offset is not None:
            if self.pattern in self._next:
                self._skip(self.pattern, self._next[self.pattern], reply.offset, DISCONNECTED)
            else:
                self._next[self.pattern] = reply.offset
        if first:
            self.settled(None)

    def disconnected(self) -> None:
        self.live = False

    def new_epoch(self, epoch: int) -> bool:
        """Take the epoch of a connection. Returns whether it is another one: positions mean nothing then."""
        if self._epoch is None or self._epoch == epoch:
            return False
        self._add_gap(Gap(self.pattern, self._epoch, self.position, None, EPOCH))
        self._epoch, self._seen = epoch, 0
        self._next.clear()
        self._foreign.clear()
        return True

    def marked(self, stamp: int) -> None:
        """All up to that stamp has come."""
        self._seen = max(self._seen, stamp)

    def end(self, error: TickwireError | None = None) -> None:
        """Nothing comes any more."""
        if self.ended:
            return
        self.ended, self.live, self.error = True, False, error
        if self._epoch is None:
            self.settled(error)
        self.wake()

    def add(self, section: Section, stamp: int) -> None:
        """A section of stream 0. A jump in the offsets is a gap, whether it was announced or not."""
        first = section.first
        end = first + len(section.payloads)
        if stamp <= self._since:
            # Of before this subscription: another one of this connection still waits for it.
            self._next[section.topic] = max(end, self._next.get(section.topic, 0))
            return
        if section.epoch != self._epoch:
            if not self._add_foreign(section, end):
                return
        else:
            next = self._next.get(section.topic)
            if next is None:
                self._forget_some()
            elif next != first:
                if next >= end:
                    return
                if next > first:
                    section = section.since(next)
                else:
                    self._skip(section.topic, next, first, DISCONNECTED if self._more else EVICTED)
            self._next[section.topic] = end
        if self.messages >= self._drop_messages or self.bytes >= self._drop_bytes:
            self._add_gap(Gap(section.topic, section.epoch, section.first, end, DROPPED))
            return
        self._items.append(section)
        self.messages += len(section.payloads)
        self.bytes += sum(map(len, section.payloads))
        if self._tail:
            self._tail.clear()

    def missed(self, topic: str, start: int, end: int, reason: str) -> None:
        """A GAP of stream 0."""
        self._skip(topic, start, end, reason)

    def _add_foreign(self, section: Section, end: int) -> bool:
        key = (section.topic, section.epoch)
        next = self._foreign.get(key, section.first)
        if next > section.first:
            return False
        if next < section.first:
            self._add_gap(Gap(section.topic, section.epoch, next, section.first, EVICTED))
        if len(self._foreign) >= MAX_POSITIONS:
            self._foreign.clear()
        self._foreign[key] = end
        return True

    def _skip(self, topic: str, start: int, end: int, reason: str) -> None:
        """The offsets up to `end` will not come; those before the own position had come."""
        start = self._next.get(topic, start)
        if end <= start:
            return
        self._forget_some()
        self._next[topic] = end
        assert self._epoch is not None
        self._add_gap(Gap(topic, self._epoch, start, end, reason))

    def _add_gap(self, gap: Gap) -> None:
        self.lost += gap.count or 0
        at = self._tail.get(gap.topic, -1) - self._taken
        if at >= 0:
            last = self._items[at]
            if isinstance(last, Gap) and _adjacent(last, gap):
                self._items[at] = Gap(gap.topic, gap.epoch, last.start, gap.end, gap.reason)
                return
        self._tail[gap.topic] = self._taken + len(self._items)
        self._items.append(gap)
        self.messages += 1

    def _forget_some(self) -> None:
        if len(self._next) >= MAX_POSITIONS:
            for topic in list(self._next)[: MAX_POSITIONS // 2]:
                del self._next[topic]


def _adjacent(last: Gap, gap: Gap) -> bool:
    return last.reason == gap.reason and last.epoch == gap.epoch and last.end is not None and last.end == gap.start


def _nothing() -> None:
    pass


def _nothing_about(error: TickwireError | None) -> None:
    pass
