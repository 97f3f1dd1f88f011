"""The broker: one engine behind one WebSocket path, in an aiohttp application of its own or of somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
from collections.abc import AsyncIterator, Callable
from itertools import count

from aiohttp import web

from tickwire import __version__
from tickwire.core.engine import Engine
from tickwire.core.errors import Goodbye
from tickwire.fanout.frame import Deflater
from tickwire.wire.limits import SUBPROTOCOL

from . import logs
from .addresses import ConnectionCap, key_of
from .configured import limits_of, store_of
from .connection import Connection
from .heartbeat import Heartbeat
from .listener import Listener
from .metrics import BrokerCollector, exposition
from .pump import Pump
from .settings import Settings
from .storage import OK
from .websocket import CLOSE_TIMEOUT, Socket

log = logs.logger("tickwire.broker")


class Broker:
    """A message broker. `mount` it into an application, use it as a server for a while with `serving`, or `run` it."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.refused_connections = 0
        self.failed = False  # the disk did, and the settings say that this is the end
        self._cap = ConnectionCap(self.settings.connections_per_ip)
        self._connections: dict[Connection, None] = {}
        self._ids = count(1)
        self._pump: Pump | None = None
        self._heartbeat: Heartbeat | None = None
        self._stopping = False
        self._stop_running = asyncio.Event()
        self._one_left = asyncio.Event()

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
        listener = Listener(self._application(), settings)
        await listener.start(settings.host if host is None else host, settings.port if port is None else port)
        try:
            yield f"ws://{listener.authority}{settings.path}"
        finally:
            await listener.stop()

    async def run(self, ready: Callable[[str], None] = lambda url: None) -> None:
        """Serve until SIGTERM or SIGINT, then say goodbye, drain and return. Raises what `serving` raises."""
        stop = self._stop_running
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with self.serving() as url:
            log.info("listening", url=url, version=__version__, ack=self.engine.store.acknowledges)
            ready(url)
            await stop.wait()
            log.info("stopping", connections=len(self._connections))
        log.info("stopped")

    def _application(self) -> web.Application:
        app = web.Application()
        self.mount(app)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
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
        self._heartbeat = Heartbeat(self._pump, self.settings, self._connections)

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
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._pump is not None:
            await self._pump.stop()

    def _store_failed(self) -> None:
        """Those who read are served as long as the process lives, unless it is told not to."""
        if self.settings.exit_on_store_failure:
            self.failed = True
            self._stop_running.set()

    # The life of a connection.

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        if not _offers_subprotocol(request):
            return _refuse_upgrade(400, "subprotocol_required", f"the upgrade must offer the subprotocol {SUBPROTOCOL}")
        if self._stopping:
            return _refuse_upgrade(503, "going_away", "the broker is stopping", self.settings.retry_after)
        key = key_of(request.remote)
        if not self._cap.enter(key):
            self.refused_connections += 1
            log.warning("too many connections", address=request.remote, limit=self._cap.limit)
            text = f"{key} has {self._cap.limit} connections already, which is the limit for one address"
            return _refuse_upgrade(429, "too_many_connections", text, self.settings.retry_after)
        # No further coroutine between this and the reading of frames: each costs an idle connection 270 bytes.
        try:
            ws = Socket(self.settings)
            try:
                await ws.prepare(request)
                connection = self._enter(request, ws)
            except ConnectionError:
                return web.Response()  # for nobody: it went before the upgrade was answered
            try:
                await connection.run()
            finally:
                self._leave(connection)
            return ws
        finally:
            self._cap.leave(key)

    def _enter(self, request: web.Request, ws: Socket) -> Connection:
        assert self._pump is not None
        connection = Connection(self._pump, request, ws, next(self._ids), self.settings)
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

    # What is asked over plain HTTP.

    async def _health(self, request: web.Request) -> web.Response:
        storage = self._pump.storage if self._pump is not None else None
        status = "stopping" if self._stopping else storage.status if storage is not None else OK
        facts = {"status": status, "version": __version__, "connections": len(self._connections)}
        return web.json_response(facts, status=200 if status == OK else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self.settings.metrics_public and not _is_loopback(request.remote):
            return web.Response(status=403, text="/metrics answers to loopback only; metrics_public opens it\n")
        assert self._pump is not None
        collector = BrokerCollector(self._pump, self.settings.data, len(self._connections), self.refused_connections)
        return web.Response(body=exposition(collector), headers={"Content-Type": "text/plain; version=0.0.4"})


def _offers_subprotocol(request: web.Request) -> bool:
    offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", ()))
    return SUBPROTOCOL in [name.strip() for name in offered.split(",")]


def _refuse_upgrade(status: int, code: str, text: str, retry_after: float | None = None) -> web.Response:
    headers = {"X-Tickwire-Code": code, "Connection": "close"}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after)))
    return web.Response(status=status, text=f"{text} [{code}]\n", headers=headers)


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False
