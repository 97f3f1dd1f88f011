"""One WebSocket and its session: takes frames off it until one of the two is done."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from time import perf_counter
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from tickwire.core.errors import Goodbye
from tickwire.fanout.deliver import write_frames, write_now
from tickwire.fanout.frame import close_frame, websocket_frame
from tickwire.fanout.peer import Peer
from tickwire.intake import MOST_SECONDS, NOTHING, Intake
from tickwire.wire.codes import CODES
from tickwire.wire.encode import encode
from tickwire.wire.messages import Bye
from tickwire.wire.websocket import TOO_BIG, Broken

from .. import logs
from ..audit import Audit
from ..configuration.settings import Settings
from ..door.door import Visitor
from ..pump import Pump
from .known import Known
from .websocket import CLOSE_TIMEOUT, Socket

log = logs.logger("tickwire.connection")

# Neither `receive` nor the intake gives the loop a turn while aiohttp has frames: one read may bring 40,000.
FRAMES_A_TURN = 256
_LINGER = 1.0  # seconds
_HALF_CLOSE = 0.25  # seconds; an aiohttp client that reads a close and the end at once says it was closed with 1006
_NO_REFUSALS = {"going_away", "heartbeat_timeout", "taken_over", "too_slow"}  # ends that nobody is to blame for
_NOTSENT_LOWAT = 25  # TCP_NOTSENT_LOWAT of Linux, which Python's socket module does not name


class Connection(Known):
    """A peer's WebSocket. `run` returns when it is over."""

    __slots__ = (
        "_at_once",
        "_audit",
        "_dismissal",
        "_fault",
        "_intake",
        "_left",
        "_resumed",
        "_task",
        "beat_at",
        "begun_at",
        "clogged_at",
        "closing",
        "heard",
        "heard_at",
        "opened_at",
        "stuck",
        "taken",
        "taken_since",
        "transport",
        "ws",
    )

    def __init__(
        self, pump: Pump, request: web.Request, ws: Socket, id: int, settings: Settings, visitor: Visitor, audit: Audit
    ) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("gone before the upgrade was answered")
        # A frame deflated with a larger window than was negotiated fails at the peer, and only on larger frames.
        inflates = ws.compress >= settings.deflate_window
        super().__init__(pump, visitor, Peer(id, transport.write, transport.get_write_buffer_size, inflates))
        self.ws, self.transport = ws, transport
        self._audit = audit
        self.opened_at = self.heard_at = self.beat_at = pump.now()
        self.begun_at = 0.0  # when a message was first seen that had begun and not ended
        self.heard = False  # whether anything came since it was last cleared
        self.stuck = 0  # unsent bytes at the last look, while it was behind
        self.taken, self.taken_since = 0, self.opened_at  # of them, and since when that is counted
        self.clogged_at: float | None = None
        self.closing = False
        self._resumed: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._dismissal: Goodbye | None = None
        self._fault: Exception | None = None
        self._at_once = 0  # frames that the intake gave since the task had its turn
        ws.on_broken, ws.before_close = self._broken, self._before_close
        self._intake = ws.intake
        if ws.intake is not None:
            ws.intake.take = self._take_at_once
            self._open_socket(ws.intake)
        self._left: list[bytes] | None = None  # what came in a read and is to wait; None is 56 bytes less than []
        _tune(transport, settings.notsent_lowat)

    def _open_socket(self, intake: Intake) -> None:
        """Let frames go straight into the socket, where it is one of the system's and we hear in time of its end."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and self.transport.get_extra_info("ssl_object") is None:
            self.peer.open_socket(sock.fileno())
            intake.ended = self.peer.close_socket

    async def run(self) -> None:
        """Take frames until the connection is over, or somebody dismisses it."""
        self._task = asyncio.current_task()
        try:
            await self._take_frames()
        except asyncio.CancelledError:
            if self._fault is not None:
                raise self._fault from None
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
            self._shut()
            self._forget()

    def dismiss(self, goodbye: Goodbye) -> None:
        """End the connection from outside: its own task says goodbye, since only that may read the answer."""
        self._shut()
        if not self.closing and self._dismissal is None and self._task is not None:
            self._dismissal = goodbye
            self._task.cancel()

    async def _take_frames(self) -> None:
        ws, intake = self.ws, self._intake
        for number in itertools.count(1):
            if intake is not None:
                self._at_once = 0
                intake.receiving()
            message = await ws.receive()
            if intake is not None:
                intake.open = False  # what comes while this is looked at waits its turn
            if self.session.must_wait:
                await self._wait()
            if self._left is not None:
                await self._take_left(self._left)  # it came before this
            self.heard = True
            if not number % FRAMES_A_TURN or self._has_had_its_time:
                await asyncio.sleep(0)
            began = perf_counter()
            if message.type is WSMsgType.BINARY:
                self._take(message.data)
            elif message.type is WSMsgType.PING:
                self.peer.hold()
                await ws.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                raise Goodbye("text_frame", "a text message came; frames are binary")
            elif message.type is not WSMsgType.PONG and message.type is not NOTHING:
                return
            self._took(began)
            if self.session.must_wait or self.session.clogged:
                await self._wait()

    async def _take_left(self, frames: list[bytes]) -> None:
        """Act on what the intake had no time for."""
        self._left = None
        for number, frame in enumerate(frames, 1):
            began = perf_counter()
            self._take(frame)
            self._took(began)
            if self.session.must_wait or self.session.clogged:
                await self._wait()
            elif not number % FRAMES_A_TURN or self._has_had_its_time:
                await asyncio.sleep(0)

    def _take_before_the_end(self) -> None:
        """The same at once: the connection is about to be closed, and what came before the reason for that counts."""
        frames, self._left = self._left or (), None
        with contextlib.suppress(Goodbye):  # one of them is a reason too, and the other was first to be seen
            for frame in frames:
                self._take(frame)

    def _take(self, frame: bytes) -> None:
        pump = self._pump
        self.session.receive(frame, pump.now())
        if pump.engine.due:
            pump.wake()

    def _take_at_once(self, frames: list[bytes]) -> None:
        """Act on frames within the read that brought them. What takes longer than that is left to the task."""
        self.heard = True
        pump, reads = self._pump, self._reads
        left = MOST_SECONDS if reads is None else reads.left
        if left <= 0:
            self._left_over(frames)
            return
        began = perf_counter()
        try:
            most, ends = FRAMES_A_TURN - self._at_once, began + left
            taken, decoded = self.session.receive_all(frames, pump.now(), most, perf_counter, ends)
            if pump.engine.due:
                pump.wake()
        except Goodbye as goodbye:
            self.dismiss(goodbye)
        except Exception as error:
            self._shut()
            self._fault = error
            if self._task is not None:
                self._task.cancel()
        else:
            self._at_once += decoded
            self._took(began)
            if taken < len(frames):
                self._left_over(frames[taken:])
            elif self._at_once >= FRAMES_A_TURN or self.session.must_wait or self.session.clogged:
                self._left_over(None)

    def _left_over(self, frames: list[bytes] | None) -> None:
        """Leave these, and what follows, to the task."""
        self._left = frames
        assert self._intake is not None
        self._intake.stir()

    @property
    def _reads(self) -> Any:
        return None if self._intake is None else self._intake.reads

    def _took(self, began: float) -> None:
        """Of this turn of the loop it has had what has passed since."""
        reads = self._reads
        if reads is not None:
            reads.took(perf_counter() - began)

    @property
    def _has_had_its_time(self) -> bool:
        reads = self._reads
        return reads is not None and reads.left <= 0

    def _shut(self) -> None:
        """Nothing that comes after the end of a conversation is acted on."""
        if self._intake is not None:
            self._intake.shut()

    async def _close(self, goodbye: Goodbye) -> None:
        """Say why and close; a peer that does not answer the close in time is cut off."""
        self.closing = True
        self._shut()
        self.ws.on_broken = None
        self._say(goodbye)
        self.session.leave()  # nothing may follow a close
        code = CODES[goodbye.code].closes or WSCloseCode.PROTOCOL_ERROR
        with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
            # Not drained: that would wait without end for a peer that does not read.
            await self.ws.close(code=code, message=goodbye.code.encode(), drain=False)
        if self.ws.close_code == WSCloseCode.ABNORMAL_CLOSURE:
            self.transport.abort()  # it has had the time; what is unsent would keep the socket for as long again

    def begun(self, now: float) -> int | None:
        """Bytes that are here of a message that has not come whole; None where there is none."""
        reads = self._reads
        if reads is None or not reads.unfinished:
            self.begun_at = 0.0
            return None
        self.begun_at = self.begun_at or now
        held: int = reads.held
        return held

    def beat(self, frame: bytes) -> None:
        """Send a sign of life. A peer that is behind gets nothing but its turn; that it takes bytes is its own sign."""
        if not self.peer.behind and not self.closing and not self.transport.is_closing():
            write_now(self.peer, frame)

    def resume(self) -> None:
        """Read on, if what was waited for has come."""
        if self._resumed is None or self._resumed.done():
            return
        self.session.go_on(self._pump.now())
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

    def _before_close(self) -> None:
        """aiohttp closes by itself where the peer did, or broke the rules: what was done before that is answered."""
        if not self.closing:
            self._take_before_the_end()
            self._pump.flush()
        self.peer.close_socket()

    async def _broken(self, broken: Broken) -> None:
        """Say so, and let the client finish what it is at: to close on bytes that nobody read resets the connection."""
        self._take_before_the_end()
        self.closing = True
        code = "frame_too_large" if broken.closes == TOO_BIG else "bad_websocket"
        self._say(Goodbye(code, broken.text))
        self.session.leave()  # nothing may follow a close
        if self.transport.is_closing():
            return
        self.transport.write(close_frame(broken.closes, code.encode()))
        # Who was stopped within a large frame has it all to send; who broke the rules has only to read why.
        begin = self._pump.now()
        deadline = begin + (CLOSE_TIMEOUT if broken.closes == TOO_BIG else _LINGER)
        ended = False
        while not self.transport.is_closing() and (now := self._pump.now()) < deadline:
            if now > begin + _HALF_CLOSE and not ended and self.transport.can_write_eof():
                self.transport.write_eof()
                ended = True
            await asyncio.sleep(0.02)
        self.transport.close()

    def _say(self, goodbye: Goodbye) -> None:
        """The last frame before the close, behind all that is due: what was done is still answered."""
        self._pump.flush()
        say = log.debug if goodbye.code == "going_away" else log.info  # one line for a stop, not one a connection
        say("goodbye", peer=self.peer.id, address=self.address, code=goodbye.code, text=goodbye.text)
        if goodbye.code not in _NO_REFUSALS:
            identity = self.session.identity
            subject = identity.subject or getattr(goodbye, "subject", None)
            facts = {"peer": self.peer.id, "address": self.address, "subject": subject, "token": identity.token}
            self._audit.record("refused", what="connection", **facts, code=goodbye.code, text=goodbye.text)
        if not self.transport.is_closing():
            bye = Bye(goodbye.code, goodbye.text, goodbye.retry_after_ms)
            write_frames(self.peer, websocket_frame(encode(bye)))


def _tune(transport: asyncio.Transport, notsent_lowat: int) -> None:
    """Keep the kernel from taking megabytes for a peer that does not read: they would be staleness that nobody sees."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, notsent_lowat)
