"""Who a session belongs to: the HELLO, tokens, and what becomes of it when its rights change."""

from __future__ import annotations

from collections.abc import Sequence

from tickwire.fanout.peer import Peer
from tickwire.wire.encode import encode
from tickwire.wire.errors import Refused
from tickwire.wire.limits import VERSION
from tickwire.wire.messages import Hello, Refresh, Refreshed, Subscribe, Welcome

from .engine import Engine
from .errors import AlreadyGreeted, Goodbye, OtherSubject, Unauthorized
from .holdings import Holding
from .host import NOBODY_ASKS, Host
from .identity import Publisher
from .narrowing import narrow
from .rights import Identity
from .spending import Spending

_NO_CONSUMERS: frozenset[int] = frozenset()  # shared: one of its own is 216 bytes a connection
_LATEST = 2**53 - 1  # microseconds: what a number of JavaScript can hold


class Admission(Spending):
    """A session as far as who it is. Where that takes time to find out, nothing else is acted on meanwhile."""

    __slots__ = ("_asks", "_consumers", "_holding", "client", "greeted", "host", "superseded")

    def __init__(self, engine: Engine, peer: Peer, host: Host | None = None) -> None:
        super().__init__(engine, peer)
        self.host = host or NOBODY_ASKS  # who is asked who it is
        self._asks: Hello | Refresh | None = None  # whose token is being looked at
        self._holding: Holding | None = None  # what its subject holds, where that is counted
        self._consumers = _NO_CONSUMERS  # the ids of its places in consumer groups
        self.greeted = False
        self.client: str | None = None  # what it says it is
        self.superseded = False  # the same publisher has come back over another connection

    def leave(self) -> None:
        """The connection is gone, or about to go. It may leave twice."""
        if (publisher := self._publishing.publisher) is not None and self._engine.sessions.get(publisher) is self:
            del self._engine.sessions[publisher]
        self._asks = None  # whoever it turns out to be has gone
        holding, self._holding = self._holding, None
        if holding is not None:
            holding.connections -= 1
        if self._tab is not None:
            self._engine.remember(self._tab)
        self._engine.leave(self.peer)

    def _hello(self, hello: Hello, now: float) -> None:
        if self.greeted:
            raise AlreadyGreeted
        if VERSION not in hello.versions:
            raise Goodbye("version_unsupported", f"this broker speaks version {VERSION}, not {hello.versions[:8]}")
        self._ask(hello, hello.token, now)

    def _refresh(self, refresh: Refresh, now: float) -> None:
        self._ask(refresh, refresh.token, now)

    def _ask(self, asks: Hello | Refresh, token: str | None, now: float) -> None:
        """Have a token looked at. Nothing else is acted on before that is done."""
        if self._asks is not None:
            raise Goodbye("hello_expected", "a token came while another was looked at")
        self._asks = asks
        try:
            identity = self.host.identify(token)
        except Unauthorized as error:
            self.reject(error)
            return
        if identity is not None:
            self.admit(identity, now)

    def reject(self, error: Unauthorized) -> None:
        """The token is no good. A connection that had one goes on with that; raises Goodbye where there was none."""
        asks, self._asks = self._asks, None
        if type(asks) is not Refresh:
            raise error
        self._refuse(Refresh.kind, asks.id, Refused(error.code, error.text))

    def admit(self, identity: Identity, now: float) -> None:
        """It is known who this is."""
        asks, self._asks = self._asks, None
        if isinstance(asks, Refresh):
            if identity.subject != self.identity.subject:
                self._refuse(Refresh.kind, asks.id, OtherSubject())
                return
            self.become(identity, now)
            self._engine.reply(self.peer, encode(Refreshed(asks.id, _ends(identity))))
        elif asks is not None:
            self._welcome(asks, identity, now)

    def welcomed(self, subscriptions: Sequence[Subscribe], now: float) -> None:
        """It is in; these came with the HELLO."""
        raise NotImplementedError

    def _welcome(self, hello: Hello, identity: Identity, now: float) -> None:
        engine = self._engine
        self.identity = identity  # for the record, if this is all of it
        holding = engine.holding_of(identity)
        if holding is not None:
            holding.connect()
            self._holding = self._publishing.holding = holding
        self.greeted, self.client = True, hello.client
        self.become(identity, now)
        if hello.publisher is not None:
            # A name is its subject's: another's publishes are neither dropped nor its connection taken over by it.
            name = hello.publisher if identity.subject is None else f"{identity.subject}\0{hello.publisher}"
            self._come_back((name, hello.incarnation or 0))
        capabilities = {"ack": engine.store.acknowledges, "server": engine.server}
        limits = engine.limits.for_welcome(identity.subject is not None)
        if holding is not None:
            limits |= holding.allowance.for_welcome()
        if (ends := _ends(identity)) is not None:
            limits["token_expires_us"] = ends
        engine.reply(self.peer, encode(Welcome(VERSION, engine.epoch, engine.stamp, limits, capabilities)))
        self.welcomed(hello.subscriptions, now)

    def become(self, identity: Identity, now: float) -> None:
        """Go on with what this one may do. Subscriptions that it does not reach any more are refused from here on."""
        before, self.identity = self.identity.rights, identity
        if self._tab is None:
            self._tab = self._engine.tab_of(identity, now)
            self._counts = self._tab is not None
        self.host.identified(identity)
        self._publishing.grant = identity.rights.publish
        if before.subscribe is not identity.rights.subscribe or before.consume is not identity.rights.consume:
            self._consumers = narrow(self._engine, self.peer, self._consumers, identity.rights, self._refuse, now)

    def _come_back(self, publisher: Publisher) -> None:
        """Of one publisher the newest connection counts: what still comes over an older one would come out of order."""
        sessions = self._engine.sessions
        older = sessions.get(publisher)
        if older is not None:
            older.superseded = True
        self._publishing.publisher = publisher
        sessions[publisher] = self


def _ends(identity: Identity) -> int | None:
    """When a token expires, in microseconds of Unix time."""
    return None if identity.expires_at is None else max(0, int(min(identity.expires_at * 1e6, _LATEST)))
