"""An aiohttp server of our own: it listens, and looks at who comes before HTTP does.

An address that has too many connections, or makes them too fast, costs nothing more than the answer that says so. Who
does not finish the handshake in time is cut off; aiohttp itself waits 75 s for the rest of a header. Where a proxy says
with the PROXY protocol who the client is, that comes first.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..configuration.settings import Settings
from ..door.addresses import Address, Entry, parse_address
from ..door.door import Door
from ..door.proxies import BadProxyHeader, read_proxy_header
from ..door.refusals import TlsFailed, UpgradeRefused

if TYPE_CHECKING:
    from .tls import Tls

_KEEP_ALIVE = 10.0  # seconds between two plain HTTP requests, such as Prometheus's
_ASKING = 60.0  # seconds after an answer in which the next must be asked for and taken: else nobody reads them
_TURNED_AWAY = 64  # at the same time, that are told through TLS why; a handshake takes a millisecond
_TICK, _SHORTEST_TICK = 1.0, 0.02  # seconds
_LINGER = 1.0  # seconds that one who was turned away has to read why, or to send what nobody wants to have

Refused = Callable[[str, UpgradeRefused], None]


class Listener:
    """Serves an application on one address. Raises OSError where that cannot be had.

    `refused` is called with the address of whoever is turned away, and why.
    """

    def __init__(
        self, app: web.Application, settings: Settings, door: Door, refused: Refused, tls: Tls | None = None
    ) -> None:
        self._settings, self._door, self._refused, self._tls = settings, door, refused, tls
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE,
            tcp_keepalive=False,  # our own pings look for who is gone
            lingering_time=_LINGER,
            shutdown_timeout=1.0,
            logger=_http_logger(),
        )
        app.on_response_prepare.append(self._answered)
        self._handshakes: dict[asyncio.Protocol, float] = {}  # in the order in which they were accepted
        self._entries: dict[web.RequestHandler, Entry] = {}  # of those whose address is known
        self._proxied: dict[web.RequestHandler, str] = {}  # what the PROXY protocol said
        self._securing: set[asyncio.Task[None]] = set()  # TLS handshakes, which count as connections already
        self._turning_away = 0  # of them, of those who only want to be told so
        self._answered_at: dict[asyncio.Protocol, float] = {}  # of those who ask over plain HTTP, in that order
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.authority = ""

    async def start(self, host: str, port: int) -> None:
        await self._runner.setup()
        self._hear_of_ends()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._accept, host, port, backlog=self._settings.backlog)
        except BaseException:
            await self._runner.cleanup()
            raise
        name = self._server.sockets[0].getsockname()
        shown = f"[{host}]" if ":" in host else host
        self.authority = f"{shown}:{name[1]}"
        self._tick()

    async def stop(self) -> None:
        """Accept nobody any more, then let the application say goodbye."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for task in self._securing:
            task.cancel()
        await self._runner.cleanup()

    def proxied(self, request: web.Request) -> str | None:
        """The client's address, as the PROXY protocol says it."""
        return self._proxied.get(request.protocol)

    def entry(self, request: web.Request) -> Entry | None:
        """The place that its connection has, where that was known before it said anything."""
        return self._entries.get(request.protocol)

    def upgraded(self, request: web.Request) -> None:
        """Somebody else lets it leave from here on."""
        self._entries.pop(request.protocol, None)
        self._proxied.pop(request.protocol, None)

    # Who comes.

    def _accept(self) -> asyncio.Protocol:
        comer = Comer(self)
        self._handshakes[comer] = asyncio.get_running_loop().time() + self._settings.handshake_timeout
        return comer

    def came(self, comer: Comer, transport: asyncio.Transport) -> None:
        """A connection is there, and nothing has been said on it."""
        name = transport.get_extra_info("peername")
        peer = name[0] if isinstance(name, tuple) else None
        address = parse_address(peer)
        if not self._door.trusts(address):
            if self._settings.proxy_protocol:
                self._handshakes.pop(comer, None)
                transport.abort()
            else:
                self._let_in(comer, transport, address, peer)
        elif self._settings.proxy_protocol:
            comer.header = b""
        else:
            self._pass_on(comer, transport, None)  # its header says who it is

    def header_came(self, comer: Comer, transport: asyncio.Transport, client: Address | None, rest: bytes) -> None:
        if client is None:
            self._pass_on(comer, transport, None, rest)  # the proxy speaks for itself
        else:
            self._let_in(comer, transport, client, str(client), rest)

    def _let_in(
        self, comer: Comer, transport: asyncio.Transport, address: Address | None, shown: str | None, rest: bytes = b""
    ) -> None:
        try:
            entry = self._door.count(address, shown, asyncio.get_running_loop().time())
        except UpgradeRefused as refused:
            self._handshakes.pop(comer, None)
            self._refused(shown or "unknown", refused)
            if self._tls is None:
                comer.turn_away(transport, as_bytes(refused))
                if rest:
                    comer.data_received(rest)
            elif self._turning_away < _TURNED_AWAY:
                self._begin(self._say_through_tls(self._tls, comer, transport, as_bytes(refused)))
            else:
                transport.abort()
        else:
            self._pass_on(comer, transport, entry, rest, shown if comer.header is not None else None)

    def _pass_on(
        self,
        comer: Comer,
        transport: asyncio.Transport,
        entry: Entry | None,
        rest: bytes = b"",
        proxied: str | None = None,
    ) -> None:
        """What follows is HTTP, or TLS and then HTTP, within the time that is left."""
        if self._tls is not None and transport.get_extra_info("ssl_object") is None:
            self._begin(self._secure(self._tls, comer, transport, entry))
            return
        server = self._runner.server
        assert server is not None
        handler = server()
        self._handshakes[handler] = self._handshakes.pop(comer, 0.0)
        if entry is not None:
            self._entries[handler] = entry
        if proxied is not None:
            self._proxied[handler] = proxied
        transport.set_protocol(handler)
        handler.connection_made(transport)
        if rest:
            handler.data_received(rest)

    # Who speaks TLS. That is not left to the loop's server: whoever is at the handshake would count nowhere.

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._securing.add(task)
        task.add_done_callback(self._securing.discard)

    async def _secure(self, tls: Tls, comer: Comer, transport: asyncio.Transport, entry: Entry | None) -> None:
        secured, peer = None, transport.get_extra_info("peername")
        try:
            secured = await self._handshake(tls, comer, transport)
        except (OSError, TimeoutError) as error:
            self._refused(peer[0] if isinstance(peer, tuple) else "unknown", TlsFailed(_reason(error)))
        finally:
            if secured is None:
                self._handshakes.pop(comer, None)
                if entry is not None:
                    entry.leave()
        if secured is not None:
            self._pass_on(comer, secured, entry, comer.early)

    async def _say_through_tls(self, tls: Tls, comer: Comer, transport: asyncio.Transport, answer: bytes) -> None:
        self._turning_away += 1
        try:
            secured = await self._handshake(tls, comer, transport)
            comer.turn_away(secured, answer)
            if comer.early:
                comer.data_received(comer.early)
        except (OSError, TimeoutError):
            pass  # it was told why by others before it
        finally:
            self._turning_away -= 1

    async def _handshake(self, tls: Tls, comer: Comer, transport: asyncio.Transport) -> asyncio.Transport:
        loop, timeout = asyncio.get_running_loop(), self._settings.handshake_timeout
        early, comer.early = comer.early, b""
        if early:  # what came before this task had its turn; the loop tells TLS only then that it is connected
            loop.call_soon(_feed, transport, early)
        secured = await loop.start_tls(transport, comer, tls.context, server_side=True, ssl_handshake_timeout=timeout)
        if secured is None or secured.is_closing():
            raise ConnectionResetError("it went")
        return secured

    # Who goes.

    def _hear_of_ends(self) -> None:
        """aiohttp tells its server of each connection that ends; who was in leaves then, however that came about."""
        server = self._runner.server
        assert server is not None
        lost = server.connection_lost

        def connection_lost(handler: web.RequestHandler, error: BaseException | None = None) -> None:
            lost(handler, error)
            self.left(handler)
            if (entry := self._entries.pop(handler, None)) is not None:
                entry.leave()
            self._proxied.pop(handler, None)

        server.connection_lost = connection_lost  # type: ignore[method-assign,assignment]

    def left(self, protocol: asyncio.Protocol) -> None:
        """It is not waited for any more."""
        self._handshakes.pop(protocol, None)
        self._answered_at.pop(protocol, None)

    async def _answered(self, request: web.Request, response: web.StreamResponse) -> None:
        self._handshakes.pop(request.protocol, None)
        self._answered_at.pop(request.protocol, None)
        if not isinstance(response, web.WebSocketResponse):
            self._answered_at[request.protocol] = asyncio.get_running_loop().time()
        response.headers.pop("Server", None)  # of which version we are is nobody's business

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(_TICK, max(_SHORTEST_TICK, self._settings.handshake_timeout / 4)), self._tick)
        now = loop.time()
        late = []
        for protocol, deadline in self._handshakes.items():
            if deadline > now:
                break
            late.append(protocol)
        for protocol, at in self._answered_at.items():
            if at + _ASKING > now:
                break
            late.append(protocol)
        for protocol in late:
            self.left(protocol)
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abort()


