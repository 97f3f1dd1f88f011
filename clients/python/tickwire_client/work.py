"""What a member of a consumer group has to do: messages that are handed to it, and what it says of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TypeVar

from tickwire.wire.encode import encode
from tickwire.wire.messages import Consume, Consumed, Extended, Returned, Window

from .checks import check_count, check_name, check_seconds
from .errors import TickwireError
from .holding import Held, Holding
from .messages import Gap, Message, Section
from .pace import Pace
from .ranges import Ranges
from .share import Share

M = TypeVar("M", bound="Handout")


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

    `terms.max_unacked` is the most that it may have; how much it asks for is the matter of its pace. While the
    application goes on taking messages, the time of those that still wait begins anew by a `tick`.
    """

    def __init__(self, id: int, pattern: str, terms: Terms, max_bytes: int) -> None:
        super().__init__(id, pattern, terms.group, max(terms.max_unacked, 1 << 16), max_bytes, drop=False)
        self._drop_messages = self._drop_bytes = 1 << 62  # the window of unacknowledged messages is the bound
        self.stale_acks = 0
        self.answer_soon: Callable[[Work], None] = _nothing
        self.answer_lost: Callable[[], None] = lambda: None  # an acknowledgment came too late
        self.terms = terms
        self.pace = Pace(terms.max_unacked)
        self.holding = Holding()
        self._resized = False
        self._consumed, self._extended, self._waiting = Ranges(), Ranges(), Ranges()
        self._returned: dict[int, Ranges] = {}  # by the delay, in ms

    def request(self, frame_bytes: int = 1 << 20) -> Consume:
        terms = self.terms
        timeout_ms = None if terms.ack_timeout is None else max(1, round(terms.ack_timeout * 1000))
        return Consume(self.id, self.pattern, terms.group, self.pace.size, timeout_ms, terms.attempts)

    def disconnected(self) -> None:
        """What was not handed out yet comes again, to whomever; the gaps were said to this one only."""
        super().disconnected()
        self.holding.clear()
        gaps = [item for item in self.take() if isinstance(item, Gap)]
        for gap in gaps:
            self.lost -= gap.count or 0
            self._add_gap(gap)
        self._lose(sum(ranges.count for ranges in (self._consumed, *self._returned.values())))
        self._consumed, self._extended, self._waiting, self._returned = Ranges(), Ranges(), Ranges(), {}
        self._resized = False

    def add(self, section: Section, stamp: int) -> None:
        handed = Handed(section, self)
        self.holding.add(handed)
        self._keep(handed)

    # What the application does with them.

    def asked(self, now: float, patience: float) -> None:
        """It wants more; `pace.gave` is told what it gets. Seconds, of a steady clock."""
        if self.pace.asked(now, patience):
            self._resize()

    def starved(self) -> None:
        """It waits for more, and nothing is here."""
        if self.holding.open >= self.pace.size and self.pace.starved():
            self._resize()

    def took(self, section: Handed, end: int) -> bool:
        """It gets the messages of a section before that index. Returns False where another member has the last by now.

        Where the broker knows that they waited, it is told in this thread; else numbers are noted, and no more.
        """
        if section.lapsed:
            return False
        self.holding.idle = 0
        if end > section.seen:  # several threads may take from one consumer, and come here in another order
            if section.waited:
                self._extended.add_all(section.topic, section.first + section.seen, section.first + end)
                self.answer_soon(self)
            section.seen = end
        return True

    def took_all(self, messages: list[M]) -> list[M]:
        """It gets these, the rests of sections. Returns those that it may have."""
        at, kept = 0, messages
        while at < len(messages):
            section = messages[at].handed
            at += len(section) - messages[at]._index
            if not self.took(section, len(section)):
                kept = [message for message in kept if message.handed is not section]
        return kept

    def extend(self, message: Handout) -> None:
        """It is at work on a message still. Raises as `ack` does."""
        self._check_open()
        if self._is_fresh(message.handed):
            message.handed.age = self.holding.idle = 0
            self._extended.add(message.topic, message.offset)
            self.answer_soon(self)

    def tick(self, ticks: int = 1) -> None:
        """So many `holding.TICKS`ths of the ack timeout are over."""
        for section in self.holding.tick(ticks, idle=not self.pace.waiting):
            section.waited = True
            self._waiting.add_all(section.topic, section.first + section.seen, section.first + len(section))
        if self._waiting.count:
            self.answer_soon(self)
        if self.holding.stalled and self.pace.stalled():
            self._resize()

    def ack(self, messages: Sequence[Handout]) -> None:
        """These are done. Raises TickwireError where the consumer is closed: they went back with it."""
        self._check_open()
        for section, start, end, settled in _runs_of(messages):
            self.holding.settled(section, settled)
            if self._is_fresh(section, end - start):
                self._consumed.add_all(section.topic, section.first + start, section.first + end)
        self.answer_soon(self)

    def ack_one(self, message: Handout) -> None:
        """It is done: `ack` without looking for others, at a third of the cost."""
        if self.ended:
            self._check_open()
        section, holding = message.handed, self.holding
        if message.settle() and not section.lapsed:
            section.open -= 1
            holding.open -= 1
        if section.connection == holding.connection:
            self._consumed.add(section.topic, section.first + message._index)
        else:
            self._lose(1)
        self.answer_soon(self)

    def nack(self, message: Handout, delay: float) -> None:
        """Have it handed out again, after so many seconds. Raises as `ack` does."""
        if not isinstance(delay, (int, float)) or not 0.0 <= delay <= 1e9:
            raise ValueError(f"delay is a number of seconds from 0 on, not {delay!r}")
        self._check_open()
        section = message.handed
        self.holding.settled(section, message.settle())
        if self._is_fresh(section):
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
        consumed, extended, waiting = self._consumed, self._extended, self._waiting
        self._consumed, self._extended, self._waiting = Ranges(), Ranges(), Ranges()
        returned, self._returned = self._returned, {}
        if self._resized:
            self._resized = False
            yield encode(Window(self.id, self.pace.size))
        for part in waiting.parts():
            yield encode(Extended(self.id, part, True))
        for part in extended.parts():
            yield encode(Extended(self.id, part))
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

    def _resize(self) -> None:
        self._resized = True
        self.answer_soon(self)

    def _is_fresh(self, section: Handed, messages: int = 1) -> bool:
        if section.connection == self.holding.connection and not self.ended:
            return True
        self._lose(messages)
        return False

    def _lose(self, acks: int) -> None:
        self.stale_acks += acks
        if acks:
            self.answer_lost()


