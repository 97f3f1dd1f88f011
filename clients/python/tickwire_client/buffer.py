"""What has come for one subscription and was not taken yet, whatever kind of subscription it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from tickwire.wire import topics
from tickwire.wire.codes import DROPPED
from tickwire.wire.messages import Consume, Subscribe, Subscribed

from .errors import TickwireError
from .messages import Gap, Section

# What may wait beyond its bounds for a reader that does not drop, while the connection reads on for somebody's answer.
# More than stands between a broker and its client at one time (6 MiB in the kernel here), or messages would be dropped
# where one answer is awaited once.
OVERRUN_MESSAGES, OVERRUN_BYTES = 1 << 18, 16 << 20

Item = Section | Gap


class Buffer(ABC):
    """Sections and gaps of one subscription, in stream position, until they are taken.

    `wake` is called when there is something new to take, `settled` when the broker first answered: with None, or with
    what went wrong. `error` says why nothing will come any more.
    """

    def __init__(self, id: int, pattern: str, max_messages: int, max_bytes: int, drop: bool) -> None:
        self.id, self.pattern = id, pattern
        self.exact = topics.is_exact(pattern)
        self.live = False  # nothing is owed to it that was sent before what comes next
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
        self._epoch: int | None = None  # of what came; None until the first SUBSCRIBED

    @property
    def full(self) -> bool:
        return self.messages >= self._max_messages or self.bytes >= self._max_bytes

    @property
    def half_empty(self) -> bool:
        return self.messages * 2 <= self._max_messages and self.bytes * 2 <= self._max_bytes

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

    @abstractmethod
    def request(self, frame_bytes: int) -> Subscribe | Consume:
        """What asks for it, over whichever connection, in a frame of at most so many bytes."""

    @abstractmethod
    def subscribed(self, reply: Subscribed, epoch: int) -> None:
        """The broker has it. What comes for it comes on the stream that the reply names."""

    @abstractmethod
    def new_epoch(self, epoch: int) -> bool:
        """Take the epoch of a connection. Returns whether it is another one: positions mean nothing then."""

    @abstractmethod
    def add(self, section: Section, stamp: int) -> None:
        """A section of its stream."""

    @abstractmethod
    def missed(self, topic: str, start: int | None, end: int | None, reason: str) -> None:
        """A GAP of its stream."""

    @abstractmethod
    def joined(self, stamp: int) -> None:
        """It has come level: what has a later stamp comes on the live stream."""

    @abstractmethod
    def marked(self, stamp: int) -> None:
        """All up to that stamp has come."""

    def disconnected(self) -> None:
        self.live = False

    def end(self, error: TickwireError | None = None) -> None:
        """Nothing comes any more."""
        if self.ended:
            return
        self.ended, self.live, self.error = True, False, error
        if self._epoch is None:
            self.settled(error)
        self.wake()

    # For those who add to it.

    def _keep(self, section: Section) -> None:
        if self.messages >= self._drop_messages or self.bytes >= self._drop_bytes:
            end = section.first + len(section.payloads)
            self._add_gap(Gap(section.topic, section.epoch, section.first, end, DROPPED))
            return
        self._items.append(section)
        self.messages += len(section.payloads)
        self.bytes += sum(map(len, section.payloads))
        if self._tail:
            self._tail.clear()

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


def _adjacent(last: Gap, gap: Gap) -> bool:
    return last.reason == gap.reason and last.epoch == gap.epoch and last.end is not None and last.end == gap.start


def _nothing() -> None:
    pass


def _nothing_about(error: TickwireError | None) -> None:
    pass
