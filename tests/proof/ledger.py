"""What was published and what became of it, and which message each position is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from .events import FinalMissed, FinalRead, Invoked, Refused, Sent, Stored, Unknown
from .verdict import Verdict

Key = tuple[str, int]


@dataclass(slots=True)
class Fate:
    """A message and its outcome."""

    topic: str
    digest: str
    acked: bool
    invoked_at: float
    outcome: str = "none"  # or "stored", "refused", "unknown"
    answered_at: float | None = None


@dataclass(slots=True)
class Place:
    """A position: the first message that was said to stand there, and by whom."""

    message: Sent
    receipt: bool = False
    seen: bool = False
    final: bool = False


@dataclass(slots=True)
class Held:
    """What the broker holds of a topic at the end."""

    epoch: int
    start: int
    end: int


@dataclass(slots=True)
class Ledger:
    verdict: Verdict
    durable: bool
    fates: dict[Key, Fate] = field(default_factory=dict)
    places: dict[str, dict[tuple[int, int], Place]] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)

    # What publishers say.

    def invoked(self, at: float, event: Invoked) -> None:
        message = event.message
        self.fates[message.publisher, message.number] = Fate(event.topic, message.digest, event.acked, at)
        self.verdict.figures.sent += 1

    def stored(self, at: float, event: Stored) -> None:
        self._answer(at, event.message, "stored")
        self._place(event.topic, event.epoch, event.offset, event.message).receipt = True
        self.verdict.figures.acks += 1

    def refused(self, at: float, event: Refused) -> None:
        self._answer(at, event.message, "refused")
        self.verdict.figures.refused[event.code] += 1

    def unknown(self, at: float, event: Unknown) -> None:
        self._answer(at, event.message, "unknown")
        self.verdict.figures.unknown += 1

    def _answer(self, at: float, message: Sent, outcome: str) -> None:
        fate = self.fates.get((message.publisher, message.number))
        if fate is not None:
            fate.outcome, fate.answered_at = outcome, at

    # What readers say.

    def seen(self, topic: str, epoch: int, first: int, messages: list[Sent]) -> None:
        for offset, message in enumerate(messages, first):
            self._place(topic, epoch, offset, message).seen = True

    def final_read(self, event: FinalRead) -> None:
        held = self.held.setdefault(event.topic, Held(event.epoch, event.first, event.first))
        if event.first != held.end:
            text = f"the final read of {event.topic} goes on at {event.first} after {held.end - 1}, and no gap was said"
            self.verdict.blame("consecutive", text)
        held.end = event.first + len(event.messages)
        for offset, message in enumerate(event.messages, event.first):
            self._place(event.topic, event.epoch, offset, message).final = True
        self.verdict.figures.final += len(event.messages)

    def final_missed(self, event: FinalMissed) -> None:
        held = self.held.get(event.topic)
        if held is not None and event.end is not None:
            held.end = event.end
        self.verdict.figures.gaps[f"{event.reason}, in the final read"] += 1

    def _place(self, topic: str, epoch: int, offset: int, message: Sent) -> Place:
        places = self.places.setdefault(topic, {})
        place = places.get((epoch, offset))
        if place is None:
            place = places[epoch, offset] = Place(message)
        elif place.message != message:
            text = f"{topic} {offset} of epoch {epoch} is {place.message} to one and {message} to another"
            self.verdict.blame("position", text)
        return place

    # The end.

    def decide(self) -> None:
        for topic, places in self.places.items():
            self._decide_topic(topic, sorted(places.items()))

    def _decide_topic(self, topic: str, places: list[tuple[tuple[int, int], Place]]) -> None:
        homes: dict[Key, str] = {}
        last: dict[tuple[int, str], int] = {}
        for (epoch, offset), place in places:
            message, where = place.message, f"{topic} {offset} of epoch {epoch}"
            self._decide_end(place, where, epoch, topic)
            self._decide_origin(place, where, topic)
            key = message.publisher, message.number
            if key in homes:
                self.verdict.blame("repeated", f"{message} stands at {homes[key]} and at {where}")
                continue
            homes[key] = where
            before = last.get((epoch, message.publisher), -1)
            if message.number < before:
                self.verdict.blame("reordered", f"{message} stands at {where}, behind #{before}")
            last[epoch, message.publisher] = max(before, message.number)

    def _decide_end(self, place: Place, where: str, epoch: int, topic: str) -> None:
        if place.final or not self._kept(topic, epoch):
            return
        if place.receipt:
            self.verdict.blame("lost", f"{place.message} was acknowledged at {where}, which is not held at the end")
        if place.seen:
            self.verdict.blame("vanished", f"{place.message} was read at {where}, which is not held at the end")

    def _kept(self, topic: str, epoch: int) -> bool:
        """Whether what stood in that epoch must be there at the end."""
        if self.durable:
            return True
        return epoch in {held.epoch for held in self.held.values()}

    def _decide_origin(self, place: Place, where: str, topic: str) -> None:
        if not (place.seen or place.final):
            return
        message = place.message
        fate = self.fates.get((message.publisher, message.number))
        if fate is None or (fate.topic, fate.digest) != (topic, message.digest):
            self.verdict.blame("unsent", f"{message} stands at {where}; nobody published that there")
        elif fate.outcome == "refused":
            self.verdict.blame("refused", f"{message} stands at {where}; its publisher was told that it was refused")

    def in_flight(self, kills: list[float]) -> Iterator[tuple[float, int]]:
        """Each time of a kill, and how many acknowledgments were awaited at it."""
        awaited = [fate for fate in self.fates.values() if fate.acked and fate.answered_at is not None]
        counts = dict.fromkeys(kills, 0)
        for fate in awaited:
            assert fate.answered_at is not None
            for kill in _between(kills, fate.invoked_at, fate.answered_at):
                counts[kill] += 1
        yield from counts.items()


def _between(times: list[float], low: float, high: float) -> list[float]:
    return times[bisect_right(times, low) : bisect_left(times, high)]
