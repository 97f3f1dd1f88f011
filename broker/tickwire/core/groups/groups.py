"""All consumer groups, as the engine and the sessions see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tickwire.core.errors import UnknownConsumer
from tickwire.core.holdings import Holding
from tickwire.core.stats import Stats
from tickwire.core.store import GroupCursor, StoredGroup
from tickwire.core.topic import Topic
from tickwire.core.topics import Topics
from tickwire.fanout.peer import Peer
from tickwire.fanout.section import Cutter
from tickwire.fanout.shelves import Shelves
from tickwire.wire import messages
from tickwire.wire.errors import BadTopic
from tickwire.wire.messages import Consume, Consumed, Extended, Returned, Subscribe, Window
from tickwire.wire.topics import check_topic

from .blocks import READY
from .books import DEAD
from .common import Common, Publish
from .dealing import Deal
from .errors import BadGroup, GroupConflict, TooManyGroups
from .group import Group
from .ledger import Ledger
from .member import Member
from .pages import Pages

_WORK = 2_048  # ranges that a tick gives back: a few milliseconds
_ROUND = 4_000  # topics that a tick looks at, whether they are still there
_DELAY = 86_400.0  # the longest that messages stay away when they are returned
_SOON = 1.0  # what is due within it is waited for; ticks come often enough for the rest


@dataclass(slots=True)
class _Known:
    """Who consumes a topic, of the groups up to a serial number."""

    serial: int
    consumers: list[tuple[Group, Ledger]]


class Groups:
    """Members join and leave, topics grow, acks come in; `deal` hands out. Times are seconds of a steady clock."""

    def __init__(
        self,
        topics: Topics,
        shelves: Shelves,
        publish: Publish,
        stored: Sequence[StoredGroup] = (),
        limit: int = 1_000,
        stats: Stats | None = None,
    ) -> None:
        """`publish(topic, payloads)` takes messages of the broker's own: the dead letters."""
        self._topics, self._limit = topics, limit
        self._common = Common(topics, publish, stats or Stats())
        self._pages, self._cutter = Pages(shelves), Cutter()
        self._groups: dict[str, Group] = {}
        self._members: dict[Peer, dict[int, tuple[Group, Member]]] = {}
        self._serial = 0
        self._known: dict[Topic, _Known] = {}
        self._active: dict[Group, None] = {}  # those that may have something to do in a deal
        self._new: list[tuple[str, str]] = []  # that the store does not know
        self._round: Iterator[None] = iter(())
        self._now = 0.0
        for each in stored:
            self._begin(each.name, each.pattern, None).books.begin(each.cursors)

    def __len__(self) -> int:
        return len(self._groups)

    # Members.

    def join(self, peer: Peer, consume: Consume, stream: int, holding: Holding | None = None) -> None:
        """Make a connection a member of a group, which begins where there is none of that name.

        Raises BadGroup, GroupConflict where the group consumes something else, TooManyGroups, HoldsTooMany.
        """
        group = self._groups.get(consume.group)
        if group is None:
            self._check_new(consume.group, holding)
            group = self._begin(consume.group, consume.pattern, None, holding)
            group.books.begin()
            self._new.append((consume.group, consume.pattern))
        self._join(group, consume.pattern, False, Member(peer, consume.id, stream, consume))

    def join_live(
        self, peer: Peer, id: int, pattern: str, group: str, stream: int, holding: Holding | None = None
    ) -> None:
        """The same for a group that begins with what comes next, has no acks, and ends with its last member."""
        joined = self._groups.get(group)
        if joined is None:
            self._check_new(group, holding)
            joined = self._begin(group, pattern, self._topics.stamp, holding)
        self._join(joined, pattern, True, Member(peer, id, stream, None))

    def leave(self, peer: Peer, id: int) -> None:
        """The member wants no more. What it has goes back, and it does not count that it was handed out."""
        mine = self._members.get(peer, {})
        if id in mine:
            self._leave(*mine.pop(id), counted=False)
        if not mine:
            self._members.pop(peer, None)

    def leave_all(self, peer: Peer) -> None:
        """The connection is gone. What its members have goes back, and it counts as an attempt."""
        for group, member in self._members.pop(peer, {}).values():
            self._leave(group, member, counted=True)

    def membership(self, peer: Peer, id: int) -> tuple[int, str, bool]:
        """The kind of frame that made a connection a member, the group's pattern, and whether it is a live one."""
        group, _ = self._of(peer, id)
        return Subscribe.kind if group.live else Consume.kind, group.pattern, group.live

    def has(self, peer: Peer, id: int) -> bool:
        return id in self._members.get(peer, ())

    # What members say.

    def consumed(self, peer: Peer, message: Consumed) -> None:
        """Settle messages. Raises Refused for the first that is not the member's to settle; the others count."""
        group, member = self._of(peer, message.id)
        self._active[group] = None
        group.books.settle(message.ranges, member)

    def returned(self, peer: Peer, message: Returned, now: float) -> None:
        """Have messages handed out again, after the delay. Raises Refused as `consumed` does."""
        group, member = self._of(peer, message.id)
        self._active[group] = None
        delay = min((message.delay_ms or 0) / 1000, _DELAY)
        group.books.give_back(message.ranges, member, now + delay if delay else READY)

    def extended(self, peer: Peer, message: Extended, now: float) -> None:
        """Let the time of messages begin anew. Raises Refused as `consumed` does."""
        group, member = self._of(peer, message.id)
        self._active[group] = None  # one that was late may be handed something again
        group.books.extend(message.ranges, member, now, bool(message.waiting))

    def resized(self, peer: Peer, message: Window) -> None:
        """A member has so many messages at most from now on."""
        group, member = self._of(peer, message.id)
        self._active[group] = None
        member.resize(message.max_unacked)

    # Topics.

    def created(self, topic: Topic) -> None:
        """There is a new topic."""
        self.moved(topic)

    def moved(self, topic: Topic) -> None:
        """A topic has new messages in its log."""
        known = self._known.get(topic)
        if known is None or known.serial != self._serial:
            known = self._meet(topic, known)
        for group, ledger in known.consumers:
            group.books.grew(ledger)
            self._active[group] = None

    # What timers ask for.

    def deal(self, now: float, writable: Callable[[Peer], bool]) -> bool:
        """Hand out what can be, a bounded part of it. Returns whether anything was written."""
        self._now = now
        due = self._common.alarms.next
        if due is not None and due <= now:
            self._ring(now)
        if not self._active:
            return False
        self._pages.turn()
        deal = Deal(now, writable, self._pages, self._cutter)
        for group in list(self._active):
            if deal.spent:
                break
            del self._active[group]
            group.deal(deal, self._pages)
            if group.busy:
                self._active[group] = None  # behind the others
        deal.write()
        return deal.wrote

    def tick(self, now: float) -> None:
        """Take back what was not settled in time, let come back what is due, end what was freed: a part of it."""
        self._now = now
        self._ring(now)
        self._go_round()

    @property
    def waiting(self) -> bool:
        """Whether a deal may have something to do soon, though nothing happens until then."""
        due = self._common.alarms.next
        return bool(self._active) or (due is not None and due <= self._now + _SOON)

    # What the store and the operator ask for.

    def changes(self) -> tuple[list[tuple[str, str]], list[GroupCursor]]:
        """Groups that are new, and where groups stand that moved: since the last time, each once."""
        new, self._new = self._new, []
        return new, self._common.rows()

    @property
    def unsaved(self) -> bool:
        """Whether `changes` has something."""
        return bool(self._new) or self._common.unsaved

    def listing(self, may_see: Callable[[str], bool] = lambda pattern: True) -> list[messages.Group]:
        """Those whose pattern somebody may see."""
        return [group.listing() for group in self._groups.values() if may_see(group.pattern)]

    def _of(self, peer: Peer, id: int) -> tuple[Group, Member]:
        try:
            return self._members[peer][id]
        except KeyError:
            raise UnknownConsumer(id) from None

    def _check_new(self, group: str, holding: Holding | None) -> None:
        try:
            check_topic(DEAD + group)
        except BadTopic:
            raise BadGroup(group) from None
        if "." in group:
            raise BadGroup(group)
        if len(self._groups) >= self._limit:
            raise TooManyGroups(self._limit)
        if holding is not None:
            holding.check_group()

    def _begin(self, name: str, pattern: str, live_from: int | None, holding: Holding | None = None) -> Group:
        self._serial += 1
        group = self._groups[name] = Group(name, pattern, live_from, self._serial, self._common)
        if holding is not None:
            group.holding = holding
            holding.groups += 1
        self._active[group] = None
        return group

    def _join(self, group: Group, pattern: str, live: bool, member: Member) -> None:
        if group.pattern != pattern or group.live != live:
            raise GroupConflict(group.name, group.pattern, group.live)
        group.join(member)
        self._members.setdefault(member.peer, {})[member.id] = group, member
        self._active[group] = None

    def _leave(self, group: Group, member: Member, counted: bool) -> None:
        group.leave(member, counted)
        self._active[group] = None
        if group.live and not group.members:
            self._serial += 1  # what is known of topics is looked up anew, and this is not found
            group.over = True
            del self._groups[group.name]
            if group.holding is not None:
                group.holding.groups -= 1
            del self._active[group]

    def _meet(self, topic: Topic, known: _Known | None) -> _Known:
        """Who consumes a topic: of those that were known, who is still there; and of the groups that are newer."""
        consumers = [each for each in known.consumers if not each[0].over] if known is not None else []
        seen = known.serial if known is not None else 0
        for group in reversed(self._groups.values()):
            if group.serial <= seen:
                break
            ledger = group.books.meet(topic)
            if ledger is not None:
                consumers.append((group, ledger))
        known = self._known[topic] = _Known(self._serial, consumers)
        return known

    def _ring(self, now: float) -> None:
        """Alarms make ledgers pending; every group that has one may have something to do."""
        self._common.alarms.ring(now, _WORK)
        for group in self._groups.values():
            if group.books.pending or group.books.dying:
                self._active[group] = None

    def _go_round(self) -> None:
        """Look at the next of all topics, whether they are still there."""
        looked = sum([1 for _ in islice(self._round, _ROUND)])
        if looked < _ROUND:
            self._round = self._all_around()

    def _all_around(self) -> Iterator[None]:
        """Forget topics that were freed, one look a step."""
        for group in list(self._groups.values()):
            for ledger in list(group.books.ledgers.values()):
                topic = self._topics.get(ledger.topic)
                if (topic is None or topic.log is not ledger.log) and group.books.freed(ledger):
                    self._active[group] = None
                yield
        for topic in list(self._known):
            if self._topics.get(topic.name) is not topic:
                del self._known[topic]
            yield
