"""Whatever members do, and whenever the broker goes: each message is settled, with one member, back, or still ahead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import msgpack
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tickwire.core.groups.errors import AckRefused
from tickwire.core.groups.ledger import FAULTS, Ledger
from tickwire.wire.messages import Gap, Section

from .table import Range, Seat, Table, offsets_of

TOPICS = ("t.a", "t.b")
ATTEMPTS = 3
TIMEOUT = 30.0
Spot = tuple[str, int]


@dataclass
class Held:
    seat: Seat
    deadline: float
    waiting: bool = False  # it does not count when the time is over


class Consuming(RuleBasedStateMachine):
    """A model of one group, fed with what its members see."""

    @initialize()
    def begin(self) -> None:
        self.table = Table(durable=True)
        self.held: dict[Spot, Held] = {}
        self.settled: set[Spot] = set()
        self.seen: set[Spot] = set()
        self.returns: Counter[Spot] = Counter()  # the times each came back, those that count
        self.due: dict[Spot, float] = {}  # of what was returned with a delay
        self.saved: tuple[set[Spot], Counter[Spot]] = set(), Counter()
        self.letters = 0
        self.members: list[Seat] = []
        self.most: dict[Seat, int] = {}
        self.join(1_000, True)

    # What happens.

    @rule(topic=st.sampled_from(TOPICS), messages=st.integers(1, 600))
    def publish(self, topic: str, messages: int) -> None:
        self.table.count(topic, messages)
        self.deal()

    @precondition(lambda self: len(self.members) < 4)
    @rule(window=st.sampled_from([1, 5, 100, 1_000]), same=st.booleans())
    def join(self, window: int, same: bool) -> None:
        seat = self.table.seat().consume("t.*", max_unacked=window, attempts=ATTEMPTS)
        self.members.append(seat)
        self.most[seat] = window
        self.deal()

    @precondition(lambda self: self.members)
    @rule(data=st.data(), clean=st.booleans())
    def go(self, data: st.DataObject, clean: bool) -> None:
        seat = data.draw(st.sampled_from(self.members))
        self.members.remove(seat)
        self.release(lambda held: held.seat is seat, counted=not clean)
        if clean:
            seat.leave()
        else:
            seat.die()
        self.deal()

    @precondition(lambda self: self.members)
    @rule(
        data=st.data(), start=st.integers(0, 1_500), length=st.integers(1, 700), topic=st.sampled_from((*TOPICS, "x"))
    )
    def ack_anything(self, data: st.DataObject, start: int, length: int, topic: str) -> None:
        self.ack(data.draw(st.sampled_from(self.members)), self.heard(topic, start, start + length))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), length=st.integers(1, 20))
    def ack_some(self, data: st.DataObject, length: int) -> None:
        topic, offset = data.draw(st.sampled_from(sorted(self.held)))
        self.ack(self.held[topic, offset].seat, (topic, offset, offset + length))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def ack_all_of_one(self, data: st.DataObject) -> None:
        seat = data.draw(st.sampled_from(self.members))
        for topic, offset in [spot for spot, held in self.held.items() if held.seat is seat]:
            self.ack(seat, (topic, offset, offset + 1), deal=False)
        self.deal()

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        length=st.integers(1, 300),
        delay=st.sampled_from([None, 0, 1, 5_000, 100_000]),
        gone=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
    )
    def give_back(self, data: st.DataObject, length: int, delay: int | None, gone: float) -> None:
        topic, offset = data.draw(st.sampled_from(sorted(self.held)))
        seat = self.held[topic, offset].seat
        _, _, end = self.heard(topic, offset, offset + length)
        fault = self.expect(seat, (topic, offset, end))
        spots = {(topic, at) for at in range(offset, end)}
        for spot in self.release(lambda held: held.seat is seat, spots):
            self.due[spot] = self.table.now + (delay or 0) / 1_000
        if gone:
            self.evict(topic, gone)
        assert self.said(lambda: seat.nack((topic, offset, end), delay_ms=delay)) == fault
        self.deal()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), length=st.integers(1, 300), waiting=st.booleans())
    def extend(self, data: st.DataObject, length: int, waiting: bool) -> None:
        topic, offset = data.draw(st.sampled_from(sorted(self.held)))
        seat = self.held[topic, offset].seat
        _, _, end = self.heard(topic, offset, offset + length)
        fault = self.expect(seat, (topic, offset, end))
        assert self.said(lambda: seat.extend((topic, offset, end), waiting=waiting)) == fault
        for at in range(offset, end):
            held = self.held.get((topic, at))
            if held is not None and held.seat is seat:
                held.deadline, held.waiting = self.table.now + TIMEOUT, waiting
        self.deal()

    @precondition(lambda self: self.members)
    @rule(data=st.data(), window=st.sampled_from([1, 5, 100, 1_000]))
    def resize(self, data: st.DataObject, window: int) -> None:
        seat = data.draw(st.sampled_from(self.members))
        self.most[seat] = max(window, sum(held.seat is seat for held in self.held.values()))
        seat.resize(window)
        self.deal()

    @rule(seconds=st.sampled_from([0.1, 4.0, 20.0, 31.0]))
    def wait(self, seconds: float) -> None:
        now = self.table.now + seconds
        self.release(lambda held: held.deadline <= now and not held.waiting)
        self.release(lambda held: held.deadline <= now, counted=False)
        self.table.wait(seconds)
        self.deal()

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def open_or_close(self, data: st.DataObject) -> None:
        seat = data.draw(st.sampled_from(self.members))
        seat.writable = not seat.writable
        self.deal()

    @rule(topic=st.sampled_from(TOPICS), keep=st.integers(0, 500))
    def forget_in_memory(self, topic: str, keep: int) -> None:
        if topic in self.table.topics:
            self.table.drop_memory(topic, keep)

    @rule(topic=st.sampled_from(TOPICS), part=st.floats(0, 1))
    def evict(self, topic: str, part: float) -> None:
        if topic in self.table.topics:
            sections = self.table.stored[topic]
            self.table.evict(topic, sections[int(part * (len(sections) - 1))].first)

    @rule()
    def save(self) -> None:
        self.table.save()
        self.saved = self.settled | self.owed(), self.returns.copy()
        assert self.table.groups.changes() == ([], [])

    @rule()
    def restart(self) -> None:
        """What was not saved is forgotten: it comes again, and nothing else does."""
        self.held, self.members, self.seen, self.due = {}, [], set(), {}
        self.settled, self.returns = self.saved[0].copy(), self.saved[1].copy()
        known = bool(self.table.names)
        self.table.restart()
        self.deal()
        if not known:
            self.settled = {(topic, at) for topic in self.table.topics for at in range(self.oldest(topic))}
            self.saved = self.settled.copy(), Counter()
        self.join(1_000, False)

    # What is seen.

    def deal(self) -> None:
        self.table.deal()
        for seat in self.members:
            fresh: dict[str, int] = {}
            for message in seat.take():
                if isinstance(message, Gap):
                    self.missed(message)
                else:
                    for section in message.sections:
                        self.got(seat, section, fresh)
        for _, letter in self.table.letters[self.letters :]:
            self.buried(msgpack.unpackb(letter))
        self.letters = len(self.table.letters)

    def got(self, seat: Seat, section: Section, fresh: dict[str, int]) -> None:
        attempt = section.attempt or 1
        assert attempt <= ATTEMPTS
        for offset, payload in zip(offsets_of([section]), section.payloads, strict=True):
            spot = section.topic, offset
            assert payload == b"%d" % offset
            assert spot not in self.settled, "settled, and handed out"
            assert spot not in self.held, "with two members"
            assert attempt == self.returns[spot] + 1, "an attempt was forgotten, or counted twice"
            assert self.due.pop(spot, 0.0) <= self.table.now, "before it was due"
            if spot not in self.seen:
                assert offset > fresh.get(section.topic, -1), "out of order"
                fresh[section.topic] = offset
                self.seen.add(spot)
            self.held[spot] = Held(seat, self.table.now + TIMEOUT)

    def missed(self, gap: Gap) -> None:
        assert gap.start is not None
        assert gap.end is not None
        spots = {(gap.topic, offset) for offset in range(gap.start, gap.end)}
        assert not spots & self.held.keys(), "with a member, and said to be gone"
        assert gap.end <= self.oldest(gap.topic), "kept, and said to be gone"
        self.settled |= spots

    def buried(self, letter: dict[str, object]) -> None:
        spot = str(letter["topic"]), int(str(letter["offset"]))
        assert letter["payload"] == b"%d" % spot[1]
        assert letter["attempts"] == ATTEMPTS == self.returns[spot]
        assert spot not in self.held, "with a member, and buried"
        assert spot not in self.settled, "settled, and buried"
        self.settled.add(spot)

    # What is right.

    @invariant()
    def the_books_are_right(self) -> None:
        (group,) = self.table.groups._groups.values()
        settled = self.settled | self.owed()
        for topic in self.table.topics:
            ledger = group.books.ledgers[topic]
            loose = {offset for open in ledger.opens for offset in range(open.first, open.end)}
            done = {offset for offset in range(ledger.next) if offset not in loose}
            assert done == {offset for name, offset in settled if name == topic}
            assert ledger.cursor == next(at for at in range(ledger.end + 1) if at not in done)
            held = {at for open in ledger.opens if open.held for at in range(open.first, open.end)}
            assert held == {offset for name, offset in self.held if name == topic}
            assert ledger.opens.count == len(list(ledger.opens))
        assert group.books.lag == sum(topic.log.end for topic in self.table.topics.values()) - len(settled)
        for seat in self.members:
            member = group.members[seat.peer, 1]
            mine = sum(held.seat is seat for held in self.held.values())
            assert member.unacked == mine <= self.most[seat]
            assert mine == sum(run.left for run in member.runs)

    @invariant()
    def nothing_waits_for_nothing(self) -> None:
        """What can be handed out is with a member, or there is no member that could take it."""
        (group,) = self.table.groups._groups.values()
        members = [group.members[seat.peer, 1] for seat in self.members if seat.writable]
        if any(member.room > 0 and member not in group._spared() for member in members):
            for ledger in group.books.ledgers.values():
                assert ledger.next == ledger.end
                assert ledger.again(self.table.now) is None

    def owed(self) -> set[Spot]:
        """What is gone, and nobody could be told yet."""
        (group,) = self.table.groups._groups.values()
        return {(gap.topic, at) for gap in group.books.owed for at in range(gap.start or 0, gap.end or 0)}

    def oldest(self, topic: str) -> int:
        return self.table.topics[topic].log.oldest

    def release(
        self, which: Callable[[Held], bool], spots: set[Spot] | None = None, counted: bool = True
    ) -> list[Spot]:
        """Nobody has these any more."""
        released = [spot for spot, held in self.held.items() if which(held) and (spots is None or spot in spots)]
        for spot in released:
            del self.held[spot]
            self.returns[spot] += counted
        return released

    def ack(self, seat: Seat, range: Range, deal: bool = True) -> None:
        fault = self.expect(seat, range)
        topic, first, end = range
        ledger, owed = self.ledger(topic), self.owed()
        if ledger is not None:
            for spot in [(topic, at) for at in _numbers(first, min(end, ledger.next))]:
                if spot not in owed and (spot not in self.held or self.held[spot].seat is seat):
                    self.held.pop(spot, None)
                    self.settled.add(spot)
        assert self.said(lambda: seat.ack(range)) == fault
        if deal:
            self.deal()

    def expect(self, seat: Seat, range: Range) -> tuple[str, int] | None:
        """What an ack of that is answered, by the model."""
        topic, first, end = range
        ledger = self.ledger(topic)
        if ledger is None:
            return "ack_unknown", first
        settled = self.settled | self.owed()
        for at in _numbers(first, end):
            if at < ledger.began:
                return "ack_unknown", at
            if at >= ledger.next:
                return "ack_future", at
            if (topic, at) in settled:
                return "ack_repeated", at
            if (topic, at) in self.held and self.held[topic, at].seat is not seat:
                return "ack_foreign", at
        return None

    def heard(self, topic: str, start: int, end: int) -> Range:
        """The range, or its beginning where it may be wrong so often that a ledger does not hear it to its end."""
        ledger = self.ledger(topic)
        if ledger is not None and 2 * len(list(ledger.opens.within(start, end))) + 2 > FAULTS:
            end = min(end, start + FAULTS // 2)
        return topic, start, end

    def ledger(self, topic: str) -> Ledger | None:
        (group,) = self.table.groups._groups.values()
        return group.books.ledgers.get(topic)

    @staticmethod
    def said(act: Callable[[], None]) -> tuple[str, int] | None:
        try:
            act()
        except AckRefused as refused:
            return refused.code, refused.offset
        return None


_numbers = range  # where an argument has that name

TestConsuming = Consuming.TestCase
TestConsuming.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
