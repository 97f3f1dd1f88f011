"""Signs of life, and what happens without them: one timer for all connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from tickwire.core.errors import Goodbye
from tickwire.fanout.frame import PING, websocket_frame
from tickwire.wire.encode import encode
from tickwire.wire.messages import Beat, Mark

from ..configuration.settings import Settings
from ..pump import Pump
from .connection import Connection

_GRACE = 5.0  # seconds in which a message may come as slowly as it likes
_TICK, _SHORTEST_TICK = 1.0, 0.02  # seconds; less than the first only where a deadline is short


class Heartbeat:
    """Looks at every connection once a tick: deadlines, silence, and whether it is time for a beat.

    A beat goes out whether or not other things did: to note each write to each peer would cost more than 20 beats.
    """

    def __init__(
        self, pump: Pump, settings: Settings, connections: Iterable[Connection], also: Callable[[], None]
    ) -> None:
        """`also` is called once a tick."""
        self._pump, self._settings, self._connections, self._also = pump, settings, connections, also
        deadlines = (settings.hello_timeout, settings.beat_every, settings.reply_timeout)
        self._every = min(_TICK, max(_SHORTEST_TICK, min(deadlines) / 4))
        self._timer = asyncio.get_running_loop().call_later(self._every, self._tick)

    def stop(self) -> None:
        self._timer.cancel()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._tick)
        now = self._pump.now()
        self._pump.engine.tick(now)
        self._pump.look_after()  # consumers' timeouts and delays come due though nobody publishes
        if self._pump.engine.due:
            self._pump.wake()
        self._also()
        beat = self._beat()
        for connection in list(self._connections):
            goodbye = self._given_up(connection, now)
            if goodbye is not None:
                connection.dismiss(goodbye)
            elif now - connection.beat_at >= self._settings.beat_every:
                connection.beat_at = now
                connection.beat(beat)

    def _beat(self) -> bytes:
        """A beat, the stamp up to which a peer that is not behind has everything, and a ping."""
        beat, mark = Beat(time.time_ns() // 1000), Mark(self._pump.engine.stamp)
        return websocket_frame(encode(beat)) + websocket_frame(encode(mark)) + PING

    def _given_up(self, connection: Connection, now: float) -> Goodbye | None:
        settings = self._settings
        moves = _moves(connection, now)
        if moves or connection.heard:
            connection.heard, connection.heard_at = False, now
        if not connection.session.greeted and now - connection.opened_at > settings.hello_timeout:
            return Goodbye("hello_timeout", f"no HELLO came within {settings.hello_timeout:g} s")
        if now - connection.heard_at > settings.give_up_after:
            return Goodbye("heartbeat_timeout", f"nothing was heard for {settings.give_up_after:g} s")
        if (held := connection.begun(now)) is not None:
            seconds = now - connection.begun_at
            if seconds > _GRACE and held < settings.slowest_bytes * seconds:
                rate = settings.slowest_bytes
                text = f"a message is not whole after {seconds:.0f} s, and came at less than {rate} bytes a second"
                return Goodbye("too_slow", text)
        if _takes_too_little(connection, settings, now):
            rate, seconds = settings.slowest_bytes, settings.give_up_after
            text = f"what waits for it was taken at less than {rate} bytes a second for {seconds:g} s"
            return Goodbye("too_slow", text)
        if connection.clogged_at is not None and now - connection.clogged_at > settings.reply_timeout:
            limit, seconds = settings.reply_bytes, settings.reply_timeout
            return Goodbye("too_slow", f"more than {limit} bytes of replies waited for {seconds:g} s to be read")
        return None


def _moves(connection: Connection, now: float) -> bool:
    """Whether a peer that catches up has taken bytes since the last look: pings cannot reach it before they do."""
    peer, before = connection.peer, connection.stuck
    unsent = peer.unsent() if peer.behind or peer.trails else 0
    connection.stuck = unsent
    fed, peer.fed = peer.fed, False
    if fed or not unsent:  # it is fed only when it has taken what there was
        connection.taken, connection.taken_since = 0, now
    else:
        connection.taken += max(0, before - unsent)
    return unsent != before


def _takes_too_little(connection: Connection, settings: Settings, now: float) -> bool:
    """Whether a peer that is behind takes what waits for it at less than `slowest_bytes` a second."""
    seconds = now - connection.taken_since
    if seconds <= settings.give_up_after:
        return False
    if connection.taken < settings.slowest_bytes * seconds:
        return True
    connection.taken, connection.taken_since = 0, now
    return False
