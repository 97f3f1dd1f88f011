"""A consumer group over its whole life: who was handed what, and what was acknowledged."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from tickwire.wire.topics import matches

from .events import Dead, Delivered, Opened, Settled
from .ledger import Held
from .verdict import Verdict

Position = tuple[str, int, int]  # topic, epoch, offset


@dataclass(frozen=True, slots=True)
class Handout:
    reader: str
    attempt: int
    connected_at: float  # when its client got the connection that it came on


@dataclass(slots=True)
class Group:
    """Attempts are counted while the broker lives: what it handed out before it was killed, nobody holds any more."""

    verdict: Verdict
    name: str
    pattern: str
    live: bool
    handouts: dict[Position, list[Handout]] = field(default_factory=dict)
    settled: set[Position] = field(default_factory=set)
    dead: set[tuple[str, int]] = field(default_factory=set)

    @classmethod
    def of(cls, verdict: Verdict, opened: Opened) -> Group:
        assert opened.group is not None
        return cls(verdict, opened.group, opened.pattern, opened.live)

    def delivered(self, event: Delivered, connected_at: float) -> None:
        for offset in range(event.first, event.first + len(event.messages)):
            handout = Handout(event.reader, event.attempt, connected_at)
            self.handouts.setdefault((event.topic, event.epoch, offset), []).append(handout)
        self.verdict.figures.handed_out += len(event.messages)
        if event.attempt > 1:
            self.verdict.figures.redeliveries += len(event.messages)

    def settle(self, event: Settled) -> None:
        self.settled.add((event.topic, event.epoch, event.offset))

    def bury(self, event: Dead) -> None:
        self.dead.add((event.topic, event.offset))

    def decide(self, held: dict[str, Held], lives: list[float]) -> None:
        """`lives` are the times from which on a client could be connected to the next broker."""
        for (topic, _, offset), handouts in self.handouts.items():
            if len(handouts) > 1:
                self._decide_handouts(f"{topic} {offset}", handouts, lives)
        if not self.live:
            for topic, end in held.items():
                if matches(self.pattern, topic):
                    self._decide_settled(topic, end)

    def _decide_handouts(self, where: str, handouts: list[Handout], lives: list[float]) -> None:
        had = {(bisect_right(lives, each.connected_at), each.attempt) for each in handouts}
        if self.live or len(had) < len(handouts):
            who = ", ".join(f"{handout.reader} (attempt {handout.attempt})" for handout in handouts)
            self.verdict.blame("shared", f"group {self.name} handed {where} to {who}")

    def _decide_settled(self, topic: str, held: Held) -> None:
        for offset in range(held.start, held.end):
            if (topic, held.epoch, offset) not in self.settled and (topic, offset) not in self.dead:
                self.verdict.blame("unconsumed", f"group {self.name} never acknowledged {topic} {offset}")
