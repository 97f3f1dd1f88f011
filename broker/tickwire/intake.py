"""Frames straight from the socket to their session, with no task between. Both shells stand on it: broker and SDK.

The documented way to read is `await ws.receive()`: a queue, a future and a turn of the loop for every frame that comes
alone. Here the queue that aiohttp's parser feeds collects binary frames, and those of one read are handed on together
when it ends: sixteen publishers of single messages on disk got 1.17 times as many acknowledged a second (the median of
five pairs). Its names are not documented: where one of them is missing there is no intake, and everything comes by
`receive`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from aiohttp import WSMessage, WSMsgType

from tickwire.native import native

try:
    from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
except ImportError:  # another inside of aiohttp's
    WebSocketDataQueue = WebSocketReader = object  # type: ignore[assignment]

FRAMES_OF_A_READ = 2_048  # handed on together; one read may bring 40,000, and what is above waits for `receive`
_PIECES = 64  # of a frame that has not come whole
# Pings and the like in one read: where there are more, the parser's queue fills, and each is put behind a growing rest.
_CONTROLS = 16
_CLOSE = 0x88
_BINARY = WSMsgType.BINARY
NOTHING = WSMsgType.CONTINUATION  # the type of a message that nobody sent: aiohttp puts the pieces of others together
_STIRRED = WSMessage(NOTHING, b"", None)


class Intake(WebSocketDataQueue):
    """Collects binary frames for `take` while it is `open`, which is when nothing waits; all else is for `receive`.

    `take` must not raise.
    """

    __slots__ = ("_came", "ended", "open", "take")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.open = False
        self.take: Callable[[list[bytes]], None] = _nobody
        self.ended: Callable[[], None] = _nothing  # called before the connection's socket is closed, or anybody knows
        self._came: list[bytes] | None = None  # in the read that is going on

    def feed_data(self, data: Any, size: int) -> None:
        if self.open and data.type is _BINARY:
            came = self._came
            if came is None:
                self._came = [data.data]
                return
            came.append(data.data)
            if len(came) >= FRAMES_OF_A_READ:
                self.open = False
        else:
            # Closed until `receive` is asked for more than waits here: when it gives the last that does, aiohttp goes
            # on with the bytes that it had laid aside meanwhile, before anybody has acted on what it gives.
            self.open = False
            super().feed_data(data, size)

    def feed_frames(self, frames: list[bytes]) -> None:
        """The same of binary frames, without a message around each."""
        if self.open:
            came = self._came
            if came is None:
                came = self._came = []
            room = FRAMES_OF_A_READ - len(came)
            came += frames[:room]
            if len(frames) < room:
                return
            self.open = False
            frames = frames[room:]
        for frame in frames:
            super().feed_data(WSMessage(_BINARY, frame, ""), len(frame))

    @property
    def stalls(self) -> bool:
        """Whether so much waits for `receive` that the parser has laid bytes aside: what comes must go behind them."""
        return getattr(self, "_stalled_reader", None) is not None

    def end_of_read(self) -> None:
        """Hand on what came."""
        if self._came is not None:
            frames, self._came = self._came, None
            self.take(frames)

    def receiving(self) -> None:
        """`receive` is about to be called: where nothing waits, what comes is for `take`."""
        self.open = not self._buffer

    def stir(self) -> None:
        """Close, and let `receive` return with NOTHING: its caller is to look at what has changed."""
        self.open = False
        super().feed_data(_STIRRED, 0)

    def shut(self) -> None:
        """Give nobody anything any more: what still comes is for `receive`, as who waits for a close calls it."""
        self.open, self.take = False, _nobody


class _Reads:
    """Stands before aiohttp's parser: every read goes through it, and only it knows where one ends.

    Where the C library is there, it takes the frames off a read that are whole binary messages, which most are: it
    copies their bytes once, where the parser copies them three to five times. Pings and pongs are given to the parser
    one by one. With anything else it leaves the connection to the parser for good.
    """

    __slots__ = ("_folded", "_intake", "_limit", "_masked", "_missing", "_need", "_parser", "_takes", "_waiting")

    def __init__(self, parser: Any, intake: Intake, limit: int, masked: bool) -> None:
        self._parser, self._intake = parser, intake
        self._limit, self._masked = limit, masked
        self._takes = native is not None
        # The beginning of a frame whose rest has not come: its bytes, and how many more are needed to go on.
        self._folded: bytearray | None = None
        self._waiting: list[bytes] | None = None
        self._missing = 0
        self._need = ctypes.c_uint64()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if len(data) < self._missing:
            self._wait(data)
            return False, b""
        if self._waiting is not None:
            data = b"".join((self._folded or b"", *self._waiting, data))
            self._waiting = self._folded = None
            self._missing = 0
        result = self._take(data) if self._takes else self._give(data)
        self._intake.end_of_read()
        if result[0]:  # it takes no more, so aiohttp lets go of it, and it will not hear of the end
            self._intake.ended()
        return result

    def feed_eof(self) -> None:
        self._intake.ended()
        self._parser.feed_eof()

    def _take(self, data: bytes) -> tuple[bool, bytes]:
        """Frames off a read that begins with one."""
        assert native is not None
        at, size, need, controls = 0, len(data), self._need, 0
        while True:
            frames: list[bytes] = []
            at = native.tickwire_take_frames(frames, data, size, at, self._limit, self._masked, ctypes.addressof(need))
            if at < 0:
                raise MemoryError
            if frames:
                self._intake.feed_frames(frames)
            needed = need.value or _control_bytes(data, at)
            if needed > size - at:
                if at < size:
                    self._missing = needed
                    self._wait(data[at:])
                return False, b""
            controls += 1
            if not needed or data[at] == _CLOSE or controls > _CONTROLS or self._intake.stalls:
                self._takes = False
                return self._give(data[at:])
            result = self._give(data[at : at + needed])
            if result[0]:
                return result
            at += needed

    def _give(self, data: bytes) -> tuple[bool, bytes]:
        result: tuple[bool, bytes] = self._parser.feed_data(data)
        return result

    def _wait(self, data: bytes) -> None:
        """Keep the beginning of a frame. It may come byte by byte: pieces are folded before they cost more than it."""
        self._missing -= len(data)
        if self._waiting is None:
            self._waiting = [data]
            return
        self._waiting.append(data)
        if len(self._waiting) > _PIECES:
            if self._folded is None:
                self._folded = bytearray()
            self._folded += b"".join(self._waiting)
            self._waiting.clear()


def _control_bytes(data: bytes, at: int) -> int:
    """The bytes of a whole ping, pong or close (RFC 6455 5.5) that begins there; 0 where it is something else."""
    length = data[at + 1] & 0x7F
    if data[at] not in (_CLOSE, 0x89, 0x8A) or length > 125:
        return 0
    return length + (6 if data[at + 1] & 0x80 else 2)


def intake_for(
    queue: Any, protocol: Any, max_message: int, *, compress: bool, decode_text: bool, masked: bool
) -> tuple[Intake, Any] | None:
    """What stands in for the queue that aiohttp has made for a WebSocket, and a parser into it, which has seen nothing.

    `masked` says whether what comes is: what a server gets must be.

    None where aiohttp is not as we know it.
    """
    try:
        if type(queue) is not WebSocketDataQueue:
            return None
        intake = Intake(protocol, queue._limit // 2, loop=protocol._loop)
        parser = WebSocketReader(intake, max_message, compress=compress, decode_text=decode_text)
        return intake, _Reads(parser, intake, max_message or 1 << 63, masked)
    except (AttributeError, TypeError):
        return None


def _nobody(frames: list[bytes]) -> None:
    """What came in the read in which somebody was shut is not acted on."""


def _nothing() -> None:
    pass
