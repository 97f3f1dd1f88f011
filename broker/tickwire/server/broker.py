"""The broker: one engine behind one WebSocket path, in an aiohttp application of its own or of somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import TYPE_CHECKING

from aiohttp import web

from tickwire import __version__
from tickwire.core.engine import Engine
from tickwire.core.errors import Goodbye, NoMemory, Unauthorized
from tickwire.core.session import Session
from tickwire.fanout.frame import Deflater
from tickwire.wire.errors import Refused

from . import examples, logs
from .audit import Audit
from .configuration.configured import limits_of, store_of
from .configuration.settings import SETTINGS, Settings, SettingsError
from .connections.connection import Connection
from .connections.heartbeat import Heartbeat
from .connections.listener import Listener
from .connections.websocket import CLOSE_TIMEOUT, Socket, socket_class
from .door.door import RELOADED, Door, Hook, Visitor
from .door.refusals import Stopping, UpgradeRefused
from .metrics import BrokerCollector, exposition
from .pump import Pump
from .storage import OK

if TYPE_CHECKING:
    from .connections.tls import Tls

log = logs.logger("tickwire.broker")

_AUDITED = {
    "forbidden",
    "rate_exceeded",
    "unauthorized",
    "token_expired",
    "token_revoked",
    "too_many_topics",
    "too_many_groups",
    "too_many_subscriptions",
}


class Broker:
    """A message broker. `mount` it into an application, use it as a server for a while with `serving`, or `run` it."""

    def __init__(self, settings: Settings | None = None, *, authenticate: Hook | None = None) -> None:
        """`authenticate(token, request)` says who somebody is, or None; it may be a coroutine function.

        Raises SettingsError where something that the settings name cannot be used.
        """
        if authenticate is not None and not callable(authenticate):
            raise TypeError(f"authenticate must be a function, not {type(authenticate).__name__}")
        self.settings = settings or Settings()
        self.refused_connections = 0
        self.failed = False  # the disk did, and the settings say that this is the end
        self._door = Door(self.settings, authenticate)
        self._audit = Audit(self.settings.audit_log)
        self.tls = _tls(self.settings)
        self._listener: Listener | None = None
        self._socket = socket_class(self.settings)
        self._connections: dict[Connection, None] = {}
        self._ids = count(1)
        self._pump: Pump | None = None
        self._heartbeat: Heartbeat | None = None
        self._stopping = False
        self._stop_running = asyncio.Event()
        self._one_left = asyncio.Event()
        self._complained = ""  # of what could not be read, the last time

    @property
    def engine(self) -> Engine:
        """What does the work, from the start on."""
        if self._pump is None:
            raise RuntimeError("this Broker has not been started")
        return self._pump.engine

    def mount(self, app: web.Application, path: str | None = None) -> None:
        """Serve the WebSocket on a path of an application, for as long as that runs."""
        app.router.add_get(path or self.settings.path, self._upgrade, allow_head=False)
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._say_goodbye)
        app.on_cleanup.append(self._stop)

    @contextlib.asynccontextmanager
    async def serving(self, host: str | None = None, port: int | None = None) -> AsyncIterator[str]:
        """Listen while the block runs; gives the URL. Port 0 picks a free one.

        Raises StoreError where the directory of the settings cannot be used, and OSError for a bad address.
        """
        settings = self.settings
        listener = self._listener = Listener(self._application(), settings, self._door, self._turned_away, self.tls)
        await listener.start(settings.host if host is None else host, settings.port if port is None else port)
        try:
            yield f"{'ws' if self.tls is None else 'wss'}://{listener.authority}{settings.path}"
        finally:
            await listener.stop()

    def revoke(self, *, subject: str | None = None, token: str | None = None) -> None:
        """End all connections of a subject, or of the token with that id (`jti`), and let none in any more.

        That lasts as long as this process; `auth_revoked` names a file for what is to last.
        """
        if subject is None and token is None:
            raise TypeError("revoke() needs a subject or a token's id (jti)")
        self._door.revoked.add(subject=subject, token=token)
        self._door.look_for_revoked()
        self._audit.record("revoked", subject=subject, token=token)
        self._end_revoked()

    def reload(self, settings: Settings) -> None:
        """Take over keys, rights and what was revoked from other settings, for those who are connected too; and for
        those who come, who may.

        Raises SettingsError, and then nothing has changed. What else is another setting now is in the log: it needs
        another start.
        """
        takes = [] if self.tls is None else [self.tls.reload(settings)]
        takes += [self._door.reload(settings), self._audit.reopen()]  # the last: what it has opened would stay so
        for take in takes:
            take()
        self._audit.record("reloaded")
        others = [name for name in (*SETTINGS, "topics") if getattr(settings, name) != getattr(self.settings, name)]
        if left := [name for name in others if name not in RELOADED]:
            log.warning("these settings changed, and need another start", settings=", ".join(left))
        for connection in list(self._connections):
            connection.become(self._door.anew(connection.session.identity))
        self._end_revoked()

    async def run(
        self, ready: Callable[[str], None] = lambda url: None, load: Callable[[], Settings] | None = None
    ) -> None:
        """Serve until SIGTERM or SIGINT, then say goodbye, drain and return. Raises what `serving` raises.

        `load` gives the settings anew, which SIGHUP asks for.
        """
        stop = self._stop_running
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if load is not None:
            loop.add_signal_handler(signal.SIGHUP, self._reload, load)
        async with self.serving() as url:
            log.info("listening", url=url, version=__version__, ack=self.engine.store.acknowledges)
            ready(url)
            await stop.wait()
            log.info("stopping", connections=len(self._connections))
        log.info("stopped")

    def _reload(self, load: Callable[[], Settings]) -> None:
        try:
            self.reload(load())
        except SettingsError as error:
            log.warning("cannot reload", why=str(error))
            self._audit.record("not reloaded", text=str(error))
        else:
            log.info("reloaded")

    def _application(self) -> web.Application:
        app = web.Application()
        self.mount(app)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        if self.settings.examples:
            examples.mount(app)
        return app

    # The life of the broker.

    async def _start(self, app: web.Application) -> None:
        if self._pump is not None:
            raise RuntimeError("this Broker has been started already; make a new one for each application")
        settings = self.settings
        deflater = None
        if settings.compression:
            deflater = Deflater(settings.deflate_level, settings.deflate_window, settings.deflate_from)
        limits = limits_of(settings)
        self._pump = Pump(Engine(limits, store_of(settings), deflater), limits.policies, settings.busy_poll)
        if self._pump.storage is not None:
            self._pump.storage.on_failure = self._store_failed
        self._pump.engine.on_refusal = self._refused_frame
        self._heartbeat = Heartbeat(self._pump, self.settings, self._connections, self._look_around)
        await self._door.start()

    async def _say_goodbye(self, app: web.Application) -> None:
        """Tell everyone to come back later, and wait until they have read it."""
        self._stopping = True
        if self._pump is not None:
            await self._pump.settle(self.settings.drain_timeout)
        goodbye = Goodbye("going_away", "the broker is stopping", int(self.settings.retry_after * 1000))
        for connection in list(self._connections):
            connection.dismiss(goodbye)
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(self.settings.drain_timeout):
                while self._connections:
                    self._one_left.clear()
                    await self._one_left.wait()
        for connection in list(self._connections):
            log.warning("cut off", peer=connection.peer.id, address=connection.address)
            connection.transport.abort()

    async def _stop(self, app: web.Application) -> None:
        self._door.stop()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._pump is not None:
            await self._pump.stop()
        self._audit.close()

    def _store_failed(self) -> None:
        """Those who read are served as long as the process lives, unless it is told not to."""
        if self.settings.exit_on_store_failure:
            self.failed = True
            self._stop_running.set()

    # The life of a connection.

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        assert self._pump is not None
        try:
            if self._stopping:
                raise Stopping(self.settings.retry_after)
            entry = self._listener.entry(request) if self._listener is not None else None
            visitor = await self._door.enter(request, self._peer_of(request), entry, self._pump.now())
        except UpgradeRefused as refused:
            return self._refuse(request, refused)
        if self._listener is not None:
            self._listener.upgraded(request)
        # No further coroutine between this and the reading of frames: each costs an idle connection 270 bytes.
        try:
            ws = self._socket()
            try:
                await ws.prepare(request)
                connection = self._enter(request, ws, visitor)
            except ConnectionError:
                return web.Response()  # for nobody: it went before the upgrade was answered
            try:
                await connection.run()
            finally:
                self._leave(connection)
            return ws
        finally:
            visitor.entry.leave()

    def _refuse(self, request: web.Request, refused: UpgradeRefused) -> web.Response:
        peer = self._peer_of(request)
        self._turned_away(str(self._door.client_of(request, peer) or peer), refused)
        answer = web.Response(status=refused.status, text=f"{refused}\n", headers=refused.headers)
        answer.force_close()
        return answer

    def _turned_away(self, address: str, refused: UpgradeRefused) -> None:
        self.refused_connections += 1
        self._audit.record("refused", what="upgrade", address=address, code=refused.code, text=refused.text)

    def _peer_of(self, request: web.Request) -> str | None:
        """The address at the other end, or what the PROXY protocol said in its place."""
        proxied = self._listener.proxied(request) if self._listener is not None else None
        return request.remote if proxied is None else proxied

    def _enter(self, request: web.Request, ws: Socket, visitor: Visitor) -> Connection:
        assert self._pump is not None
        connection = Connection(self._pump, request, ws, next(self._ids), self.settings, visitor, self._audit)
        self._connections[connection] = None
        log.debug("peer came", peer=connection.peer.id, address=connection.address)
        return connection

    def _leave(self, connection: Connection) -> None:
        del self._connections[connection]
        connection.session.leave()
        self._one_left.set()
        if connection.transport.get_write_buffer_size():
            # The last bytes may never be taken; then the socket would stay for ever.
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, connection.transport.abort)
        log.debug("peer left", peer=connection.peer.id, code=connection.ws.close_code)

    # Who may no longer do what they could.

    def _refused_frame(self, session: Session, refused: Refused) -> None:
        if refused.code in _AUDITED:
            who, host = session.identity, session.host
            address = host.address if isinstance(host, Connection) else None
            facts = {"peer": session.peer.id, "address": address, "subject": who.subject, "token": who.token}
            self._audit.record("refused", what="frame", **facts, code=refused.code, text=refused.text)

    def _look_around(self) -> None:
        """Once a second."""
        self._look_for_revoked()
        memory = self._door.memory
        if memory.look():
            self.engine.short = NoMemory() if memory.full else None
            tell = log.error if memory.full else log.info
            tell("too much memory" if memory.full else "enough memory again", bound=memory.bound)

    def _look_for_revoked(self) -> None:
        try:
            changed = self._door.look_for_revoked()
        except SettingsError as error:
            if str(error) != self._complained:
                log.error("cannot look for revoked tokens", why=str(error))
            self._complained = str(error)
        else:
            self._complained = ""
            if changed:
                self._end_revoked()

    def _end_revoked(self) -> None:
        for connection in list(self._connections):
            try:
                self._door.tokens.check_revoked(connection.session.identity)
            except Unauthorized as revoked:
                connection.dismiss(revoked)

    # What is asked over plain HTTP.

    async def _health(self, request: web.Request) -> web.Response:
        storage = self._pump.storage if self._pump is not None else None
        status = "stopping" if self._stopping else storage.status if storage is not None else OK
        facts = {"status": status, "version": __version__, "connections": len(self._connections)}
        return web.json_response(facts, status=200 if status == OK else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self.settings.metrics_public and not self._door.is_local(request, self._peer_of(request)):
            return web.Response(status=403, text="/metrics answers to loopback only; metrics_public opens it\n")
        assert self._pump is not None
        days = None if self.tls is None else self.tls.days_left()
        collector = BrokerCollector(
            self._pump, self.settings.data, len(self._connections), self.refused_connections, days
        )
        return web.Response(body=exposition(collector), headers={"Content-Type": "text/plain; version=0.0.4"})


def _tls(settings: Settings) -> Tls | None:
    """What it stands on is loaded by those who want it."""
    if not settings.tls_certificate:
        return None
    from .connections.tls import Tls

    return Tls(settings)
