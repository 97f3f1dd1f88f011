"""Where one subscription stands in each topic: whether what came next is what had to come next."""

from __future__ import annotations

from dataclasses import dataclass, field

from tickwire.wire.topics import matches

from .events import Delivered, Missed, Opened
from .ledger import Held
from .verdict import Verdict


@dataclass(slots=True)
class Trail:
    """The path of a reader. Blames `resume` for what first goes wrong after a reconnection, else `consecutive`."""

    verdict: Verdict
    opened: Opened
    complete: bool = False
    epoch: int | None = None
    announced: bool = True
    from_start: bool = False
    next: dict[str, int] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    resumed: set[str] = field(default_factory=set)  # topics of which nothing has come since the last connection
    vague: bool = False  # a gap said that something is missing, but not what

    def __post_init__(self) -> None:
        since = self.opened.since
        self.from_start = since == "earliest"
        if isinstance(since, list):
            topic = self.opened.pattern
            self.epoch, self.next[topic] = since
            self.announced = False
            self.resumed.add(topic)

    def connected(self) -> None:
        self.resumed = set(self.next)

    def delivered(self, event: Delivered) -> None:
        self._enter(event.epoch)
        topic, first = event.topic, event.first
        expected = self.next.get(topic)
        if expected is None:
            self.began.setdefault(topic, first)
        elif first != expected:
            self._blame(topic, f"got {topic} {first} where {expected} had to come")
        self.next[topic] = first + len(event.messages)
        self.resumed.discard(topic)

    def missed(self, event: Missed) -> None:
        if event.reason == "epoch":
            self.announced, self.from_start = True, True
            self.next.clear()
            self.began.clear()
        elif event.start is None or event.end is None:
            self.vague = True
            self._forget(event.topic)
        else:
            self._skip(event.topic, event.start, event.end)

    def _skip(self, topic: str, start: int, end: int) -> None:
        expected = self.next.get(topic)
        if expected is None:
            self.began.setdefault(topic, start)
        elif start != expected:
            self._blame(topic, f"was told that {topic} misses {start} to {end - 1} where {expected} had to come")
        self.next[topic] = end
        self.resumed.discard(topic)

    def _forget(self, which: str) -> None:
        for topic in [topic for topic in self.next if matches(which, topic)]:
            del self.next[topic]

    def _enter(self, epoch: int) -> None:
        if self.epoch is not None and epoch != self.epoch and not self.announced:
            text = f"{self.opened.reader} went from epoch {self.epoch} to {epoch} without a word"
            self.verdict.blame("epoch", text)
            self.next.clear()
            self.began.clear()
        self.epoch, self.announced = epoch, False

    def decide(self, held: dict[str, Held]) -> None:
        """It must have come to the end of what the broker holds, and have begun where it wanted to."""
        if self.complete and not self.vague:
            for topic, end in held.items():
                if matches(self.opened.pattern, topic):
                    self._decide_topic(topic, end)

    def _decide_topic(self, topic: str, held: Held) -> None:
        began = self.began.get(topic)
        if began is None and topic not in self.next:
            if self.from_start and held.end > held.start:
                self._blame(topic, f"got nothing of {topic}")
            return
        if self.next[topic] < held.end:
            self._blame(topic, f"ended at {topic} {self.next[topic] - 1}, while {held.end - 1} is the last")
        if self.from_start and began is not None and began > held.start:
            self._blame(topic, f"began at {topic} {began}, while {held.start} is the first")

    def _blame(self, topic: str, text: str) -> None:
        self.verdict.blame("resume" if topic in self.resumed else "consecutive", f"{self.opened.reader} {text}")