def _feed(transport: asyncio.Transport, data: bytes) -> None:
    """Give bytes to the TLS that has begun on a transport, as if they came now."""
    protocol: Any = transport.get_protocol()  # a buffered one, of the loop's own
    while data and protocol is not None:
        buffer = memoryview(protocol.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


def _reason(error: Exception) -> str:
    """Why a handshake failed, in a few words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no TLS").lower().replace("_", " ")
    return "it took too long" if isinstance(error, TimeoutError) else "it went"


def _http_logger() -> logging.Logger:
    """aiohttp's, without a traceback for each request that is none: whoever sends such would fill the disk."""
    logger = logging.getLogger("tickwire.http")
    logger.addFilter(_is_ours)
    return logger


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether it tells of a fault of the broker's, and not of the other side's."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class Comer(asyncio.Protocol):
    """Somebody of whom nothing is known but the address; before HTTP a header of the PROXY protocol may come."""

    __slots__ = ("_answer", "_listener", "early", "header", "transport", "turned_away")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._answer = b""
        self.transport: asyncio.Transport | None = None
        self.header: bytes | None = None  # what has come of it, where there must be one
        self.early = b""  # what came right behind a TLS handshake
        self.turned_away = False

    def turn_away(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Say why as soon as something is asked, whatever it is; a moment later the connection is gone."""
        self.turned_away, self._answer, self.transport = True, answer, transport
        asyncio.get_running_loop().call_later(_LINGER, self.transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._listener.came(self, self.transport)

    def data_received(self, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self.turned_away:
            self._say_why(self.transport)
            return
        if self.header is None:
            self.early += data
            return
        self.header += data
        try:
            found = read_proxy_header(self.header)
        except BadProxyHeader:
            self.transport.abort()
            return
        if found is not None:
            size, client = found
            self._listener.header_came(self, self.transport, client, self.header[size:])

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.left(self)

    def _say_why(self, transport: asyncio.Transport) -> None:
        answer, self._answer = self._answer, b""
        if answer:
            transport.write(answer)
            if transport.can_write_eof():
                transport.write_eof()


def as_bytes(refused: UpgradeRefused) -> bytes:
    """The refusal as an answer of HTTP/1.1."""
    body = f"{refused}\n".encode()
    headers = {**refused.headers, "Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {refused.status} {_REASONS[refused.status]}\r\n{head}\r\n".encode() + body


_REASONS = {403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable"}