class Handed(Held):
    """A section of a consumer: it knows whose."""

    __slots__ = ("work",)

    def __init__(self, section: Section, work: Work) -> None:
        super().__init__(section, work.holding.connection)
        self.work = work

    def messages(self) -> Sequence[Delivered]:
        return [] if self.lapsed else list(map(Delivered, repeat(self), range(len(self.payloads))))


class Handout(Message):
    """A message of such a section."""

    __slots__ = ("settled",)
    settled: bool  # it was acknowledged or given back; not there before

    @property
    def handed(self) -> Handed:
        assert isinstance(self._section, Handed)
        return self._section

    def settle(self) -> bool:
        """It is settled. Returns whether it was not before."""
        if getattr(self, "settled", False):
            return False
        self.settled = True
        return True


class Delivered(Handout):
    """A message that was handed to a consumer, which says when it is done with it."""

    __slots__ = ()

    async def ack(self) -> None:
        """It is done: nobody of the group gets it again.

        Returns when that is on its way, with the others of this turn of the loop; `await client.flush()` waits until
        the broker has noted it. Where the connection goes first, the message is handed out once more.
        """
        self.handed.work.ack_one(self)

    async def nack(self, delay: float = 0.0) -> None:
        """Give it back, to be handed out again after so many seconds, perhaps to another member of the group.

        After the last of the consumer's attempts it goes to the topic `$dead.<group>` instead.
        """
        self.handed.work.nack(self, delay)

    async def in_progress(self) -> None:
        """The work on it goes on: its ack timeout begins anew."""
        self.handed.work.extend(self)


def _runs_of(messages: Sequence[Handout]) -> Iterator[tuple[Handed, int, int, int]]:
    """Those that stand together in a section: it, the first index and the one behind, and how many were open still.

    They are settled by it. Most acknowledgments are of such a run, which is then looked at once.
    """
    at, count = 0, len(messages)
    while at < count:
        section, start = messages[at].handed, messages[at]._index
        end, settled = start, 0
        while at < count and messages[at]._index == end and messages[at]._section is section:
            settled += messages[at].settle()
            at, end = at + 1, end + 1
        yield section, start, end, settled


def _nothing(work: Work) -> None:
    pass
