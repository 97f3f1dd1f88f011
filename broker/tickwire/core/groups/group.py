"""One group: its members, and the deal that gives each its share."""

from __future__ import annotations

from collections import deque

from tickwire.core.holdings import Holding
from tickwire.fanout.peer import Peer
from tickwire.wire import messages
from tickwire.wire.encode import pack
from tickwire.wire.errors import Refused
from tickwire.wire.messages import Gap

from .blocks import BLOCK
from .books import DEAD, Books
from .common import Common
from .dealing import Deal
from .ledger import Ledger, Stretch
from .member import Member
from .pages import Hole, Pages

_VISITS = 256  # ledgers that a deal hands out of
_TURNS = 16  # runs of one ledger, before the next has its turn
_HANDS = 256  # members that a deal asks whether they can get something
_RUNS_BACK = 256  # runs that are taken back in one go
_PAUSE = 1.0  # before a dead letter that was refused is tried again


class Group:
    """Deals messages to its members, each message to one of them, until it is settled.

    A live group begins behind the stamp `live_from`; what it has handed out is settled.
    """

    def __init__(self, name: str, pattern: str, live_from: int | None, serial: int, common: Common) -> None:
        self.holding: Holding | None = None  # of the subject that began it, where those are counted
        self.name, self.pattern, self.serial = name, pattern, serial
        self.live = live_from is not None
        self.over = False
        self.books = Books(name, pattern, live_from, common)
        self.members: dict[tuple[Peer, int], Member] = {}
        self._common = common
        self._turn: deque[Member] = deque()
        self._leaving: deque[tuple[Member, bool]] = deque()
        self._paused = False  # a dead letter was refused a moment ago

    def listing(self) -> messages.Group:
        unacked = sum([member.unacked for member in self.members.values()])
        return messages.Group(self.name, self.pattern, len(self.members), self.books.lag, unacked)

    # Members.

    def join(self, member: Member) -> None:
        self.members[member.peer, member.id] = member
        self._turn.append(member)

    def leave(self, member: Member, counted: bool) -> None:
        """What it has goes back; `counted` says whether it had its chance with it."""
        del self.members[member.peer, member.id]
        self._turn.remove(member)
        member.gone = True
        if member.runs:
            self._leaving.append((member, counted))
            self._take_back()

    def _take_back(self) -> None:
        """What those had who left, a bounded number of runs."""
        left = _RUNS_BACK
        while self._leaving and left > 0:
            member, counted = self._leaving[0]
            while member.runs and left > 0:
                run, ledger = next(iter(member.runs.items()))
                left -= 1 + self.books.take_back(run, ledger, member, counted) // 4
            if not member.runs:
                self._leaving.popleft()

    def _watch(self, member: Member) -> None:
        """Have an alarm for the first of a member's runs that it is to settle."""
        if not member.alarmed and member.runs:
            member.alarmed = True
            deadline = next(iter(member.runs)).deadline
            self._common.alarms.at(deadline, lambda now: self._time_out(member, now))

    def _time_out(self, member: Member, now: float) -> int:
        if member.gone:
            return 0
        work = 0
        while work < _RUNS_BACK and (run := member.overdue(now)) is not None:
            member.late = True
            work += 1 + self.books.take_back(run, member.runs[run], member, counted=not run.waiting) // 4
        member.alarmed = False
        self._watch(member)
        return work

    # The deal.

    def deal(self, deal: Deal, pages: Pages) -> None:
        """Hand out what members can get now, within the deal's bounds."""
        self.books.look()
        self._take_back()
        self._bury(deal)
        looked = [self._turn.popleft() for _ in range(min(_HANDS, len(self._turn)))]
        spared = self._spared()
        hands = deque([member for member in looked if member not in spared and deal.can_get(member)])
        served: dict[Member, None] = {}
        if hands and self.books.owed:
            self._tell_owed(hands[0], deal)
        pending = self.books.pending
        for _ in range(min(_VISITS, len(pending))):
            if not hands or deal.spent:
                break
            ledger = next(iter(pending))
            self._deal_from(ledger, hands, served, deal)
            if not ledger.has_new and not ledger.ready:
                del pending[ledger]
            else:
                pending.move_to_end(ledger, last=not pages.asked(ledger.log))
        # Who got something comes last the next time, the first of them first.
        self._turn.extendleft(reversed([member for member in looked if member not in served]))
        self._turn.extend(served)

    def _spared(self) -> set[Member]:
        """Those who hang, it seems: what came back from them is for the others, where there are any."""
        late = {member for member in self.members.values() if member.late}
        return late if len(late) < len(self.members) else set()

    @property
    def busy(self) -> bool:
        """Whether a next deal may have something to do, though nothing happens until then."""
        books = self.books
        if books.looking or self._leaving or (books.dying and not self._paused):
            return True
        if not (books.pending or books.owed):
            return False
        spared = self._spared()
        return any(member.room > 0 for member in self.members.values() if member not in spared)

    def _deal_from(self, ledger: Ledger, hands: deque[Member], served: dict[Member, None], deal: Deal) -> None:
        """Runs of one topic, to the members in turn, until it has no more for now."""
        share = -(-(ledger.end - ledger.next) // len(hands))  # so that the members share what is little
        for _ in range(_TURNS):
            if not hands or deal.spent or not self._deal_run(ledger, hands[0], share, deal):
                return
            member = hands.popleft()
            served.pop(member, None)
            served[member] = None
            if deal.can_get(member):
                hands.append(member)

    def _deal_run(self, ledger: Ledger, member: Member, share: int, deal: Deal) -> bool:
        """A run for a member. Returns whether it got one."""
        while not deal.spent and (stretch := self._next(ledger, member, share, deal.now)) is not None:
            first, end, attempts = stretch
            if attempts >= member.attempts:
                self.books.condemn(ledger, first, end)
                deal.spend(0)
                continue
            got = deal.gather(ledger.log, first, end, attempts + 1)
            if got is None:
                return False
            if isinstance(got, Hole):
                self._over_hole(ledger, stretch, got, member, deal)
                continue
            fragments, end, size = got
            if self.live:
                self.books.skip(ledger, first, end)
            else:
                ledger.hand_out(first, end, attempts + 1, member.take(ledger, first, end, deal.now))
                self._watch(member)
            deal.give(member, fragments, size)
            self._common.stats.redeliveries += end - first if attempts else 0
            return True
        return False

    def _next(self, ledger: Ledger, member: Member, share: int, now: float) -> Stretch | None:
        """What a member is to get of a topic: what came back first, then what is new, at most its share."""
        again = ledger.again(now)
        if again is not None:
            return Stretch(again.first, min(again.end, again.first + member.room), again.attempts)
        if not ledger.has_new:
            return None
        first = ledger.next
        return Stretch(first, min((first | (BLOCK - 1)) + 1, first + min(share, member.room)), 0)

    def _over_hole(self, ledger: Ledger, stretch: Stretch, hole: Hole, member: Member, deal: Deal) -> None:
        """What is not kept any more is settled, and the member is told instead of whoever would have got it."""
        first = stretch.first
        end = min(hole.end, ledger.end if first == ledger.next else stretch.end)
        self.books.skip(ledger, first, end)
        deal.tell(member, Gap(0, ledger.topic, first, end, hole.reason))

    def _tell_owed(self, member: Member, deal: Deal) -> None:
        for gap in self.books.owed:
            deal.tell(member, gap)
        self.books.owed = []

    # Dead letters.

    def _bury(self, deal: Deal) -> None:
        """Publish what was handed out too often to the group's dead letters, and settle it."""
        dying = self.books.dying
        for _ in range(min(_VISITS, len(dying))):
            if deal.spent or self._paused:
                return
            ledger = next(iter(dying))
            if self._bury_from(ledger, deal):
                del dying[ledger]
            else:
                dying.move_to_end(ledger)

    def _bury_from(self, ledger: Ledger, deal: Deal) -> bool:
        """Returns whether there is no more of this topic."""
        for _ in range(_TURNS):
            open = ledger.next_dying()
            if open is None:
                return True
            first, end = open.first, open.end
            if not ledger.topic.startswith(DEAD):  # a dead letter stays where it is, or letters would breed letters
                found = deal.payloads(ledger.log, first, end)
                if found is None:
                    return False
                if isinstance(found, Hole):
                    end = min(end, found.end)
                    self.books.owe(ledger.topic, first, end, found.reason)
                elif (end := self._publish(ledger, first, open.attempts, *found, deal)) == first:
                    return False
            self.books.skip(ledger, first, end)
            deal.spend(0)
        return False

    def _publish(
        self, ledger: Ledger, first: int, attempts: int, payloads: list[bytes], format: int, deal: Deal
    ) -> int:
        """Returns the offset behind the last that was published."""
        letters = [
            pack({"topic": ledger.topic, "offset": offset, "attempts": attempts, "payload": payload, "format": format})
            for offset, payload in enumerate(payloads, first)
        ]
        try:
            self._common.publish(DEAD + self.name, letters)
        except Refused:
            self._paused = True
            self._common.alarms.at(deal.now + _PAUSE, self._resume)
            return first
        self._common.stats.dead_letters += len(letters)
        deal.spend(sum(map(len, letters)), len(letters) // 8)
        return first + len(payloads)

    def _resume(self, now: float) -> int:
        self._paused = False
        return 1
