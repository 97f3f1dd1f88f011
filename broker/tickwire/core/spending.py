"""How fast a session may ask: what it asks for is counted, and refused where it is far too much."""

from __future__ import annotations

from tickwire.fanout.peer import Peer
from tickwire.wire.encode import encode
from tickwire.wire.errors import Refused
from tickwire.wire.messages import Consume, Publish, Refusal, Subscribe

from .engine import Engine
from .publishing import Publishing
from .rates import Tab
from .rights import ANYBODY, Identity


class Spending:
    """What a session has asked for, on a tab. There is none where nothing is counted."""

    __slots__ = ("_counts", "_engine", "_publishing", "_subscribed", "_tab", "identity", "peer")

    def __init__(self, engine: Engine, peer: Peer) -> None:
        self.peer = peer
        self.identity: Identity = ANYBODY  # until it is known
        self._engine = engine
        self._publishing = Publishing(engine, peer)
        self._tab: Tab | None = None  # where there are rates
        self._counts = False  # whether publishes count too
        self._subscribed = 0  # what it has subscribed to, ever

    def go_on(self, now: float) -> None:
        """Time has passed: what was asked for may be paid for by now."""
        tab = self._tab
        if tab is not None and tab.owes_until is not None and tab.owes_until <= now:
            tab.owes_until = None

    def _turns_away(self, now: float) -> bool:
        """Whether it has asked for so much that it is not even made to wait."""
        return self._tab is not None and self._tab.refuses(now)

    def _affords(self, publish: Publish, frame: bytes, now: float) -> bool:
        """Count a frame, or refuse it. Raises Goodbye where it does not stop asking."""
        tab, runs = self._tab, publish.runs
        assert tab is not None
        if tab.refuses_until is not None and tab.refuses(now):
            self._refuse(Publish.kind, publish.id, tab.refusal(now))
            return False
        messages = len(runs[0].payloads) if len(runs) == 1 else sum([len(run.payloads) for run in runs])
        tab.frames -= 1
        tab.bytes -= len(frame)
        tab.messages -= messages
        if tab.frames < 0 or tab.bytes < 0 or tab.messages < 0:
            refused = tab.pay(now, messages, len(frame))
            if refused is not None:
                self._refuse(Publish.kind, publish.id, refused)
                return False
        tab.turned_away = 0
        return True

    def _affords_other(self, kind: int | None, id: int | None, frame: bytes, now: float) -> bool:
        """The same of a frame that publishes nothing, or is none."""
        tab = self._tab
        assert tab is not None
        tab.frames -= 1
        tab.bytes -= len(frame)
        if tab.frames < 0 or tab.bytes < 0:
            refused = tab.pay(now, 0, len(frame))
            if refused is not None:
                self._refuse(kind, id, refused)
                return False
        return True

    def _take_counted(self, frames: list[bytes], now: float) -> int:
        """Take plain frames together where there is enough for all of them; else they are looked at one by one."""
        tab, publishing, count, size = self._tab, self._publishing, len(frames), sum(map(len, frames))
        assert tab is not None
        if not tab.takes(count, size):
            if tab.refuses(now):
                return 0
            tab.draw(now)
            if tab.owes_until is not None or not tab.takes(count, size):
                return 0
        taken = publishing.take_plain(frames, 0)
        if taken:
            tab.frames -= taken
            tab.bytes -= size if taken == count else sum(map(len, frames[:taken]))
            tab.messages -= publishing.messages
        return taken

    def _may_subscribe(self, message: Subscribe | Consume, now: float) -> bool:
        """The same of a subscription."""
        if self._turns_away(now):
            assert self._tab is not None
            self._refuse(message.kind, message.id, self._tab.refusal(now))
            return False
        self._subscribes(1, now)
        return True

    def _subscribes(self, count: int, now: float) -> None:
        if self._tab is None:
            self._tab = self._engine.tab_of(self.identity, now, self._subscribed, count)
        self._subscribed += count
        if self._tab is not None:
            self._tab.turned_away = 0
            self._tab.draw(now, count)

    def _refuse(self, kind: int | None, id: int | None, refused: Refused) -> None:
        self._engine.stats.refusals += 1
        if self._engine.on_refusal is not None:
            self._engine.on_refusal(self, refused)
        refusal = Refusal(kind or 0, id, refused.code, refused.text, refused.details or None)
        self._engine.reply(self.peer, encode(refusal))
