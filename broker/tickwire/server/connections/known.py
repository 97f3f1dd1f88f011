"""Who a connection belongs to: asked at the door, which may take time; and until when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from tickwire.core.errors import Goodbye, Unauthorized
from tickwire.core.rights import Identity
from tickwire.core.session import Session
from tickwire.fanout.peer import Peer

from .. import logs
from ..door.door import Visitor
from ..pump import Pump

log = logs.logger("tickwire.connection")

_LONGEST = 86_400.0  # seconds


class Known:
    """A connection as the host of its session: it says who is there, and ends what has expired."""

    __slots__ = ("_asking", "_expiry", "_pump", "_visitor", "peer", "session")

    def __init__(self, pump: Pump, visitor: Visitor, peer: Peer) -> None:
        self.peer = peer
        self.session = Session(pump.engine, peer, self)
        self._pump, self._visitor = pump, visitor
        self._asking: asyncio.Task[None] | None = None  # who it is, where that takes time to find out
        self._expiry: asyncio.TimerHandle | None = None

    def dismiss(self, goodbye: Goodbye) -> None:
        """End the connection."""
        raise NotImplementedError

    def resume(self) -> None:
        """Read on, if what was waited for has come."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """The client's, as far as it is known."""
        return self._visitor.address

    def identify(self, token: str | None) -> Identity | None:
        """What the session asks before it lets in whoever says HELLO."""
        answer = self._visitor.identify(token)
        if isinstance(answer, Identity):
            return answer
        self._asking = asyncio.ensure_future(self._answered(answer))
        return None

    async def _answered(self, answer: Awaitable[Identity]) -> None:
        """Go on once it is known. Nothing of it is read meanwhile."""
        session = self.session
        try:
            try:
                session.admit(await answer, self._pump.now())
            except Unauthorized as error:
                session.reject(error)
            except Goodbye:
                raise
            except Exception:
                log.error("could not find out who this is", peer=self.peer.id)
                session.reject(Unauthorized("the broker could not find out who this is"))
        except Goodbye as goodbye:
            self.dismiss(goodbye)
        self._asking = None
        if self._pump.engine.due:
            self._pump.wake()
        self.resume()

    def identified(self, identity: Identity) -> None:
        """It is known who this is, and until when."""
        self._visitor.entry.authenticate()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if identity.expires_at is not None:
            left = max(0.0, identity.expires_at - time.time())
            # A timer of years is more than a loop can count to.
            self._expiry = asyncio.get_running_loop().call_later(min(left, _LONGEST), self._expired, identity)

    def _expired(self, identity: Identity) -> None:
        if identity.expires_at is not None and identity.expires_at > time.time():
            self.identified(identity)
        else:
            self.dismiss(Goodbye("token_expired", "the token has expired, and no newer one came"))

    def become(self, identity: Identity) -> None:
        """Its rights have changed."""
        if self.session.greeted and identity is not self.session.identity:
            self.session.become(identity, self._pump.now())
            if self._pump.engine.due:
                self._pump.wake()

    def _forget(self) -> None:
        """It is over."""
        for pending in (self._asking, self._expiry):
            if pending is not None:
                pending.cancel()
