"""The books of one group: a ledger for each of its topics, and what all of them come to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tickwire.core.store import GroupCursor
from tickwire.core.topic import Topic
from tickwire.wire.codes import FREED
from tickwire.wire.messages import Gap
from tickwire.wire.topics import matcher

from .blocks import BLOCK_BITS, DYING, READY, Open, Run
from .common import Common
from .errors import AckRefused, AckUnknown
from .ledger import FAULTS, Ledger
from .member import Member

DEAD = "$dead."
_LOOKS = 1_024  # topics looked at in one go, by a group that has just begun
_OWED = 256  # gaps that nobody was told of yet; beyond that one notice for the whole pattern says it


class Books:
    """`pending` are the ledgers that have something to hand out, `dying` those with something for the dead letters."""

    def __init__(self, group: str, pattern: str, live_from: int | None, common: Common) -> None:
        self.group, self.pattern = group, pattern
        self.ledgers: dict[str, Ledger] = {}
        self.lag = 0  # messages that are not settled
        # Ordered dicts: their first is found in constant time, however many were taken out before it.
        self.pending: OrderedDict[Ledger, None] = OrderedDict()
        self.dying: OrderedDict[Ledger, None] = OrderedDict()
        self.owed: list[Gap] = []
        self._live_from = live_from
        self._matches = matcher(pattern).fullmatch
        self._common = common
        self._scan: Iterator[Topic] | None = None
        self._resumes = False  # from what was stored, and has not looked at all topics yet
        self._rows: dict[str, GroupCursor] = {}  # where it stood in topics that it has not looked at yet

    # Topics.

    def begin(self, rows: Sequence[GroupCursor] | None = None) -> None:
        """Look for the topics there are; the rows say where it stood when the broker went, if it did."""
        self._resumes = rows is not None
        self._rows = {row.topic: row for row in rows or ()}
        self._scan = iter(list(self._common.topics.values()))

    @property
    def looking(self) -> bool:
        return self._scan is not None

    def look(self) -> None:
        """Go on looking, for a bounded number of topics."""
        if self._scan is None:
            return
        for looked, topic in enumerate(self._scan, 1):
            if self._common.topics.get(topic.name) is topic:
                self.meet(topic)
            if looked == _LOOKS:
                return
        self._scan, self._rows, self._resumes = None, {}, False

    def meet(self, topic: Topic) -> Ledger | None:
        """The ledger of a topic, made where it matches and there is none."""
        ledger = self.ledgers.get(topic.name)
        if ledger is not None and ledger.log is topic.log:
            return ledger
        if not self._matches(topic.name):
            return None
        if ledger is not None:
            self._end(ledger)
        return self._open(topic)

    def grew(self, ledger: Ledger) -> None:
        """There are new messages."""
        end = ledger.log.end
        self.lag += end - ledger.end
        ledger.end = end
        self.pending[ledger] = None

    def freed(self, ledger: Ledger) -> bool:
        """The topic is there no more: the ledger ends, unless somebody is still at work on it."""
        if self.ledgers.get(ledger.topic) is not ledger:
            return True
        if any(open.held for open in ledger.opens):
            return False
        self._end(ledger)
        del self.ledgers[ledger.topic]
        return True

    def _open(self, topic: Topic) -> Ledger:
        log, row = topic.log, self._rows.pop(topic.name, None)
        ledger = self.ledgers[topic.name] = Ledger(
            log, self._beginning(topic), topic.durable and self._live_from is None
        )
        if row is not None:
            ledger.restore(row, topic.first)
        self.lag += ledger.end - ledger.next + sum([open.end - open.first for open in ledger.opens])
        self._common.changed(ledger, self.group)
        self.consider(ledger)
        return ledger

    def _beginning(self, topic: Topic) -> int:
        if self._live_from is not None:
            return topic.log.first_after(self._live_from)
        # The broker may have gone before the group's place in a topic was stored: better a gap too large than none.
        return topic.first if self._resumes else topic.log.oldest

    def _end(self, ledger: Ledger) -> None:
        for open in ledger.opens:
            self.lag -= open.end - open.first
            if not open.held:
                self.owe(ledger.topic, open.first, open.end, FREED)
            _release(open)
        if ledger.next < ledger.end:
            self.lag -= ledger.end - ledger.next
            self.owe(ledger.topic, ledger.next, ledger.end, FREED)
        self.pending.pop(ledger, None)
        self.dying.pop(ledger, None)
        self._common.ended(ledger)

    def owe(self, topic: str, first: int, end: int, reason: str) -> None:
        """Nobody gets these any more; the next member that can get anything is told."""
        last = self.owed[-1] if self.owed else None
        if last is not None and last.topic == self.pattern and last.end is None:
            return
        if last is not None and (last.topic, last.end, last.reason) == (topic, first, reason):
            last.end = end
        elif len(self.owed) < _OWED:
            self.owed.append(Gap(0, topic, first, end, reason))
        else:
            self.owed = [Gap(0, self.pattern, None, None, reason)]

    # What members say.

    def settle(self, ranges: list[tuple[str, int, int]], by: Member) -> None:
        """The member is done with these. Raises AckRefused for the first that it may not settle; the others count."""
        by.late = False
        self._each(ranges, by, self._settle)

    def give_back(self, ranges: list[tuple[str, int, int]], by: Member, due: float) -> None:
        """The member wants them handed out again then (READY: now). What nobody has any more has come back before."""
        by.late = False
        self._each(ranges, by, partial(self._return, by, due))

    def extend(self, ranges: list[tuple[str, int, int]], by: Member, now: float, waiting: bool) -> None:
        """The time of what the member has begins anew. Of what nobody has any more, the time is over."""
        by.late = by.late and waiting

        def extend(ledger: Ledger, mine: list[Open]) -> None:
            for open in mine:
                if open.run is not None and open.run.holder is by:
                    by.extend(open, now, waiting)

        self._each(ranges, by, extend, changes=False)

    def take_back(self, run: Run, ledger: Ledger, by: Member, counted: bool) -> int:
        """The member has the rest of the run no more; `counted` says whether it had its chance with it."""
        held = ledger.held_of(run)
        for open in held:
            self._come_back(ledger, open, by, open.attempts if counted else open.attempts - 1, READY)
        self.consider(ledger)
        if counted:
            self._common.changed(ledger, self.group)
        return len(held)

    def skip(self, ledger: Ledger, first: int, end: int) -> None:
        """These count as settled: they are gone, or handed out by a live group."""
        self.lag -= ledger.skip(first, end)
        self._common.changed(ledger, self.group)

    def condemn(self, ledger: Ledger, first: int, end: int) -> None:
        """These were handed out too often."""
        ledger.condemn(first, end)
        self.dying[ledger] = None

    def consider(self, ledger: Ledger) -> None:
        """It may have something to hand out."""
        if ledger.has_new or ledger.ready:
            self.pending[ledger] = None
        if ledger.dying:
            self.dying[ledger] = None

    def _each(
        self,
        ranges: list[tuple[str, int, int]],
        by: Member,
        act: Callable[[Ledger, list[Open]], None],
        changes: bool = True,
    ) -> None:
        refused: list[AckRefused] = []
        touched: dict[Ledger, None] = {}
        for topic, first, end in ranges:
            ledger = self.ledgers.get(topic)
            if ledger is None:
                refused.append(AckUnknown(topic, first))
            else:
                mine, fault = ledger.own(first, end, by)
                if mine:
                    act(ledger, mine)
                    touched[ledger] = None
                if fault is not None:
                    refused.append(fault)
            if len(refused) > FAULTS:
                break
        for ledger in touched if changes else ():
            self.consider(ledger)
            self._common.changed(ledger, self.group)
        if refused:
            raise refused[0]

    def _settle(self, ledger: Ledger, mine: list[Open]) -> None:
        for open in mine:
            _release(open)
            self.lag -= ledger.settle(open)

    def _return(self, by: Member, due: float, ledger: Ledger, mine: list[Open]) -> None:
        for open in mine:
            if open.run is not None and open.run.holder is by:
                self._come_back(ledger, open, by, open.attempts, due)
        if due != READY:
            for key in {open.first >> BLOCK_BITS for open in mine}:
                self._wake(ledger, key, due)

    def _come_back(self, ledger: Ledger, open: Open, by: Member, attempts: int, due: float) -> None:
        _release(open)
        ledger.give_back(open, attempts, due if attempts < by.attempts else DYING)

    def _wake(self, ledger: Ledger, key: int, due: float) -> None:
        """See to it that a block is looked at when something of it is due."""
        if ledger.alarms.get(key, DYING) > due:
            ledger.alarms[key] = due
            self._common.alarms.at(due, partial(self._look_at, ledger, key))

    def _look_at(self, ledger: Ledger, key: int, now: float) -> int:
        if ledger.alarms.get(key, DYING) > now:
            return 0  # an earlier alarm has seen to it
        del ledger.alarms[key]
        ledger.look_at(key)
        self.consider(ledger)
        due = ledger.next_due(key, now)
        if due is not None:
            self._wake(ledger, key, due)
        return len(ledger.opens.block(key)) // 16


def _release(open: Open) -> None:
    """Its holder has it no more."""
    if open.run is not None:
        holder = open.run.holder
        assert isinstance(holder, Member)
        holder.let_go(open.run, open.end - open.first)
        open.run = None
