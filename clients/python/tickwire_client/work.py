"""What a group's members share: each message goes to one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from tickwire.wire.codes import EPOCH
from tickwire.wire.encode import encode
from tickwire.wire.messages import Consume, Consumed, Returned, Subscribe, Subscribed

from .buffer import Buffer
from .checks import check_count, check_name, check_seconds
from .errors import TickwireError
from .messages import Gap, Message, Section
from .ranges import Ranges


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


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a consumer works. `ack_timeout` in seconds; where it is None, or `attempts`, the broker's own."""

    group: str
    max_unacked: int
    ack_timeout: float | None
    attempts: int | None


def terms_of(group: str, max_unacked: int, ack_timeout: float | None, attempts: int | None) -> Terms:
    """Raises ValueError where one of them cannot be."""
    check_name(group, "group")
    check_count(max_unacked, "max_unacked", 1_000_000)
    if attempts is not None:
        check_count(attempts, "attempts", 1_000)
    if ack_timeout is not None:
        check_seconds(ack_timeout, "ack_timeout")
    return Terms(group, max_unacked, ack_timeout, attempts)


class Work(Share):
    """A member of a consumer group. What was handed to it is the group's until it is acknowledged.

    Acknowledgments wait here until the next frames leave, and become ranges. Those of messages that an earlier
    connection brought are worth nothing, for the broker has given these to another: they are counted and dropped.
    """

    def __init__(self, id: int, pattern: str, terms: Terms, max_bytes: int) -> None:
        super().__init__(id, pattern, terms.group, max(terms.max_unacked, 1 << 16), max_bytes, drop=False)
        self._drop_messages = self._drop_bytes = 1 << 62  # the window of unacknowledged messages is the bound
        self.stale_acks = 0
        self.answer_soon: Callable[[Work], None] = _nothing
        self.connection = 0  # counts them: which one brought a message
        self._terms = terms
        self._consumed = Ranges()
        self._returned: dict[int, Ranges] = {}  # by the delay, in ms

    def request(self, frame_bytes: int = 1 << 20) -> Consume:
        terms = self._terms
        timeout_ms = None if terms.ack_timeout is None else max(1, round(terms.ack_timeout * 1000))
        return Consume(self.id, self.pattern, terms.group, terms.max_unacked, timeout_ms, terms.attempts)

    def disconnected(self) -> None:
        """What was not handed out yet comes again, to whomever; the gaps were said to this one only."""
        super().disconnected()
        self.connection += 1
        gaps = [item for item in self.take() if isinstance(item, Gap)]
        for gap in gaps:
            self.lost -= gap.count or 0
            self._add_gap(gap)
        self.stale_acks += sum(ranges.count for ranges in (self._consumed, *self._returned.values()))
        self._consumed, self._returned = Ranges(), {}

    def add(self, section: Section, stamp: int) -> None:
        self._keep(Handed(section, self))

    # What the application does with them.

    def ack(self, messages: Sequence[Handout]) -> None:
        """These are done. Raises TickwireError where the consumer is closed: they went back with it."""
        self._check_open()
        for message in messages:
            message.settled = True
            if self._is_fresh(message):
                self._consumed.add(message.topic, message.offset)
        self.answer_soon(self)

    def nack(self, message: Handout, delay: float) -> None:
        """Have it handed out again, after so many seconds. Raises as `ack` does."""
        if not isinstance(delay, (int, float)) or not 0.0 <= delay <= 1e9:
            raise ValueError(f"delay is a number of seconds from 0 on, not {delay!r}")
        self._check_open()
        message.settled = True
        if self._is_fresh(message):
            self._returned.setdefault(round(delay * 1000), Ranges()).add(message.topic, message.offset)
        self.answer_soon(self)

    def left(self, kind: type[BaseException] | None, in_hand: Iterable[Handout]) -> None:
        """The application leaves, having these in hand. Where an error made it, the first not settled is given back.

        The others are not to blame: who works on a list message by message had not come to them.
        """
        if self.ended or kind is None or not issubclass(kind, Exception):
            return
        for message in in_hand:
            if not getattr(message, "settled", False):
                self.nack(message, 0.0)
                return

    def answers(self) -> Iterator[bytes]:
        """The frames that say what was done."""
        consumed, self._consumed = self._consumed, Ranges()
        returned, self._returned = self._returned, {}
        for part in consumed.parts():
            yield encode(Consumed(self.id, part))
        for delay_ms, ranges in returned.items():
            for part in ranges.parts():
                yield encode(Returned(self.id, part, delay_ms or None))

    def _check_open(self) -> None:
        if self.ended:
            text = (
                f"the consumer of group {self.group!r} is closed: what it had not acknowledged went back to the group"
            )
            raise self.error or TickwireError(text)

    def _is_fresh(self, message: Handout) -> bool:
        section = message.handed
        if section.connection == self.connection and not self.ended:
            return True
        self.stale_acks += 1
        return False


class Handed(Section):
    """A section of a consumer: it knows whose, and which connection brought it."""

    __slots__ = ("connection", "work")

    def __init__(self, section: Section, work: Work) -> None:
        super().__init__(
            *(section.topic, section.epoch, section.first, section.time_us, section.payloads, section.format),
            section.attempt,
        )
        self.work, self.connection = work, work.connection

    def messages(self) -> Sequence[Delivered]:
        return list(map(Delivered, repeat(self), range(len(self.payloads))))


class Handout(Message):
    """A message of such a section."""

    __slots__ = ("settled",)
    settled: bool  # it was acknowledged or given back; not there before

    @property
    def handed(self) -> Handed:
        assert isinstance(self._section, Handed)
        return self._section


class Delivered(Handout):
    """A message that was handed to a consumer, which says when it is done with it."""

    __slots__ = ()

    async def ack(self) -> None:
        """It is done: nobody of the group gets it again.

        Returns when that is on its way, with the others of this turn of the loop; `await client.flush()` waits until
        the broker has noted it. Where the connection goes first, the message is handed out once more.
        """
        self.handed.work.ack((self,))

    async def nack(self, delay: float = 0.0) -> None:
        """Give it back, to be handed out again after so many seconds, perhaps to another member of the group.

        After the last of the consumer's attempts it goes to the topic `$dead.<group>` instead.
        """
        self.handed.work.nack(self, delay)


def _nothing(work: Work) -> None:
    pass
