"""What one group knows of one topic: what is settled, who has what, what came back. No clock, no messages."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from tickwire.core.store import GroupCursor
from tickwire.fanout.log import TopicLog

from .blocks import BLOCK, BLOCK_BITS, DYING, READY, Blocks, Holder, Open, Run
from .errors import AckForeign, AckFuture, AckRefused, AckRepeated, AckUnknown

OPENS = 65_536  # ranges of a topic that are not settled: nothing new is handed out beyond, which bounds the memory
FAULTS = 64  # in one range of an ack: whoever is that wrong is not listened to further


class Stretch(NamedTuple):
    """Messages that can be handed out together."""

    first: int
    end: int
    attempts: int  # the times they were handed out before


class Ledger:
    """Offsets below `cursor` are settled; from `next` on nothing was handed out; between is what `opens` does not hold.

    `end` is as far as messages are known.
    """

    __slots__ = ("alarms", "began", "dying", "end", "log", "next", "opens", "patience", "queued", "ready", "stored")

    def __init__(self, log: TopicLog, begin: int, stored: bool) -> None:
        self.log = log
        self.stored = stored  # whether it outlives the process
        self.began = self.next = begin
        self.end = log.end
        self.opens = Blocks()
        self.ready: list[int] = []  # a heap of the blocks where something may be handed out again
        self.queued: set[int] = set()  # the same blocks
        self.dying: dict[int, None] = {}  # the blocks where something was handed out too often
        self.alarms: dict[int, float] = {}  # of blocks where something comes back later: when to look
        self.patience = 0  # what it was passed over for being long to store

    @property
    def topic(self) -> str:
        return self.log.topic

    @property
    def cursor(self) -> int:
        """All before it is settled."""
        first = self.opens.first
        return self.next if first is None else first

    @property
    def has_new(self) -> bool:
        return self.next < self.end and self.opens.count < OPENS

    # Handing out.

    def again(self, now: float) -> Stretch | None:
        """The first messages that are to be handed out again, where there are any."""
        while self.ready:
            block = self.opens.block(self.ready[0])
            for index, open in enumerate(block):
                if open.run is None and open.due <= now:
                    return _stretch(block, index, now)
            self.queued.discard(heappop(self.ready))
        return None

    def hand_out(self, first: int, end: int, attempts: int, run: Run) -> None:
        """The holder of the run has them now, for the `attempts`th time. They stand in one block."""
        if first == self.next:
            self.opens.add(Open(first, end, attempts, run))
            self.next = end
        else:
            self.opens.replace(*self._exactly(first, end), Open(first, end, attempts, run))

    def skip(self, first: int, end: int) -> int:
        """They are settled though nobody had them; returns how many. They are new ones, or such as came back."""
        if first == self.next:
            self.next = end
            return end - first
        return sum([self.settle(open) for open in self._loose(first, end)])

    # What members say.

    def own(self, first: int, end: int, by: Holder) -> tuple[list[Open], AckRefused | None]:
        """What of [first, end) the member may settle or return, and why it may not do so with the first of the rest."""
        open = self.opens.at(first)
        if open is not None and end <= open.end and open.may_be_settled(by):
            return [self.opens.carve(open, first, end)], None  # as nearly all of them are
        mine: list[Open] = []
        faults: list[AckRefused] = []
        at, last = max(first, self.began), min(end, self.next)
        if first < self.began:
            faults.append(AckUnknown(self.topic, first))
        for open in self.opens.within(at, last) if at < last else ():
            stop = min(open.end, last)
            if open.first > at:
                faults.append(AckRepeated(self.topic, at))
            if open.may_be_settled(by):
                mine.append(self.opens.carve(open, first, end))
            else:
                faults.append(AckForeign(self.topic, max(at, open.first)))
            at = stop
            if len(faults) > FAULTS:
                return mine, faults[0]
        if at < last:
            faults.append(AckRepeated(self.topic, at))
        if end > self.next:
            faults.append(AckFuture(self.topic, max(first, self.next)))
        return mine, faults[0] if faults else None

    def settle(self, open: Open) -> int:
        """These are done with. Returns how many they are."""
        self.opens.remove(open)
        return open.end - open.first

    def give_back(self, open: Open, attempts: int, due: float) -> None:
        """Nobody has these any more. They are handed out again when they are due, or never where that is DYING."""
        open.run, open.attempts, open.due = None, attempts, due
        key = open.first >> BLOCK_BITS
        if due == DYING:
            self.dying[key] = None
        elif due == READY:
            self.look_at(key)
        self.opens.join(open)

    def held_of(self, run: Run) -> list[Open]:
        """What its holder still has of a run."""
        return [open for open in self.opens.within(run.first, run.end) if open.run is run]

    # What comes later.

    def look_at(self, key: int) -> None:
        """Something in a block may be handed out again."""
        if key not in self.queued:
            self.queued.add(key)
            heappush(self.ready, key)

    def next_due(self, key: int, now: float) -> float | None:
        """When the next of a block comes back, of those that have not yet."""
        dues = [open.due for open in self.opens.block(key) if open.run is None and now < open.due < DYING]
        return min(dues, default=None)

    def condemn(self, first: int, end: int) -> None:
        """They were handed out too often."""
        for open in self._loose(first, end):
            self.give_back(open, open.attempts, DYING)

    def next_dying(self) -> Open | None:
        """What was handed out too often, and is not in the dead letters yet."""
        while self.dying:
            key = next(iter(self.dying))
            for open in self.opens.block(key):
                if open.run is None and open.due == DYING:
                    return open
            del self.dying[key]
        return None

    # What the store keeps.

    def row(self, group: str) -> GroupCursor:
        """Where it stands: what is out now counts as never handed out, but for the times before."""
        settled: list[tuple[int, int]] = []
        attempts: list[tuple[int, int, int]] = []
        cursor = at = self.cursor
        for open in self.opens:
            if open.first > at:
                settled.append((at, open.first))
            at = open.end
            before = open.attempts if open.run is None else open.attempts - 1
            if before:
                _append(attempts, open.first, open.end, before)
        if at < self.next:
            settled.append((at, self.next))
        return GroupCursor(group, self.topic, cursor, settled, attempts)

    def restore(self, row: GroupCursor, oldest_ever: int) -> None:
        """Go on where the store says. What was out then is handed out again."""
        self.began = min(oldest_ever, row.cursor)
        stood = [(first, end, -1) for first, end in row.settled] + list(row.attempts)
        self.next = min(row.cursor, self.end)
        for first, end, attempts in sorted(stood):
            end = min(end, self.end)
            self._reopen(self.next, min(first, end), 0)
            if attempts > 0:
                self._reopen(max(first, self.next), end, attempts)
            self.next = max(self.next, end)

    def _reopen(self, first: int, end: int, attempts: int) -> None:
        while first < end:
            stop = min(end, (first | (BLOCK - 1)) + 1)
            self.opens.add(Open(first, stop, attempts))
            self.look_at(first >> BLOCK_BITS)
            self.next = first = stop

    def _exactly(self, first: int, end: int) -> tuple[int, int]:
        """See to it that open ranges begin at `first` and end at `end`."""
        for open in list(self.opens.within(first, end)):
            self.opens.carve(open, first, end)
        return first, end

    def _loose(self, first: int, end: int) -> list[Open]:
        """The open ranges of exactly [first, end) that nobody has."""
        return [self.opens.carve(open, first, end) for open in self.opens.within(first, end) if open.run is None]


def _stretch(block: Sequence[Open], index: int, now: float) -> Stretch:
    """What can be handed out together with a range: what follows it at once, and was handed out as often."""
    begin = block[index]
    end = begin.end
    for open in block[index + 1 :]:
        if open.first != end or open.run is not None or open.due > now or open.attempts != begin.attempts:
            break
        end = open.end
    return Stretch(begin.first, end, begin.attempts)


def _append(attempts: list[tuple[int, int, int]], first: int, end: int, times: int) -> None:
    if attempts and attempts[-1][1] == first and attempts[-1][2] == times:
        attempts[-1] = (attempts[-1][0], end, times)
    else:
        attempts.append((first, end, times))
