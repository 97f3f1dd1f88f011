"""A member of a group, and when things are to be looked at again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from tickwire.fanout.peer import Peer
from tickwire.wire.messages import Consume

from .blocks import Open, Run
from .ledger import Ledger

WINDOW = 65_536  # messages that one member has at most, whatever it asks for
_FOREVER = 1 << 53
_ACK_TIMEOUT_MS = 30_000  # where it says none
_ATTEMPTS = 5


class Member:
    """One consumer of one connection. `unacked` of its messages are not settled."""

    __slots__ = (
        *("ack_timeout", "alarmed", "attempts", "gone", "id", "late", "max_unacked", "peer", "runs", "stream"),
        "unacked",
    )

    def __init__(self, peer: Peer, id: int, stream: int, consume: Consume | None) -> None:
        """Without a Consume it is a member of a live group: what it was handed is settled."""
        self.peer, self.id, self.stream = peer, id, stream
        self.unacked = 0
        self.gone = False
        self.late = False  # it has let the time of a message run out, and said nothing of any since
        self.alarmed = False  # its ack timeouts will be looked at
        # In the order of their deadlines. Ordered, so that the first is found at once, however many went before it.
        self.runs: OrderedDict[Run, Ledger] = OrderedDict()
        self.max_unacked, self.ack_timeout, self.attempts = WINDOW, 0.0, _FOREVER
        if consume is not None:
            self.resize(consume.max_unacked)
            self.ack_timeout = (consume.ack_timeout_ms or _ACK_TIMEOUT_MS) / 1000
            self.attempts = consume.attempts or _ATTEMPTS

    @property
    def room(self) -> int:
        """How many more messages it takes."""
        return self.max_unacked - self.unacked

    def resize(self, max_unacked: int) -> None:
        """It wants so many from now on; what it has above that stays with it."""
        self.max_unacked = min(max_unacked, WINDOW)

    def take(self, ledger: Ledger, first: int, end: int, now: float) -> Run:
        """It gets these messages."""
        run = Run(self, first, end, now + self.ack_timeout, end - first)
        self.runs[run] = ledger
        self.unacked += run.left
        return run

    def let_go(self, run: Run, messages: int) -> None:
        """So many of a run's messages are settled, or not its own any more."""
        self.unacked -= messages
        run.left -= messages
        if not run.left:
            del self.runs[run]

    def extend(self, open: Open, now: float, waiting: bool) -> None:
        """The time of messages that it has begins anew."""
        run = open.run
        assert run is not None
        ledger, messages = self.runs[run], open.end - open.first
        self.let_go(run, messages)
        open.run = Run(self, open.first, open.end, now + self.ack_timeout, messages, waiting)
        self.runs[open.run] = ledger
        self.unacked += messages

    def overdue(self, now: float) -> Run | None:
        """The run that it should have settled by now, where there is one."""
        run = next(iter(self.runs), None)
        return run if run is not None and run.deadline <= now else None


class Alarms:
    """What is to be done when. Each returns how much work it was, so that a tick can stop in time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[float], int]]] = []
        self._ties = count()

    def at(self, time: float, act: Callable[[float], int]) -> None:
        heappush(self._heap, (time, next(self._ties), act))

    @property
    def next(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def ring(self, now: float, work: int) -> None:
        """Do what is due, up to about that much work; the rest is due still."""
        while work > 0 and self._heap and self._heap[0][0] <= now:
            work -= 1 + heappop(self._heap)[2](now)
