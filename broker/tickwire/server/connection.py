"""One WebSocket and its session: takes frames off it until one of the two is done."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import WSCloseCode, WSMsgType, web

from tickwire.core.errors import Goodbye
from tickwire.core.session import Session
from tickwire.fanout.deliver import write_frames, write_now
from tickwire.fanout.frame import close_frame, websocket_frame
from tickwire.fanout.peer import Peer
from tickwire.wire.codes import CODES
from tickwire.wire.encode import encode
from tickwire.wire.limits import HELLO_BYTES, SUBPROTOCOL
from tickwire.wire.messages import Bye

from . import logs
from .pump import Pump
from .settings import Settings

log = logs.logger("tickwire.connection")

# `receive` does not give the loop a turn while aiohttp has frames: one read may bring 40,000 pings.
FRAMES_A_TURN = 256
CLOSE_TIMEOUT = 3.0  # seconds that a peer has to answer a close
_NOTSENT_LOWAT = 25  # TCP_NOTSENT_LOWAT of Linux, which Python's socket module does not name


class Socket(web.WebSocketResponse[Literal[False]]):
    """aiohttp's WebSocket, which lets us speak before it closes over a message that is too big."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            protocols=(SUBPROTOCOL,),
            compress=settings.compression,
            max_msg_size=max(settings.frame_bytes, HELLO_BYTES) + 1,  # aiohttp refuses what is as long as its limit
            autoping=False,
            timeout=CLOSE_TIMEOUT,
            decode_text=False,
        )
        self.on_too_big: Callable[[], Awaitable[None]] | None = None

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        on_too_big, self.on_too_big = self.on_too_big, None
        if code == WSCloseCode.MESSAGE_TOO_BIG and on_too_big and not self.closed:
            await on_too_big()
        return await super().close(code=code, message=message, drain=drain)


class Connection:
    """A peer's WebSocket. `run` returns when it is over."""

    __slots__ = (
        "_dismissal",
        "_frame_bytes",
        "_pump",
        "_resumed",
        "_task",
        "address",
        "beat_at",
        "clogged_at",
        "closing",
        "heard",
        "heard_at",
        "opened_at",
        "peer",
        "session",
        "stuck",
        "transport",
        "ws",
    )

    def __init__(self, pump: Pump, request: web.Request, ws: Socket, id: int, settings: Settings) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("gone before the upgrade was answered")
        self.ws, self.transport, self.address = ws, transport, request.remote
        # A frame deflated with a larger window than was negotiated fails at the peer, and only on larger frames.
        inflates = ws.compress >= settings.deflate_window
        self.peer = Peer(id, transport.write, transport.get_write_buffer_size, inflates)
        self.session = Session(pump.engine, self.peer)
        self.opened_at = self.heard_at = self.beat_at = pump.now()
        self.heard = False  # whether anything came since it was last cleared
        self.stuck = 0  # unsent bytes at the last look, while it was behind
        self.clogged_at: float | None = None
        self.closing = False
        self._frame_bytes = settings.frame_bytes
        self._pump = pump
        self._resumed: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._dismissal: Goodbye | None = None
        ws.on_too_big = self._too_big
        _tune(transport, settings.notsent_lowat)

    async def run(self) -> None:
        """Take frames until the connection is over, or somebody dismisses it."""
        self._task = asyncio.current_task()
        try:
            await self._take_frames()
        except asyncio.CancelledError:
            if self._dismissal is None or self._task is None:
                raise
            self._task.uncancel()
            await self._close(self._dismissal)
        except Goodbye as goodbye:
            await self._close(goodbye)
        except ConnectionError:
            pass  # it went while a ping of it was answered
        finally:
            self._task = None

    def dismiss(self, goodbye: Goodbye) -> None:
        """End the connection from outside: its own task says goodbye, since only that may read the answer."""
        if not self.closing and self._dismissal is None and self._task is not None:
            self._dismissal = goodbye
            self._task.cancel()

    async def _take_frames(self) -> None:
        ws, session, pump, engine = self.ws, self.session, self._pump, self._pump.engine
        for number in itertools.count(1):
            message = await ws.receive()
            self.heard = True
            if not number % FRAMES_A_TURN:
                await asyncio.sleep(0)
            if message.type is WSMsgType.BINARY:
                session.receive(message.data, pump.now())
                if engine.due:
                    pump.wake()
                if session.must_wait or session.clogged:
                    await self._wait()
            elif message.type is WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                raise Goodbye("text_frame", "a text message came; frames are binary")
            elif message.type is not WSMsgType.PONG:
                return

    async def _close(self, goodbye: Goodbye) -> None:
        """Say why and close; a peer that does not answer the close in time is cut off."""
        self.closing = True
        self.ws.on_too_big = None
        self._say(goodbye)
        self.session.leave()  # nothing may follow a close
        code = CODES[goodbye.code].closes or WSCloseCode.PROTOCOL_ERROR
        with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
            # Not drained: that would wait without end for a peer that does not read.
            await self.ws.close(code=code, message=goodbye.code.encode(), drain=False)

    def beat(self, frame: bytes) -> None:
        """Send a sign of life. A peer that is behind gets nothing but its turn; that it takes bytes is its own sign."""
        if not self.peer.behind and not self.closing and not self.transport.is_closing():
            write_now(self.peer, frame)

    def resume(self) -> None:
        """Read on, if what was waited for has come."""
        if self._resumed is None or self._resumed.done():
            return
        clogged = self.session.clogged
        if self.transport.is_closing() or not (self.session.must_wait or clogged):
            self._resumed.set_result(None)
        elif clogged and self.clogged_at is None:
            self.clogged_at = self._pump.now()

    async def _wait(self) -> None:
        """Not to read is the backpressure: the socket fills, and the publisher waits."""
        pump = self._pump
        self._resumed = asyncio.get_running_loop().create_future()
        pump.waiting[self] = None
        pump.look_after()
        try:
            await self._resumed
        finally:
            self._resumed = self.clogged_at = None
            del pump.waiting[self]

    async def _too_big(self) -> None:
        """Say so, and let the client finish its frame: to close on bytes that nobody read resets the connection."""
        self.closing = True
        self._say(Goodbye("frame_too_large", f"a frame exceeds the limit of {self._frame_bytes} bytes, inflated"))
        if self.transport.is_closing():
            return
        self.transport.write(close_frame(WSCloseCode.MESSAGE_TOO_BIG, b"frame_too_large"))
        deadline = self._pump.now() + CLOSE_TIMEOUT
        while not self.transport.is_closing() and self._pump.now() < deadline:  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.02)

    def _say(self, goodbye: Goodbye) -> None:
        """The last frame before the close, behind all that is due: what was done is still answered."""
        self._pump.flush()
        say = log.debug if goodbye.code == "going_away" else log.info  # one line for a stop, not one a connection
        say("goodbye", peer=self.peer.id, address=self.address, code=goodbye.code, text=goodbye.text)
        if not self.transport.is_closing():
            bye = Bye(goodbye.code, goodbye.text, goodbye.retry_after_ms)
            write_frames(self.peer, websocket_frame(encode(bye)))


def _tune(transport: asyncio.Transport, notsent_lowat: int) -> None:
    """Keep the kernel from taking megabytes for a peer that does not read: they would be staleness that nobody sees."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, notsent_lowat)
