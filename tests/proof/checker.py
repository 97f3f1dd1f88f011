"""One pass over all that the clients of a run wrote down: was the contract kept?"""

from __future__ import annotations

from collections.abc import Iterable

from . import events
from .events import Record
from .group import Group
from .ledger import Ledger
from .trail import Trail
from .verdict import Verdict


def check(files: Iterable[Iterable[Record]], durable: bool = True, soonest: float = 0.0) -> Verdict:
    """The verdict over the files of a run, in any order. A `durable` broker keeps its epoch and all it acknowledged.

    `soonest` is how many seconds after its start a broker may listen: who says before that that it is connected was so
    to the last one, and had to wait for the processor to say it.
    """
    checker = Checker(durable, soonest)
    for file in files:
        checker.begin_file()
        for at, event in file:
            checker.see(at, event)
    return checker.decide()


class Checker:
    def __init__(self, durable: bool = True, soonest: float = 0.0) -> None:
        self.verdict = Verdict()
        self._soonest = soonest
        self.ledger = Ledger(self.verdict, durable)
        self._trails: dict[str, Trail] = {}
        self._groups: dict[str, Group] = {}
        self._group_of: dict[str, Group] = {}
        self._lives: list[float] = []
        self._kills: list[float] = []
        self._dead: list[events.Dead] = []
        self.begin_file()

    def begin_file(self) -> None:
        """What comes next was written by another process."""
        self._connected_at: float | None = None
        self._here: list[Trail] = []  # the subscriptions of this process

    def see(self, at: float, event: events.Event) -> None:
        ledger = self.ledger
        match event:
            case events.Delivered():
                self._delivered(event)
            case events.Invoked():
                ledger.invoked(at, event)
            case events.Stored():
                ledger.stored(at, event)
            case events.Settled():
                self._group_of[event.reader].settle(event)
            case events.FinalRead():
                ledger.final_read(event)
            case events.Refused():
                ledger.refused(at, event)
            case events.Unknown():
                ledger.unknown(at, event)
            case events.Missed():
                self._missed(event)
            case events.FinalMissed():
                ledger.final_missed(event)
            case _:
                self._see_rare(at, event)

    def _see_rare(self, at: float, event: events.Event) -> None:
        match event:
            case events.Opened():
                self._opened(event)
            case events.Connected():
                self._connected(at)
            case events.Complete():
                if event.reader in self._trails:
                    self._trails[event.reader].complete = True
            case events.Dead():
                self._dead.append(event)
            case events.Started():
                self._lives.append(at)
            case events.Killed():
                self._kills.append(at)

    def decide(self) -> Verdict:
        self.ledger.decide()
        for trail in self._trails.values():
            trail.decide(self.ledger.held)
        for dead in self._dead:
            self._groups[dead.group].bury(dead)
        lives = sorted(at + self._soonest for at in self._lives)
        for group in self._groups.values():
            group.decide(self.ledger.held, lives)
        self._count_kills()
        return self.verdict

    def _opened(self, event: events.Opened) -> None:
        assert event.reader not in self._trails, f"two subscriptions are called {event.reader}"
        if event.group is not None:
            group = self._groups.setdefault(event.group, Group.of(self.verdict, event))
            self._group_of[event.reader] = group
            return
        trail = self._trails[event.reader] = Trail(self.verdict, event)
        self._here.append(trail)
        if isinstance(event.since, list):
            self.verdict.figures.resumes += 1

    def _connected(self, at: float) -> None:
        again = self._connected_at is not None
        self._connected_at = at
        if again:
            for trail in self._here:
                trail.connected()
                self.verdict.figures.resumes += 1

    def _delivered(self, event: events.Delivered) -> None:
        self.ledger.seen(event.topic, event.epoch, event.first, event.messages)
        self.verdict.figures.deliveries += len(event.messages)
        group = self._group_of.get(event.reader)
        if group is None:
            self._trails[event.reader].delivered(event)
        else:
            group.delivered(event, self._connected_at or 0.0)

    def _missed(self, event: events.Missed) -> None:
        self.verdict.figures.gaps[event.reason] += 1
        if event.reader in self._trails:
            self._trails[event.reader].missed(event)

    def _count_kills(self) -> None:
        figures = self.verdict.figures
        for _, count in self.ledger.in_flight(sorted(self._kills)):
            figures.kills += 1
            figures.in_flight += count
            figures.kills_in_flight += count > 0
