"""Frames straight from the socket to their session, with no task between. Both shells stand on it: broker and SDK.

The documented way to read is `await ws.receive()`: a queue, a future and a turn of the loop for every frame that comes
alone. Here the queue that aiohttp's parser feeds collects binary frames, and those of one read are handed on together
when it ends: sixteen publishers of single messages on disk got 1.17 times as many acknowledged a second (the median of
five pairs). Its names are not documented: where one of them is missing there is no intake, and everything comes by
`receive`.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

from aiohttp import WebSocketError, WSMessage, WSMsgType

from tickwire.native import native
from tickwire.wire.websocket import CLOSE, Broken, Message, Reader

try:
    from aiohttp._websocket.reader import WebSocketDataQueue
except ImportError:  # another inside of aiohttp's
    WebSocketDataQueue = object  # type: ignore[assignment,misc]

FRAMES_OF_A_READ = 2_048  # handed on together; one read may bring 40,000, and what is above waits for `receive`
# Bytes, of one connection in a turn: whoever takes them may have to wait with the first.
_INFLATED_AT_ONCE = 256 << 10
# Seconds of a turn: of all connections together, and of one while there is time, and where there is none. With an empty
# frame every 4 us, and 32 reads of 256 KiB in a turn, one held the loop for seconds.
_TURN_SECONDS, MOST_SECONDS, _LEAST_SECONDS = 0.008, 0.004, 0.00025
_LOOK_EVERY = 16  # frames of the reader, at the clock
_BEHIND_THE_END = 1 << 20  # bytes
_MESSAGE_COST = 64  # bytes that a message in the queue counts as beside its own: many have none
_PIECES = 64  # of a frame that has not come whole
_BINARY, _CLOSE, _PING = WSMsgType.BINARY, WSMsgType.CLOSE, WSMsgType.PING
_PINGS = 16  # that wait one behind another, from which on the last stands for all: a pong takes 70 us
NOTHING = WSMsgType.CONTINUATION  # the type of a message that nobody sent: aiohttp puts the pieces of others together
_STIRRED = WSMessage(NOTHING, b"", None)


class Intake(WebSocketDataQueue):
    """Collects binary frames for `take` while it is `open`, which is when nothing waits; all else is for `receive`.

    `take` must not raise.
    """

    __slots__ = ("_came", "_shut", "broken", "ended", "open", "reads", "take")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.open = False
        self.take: Callable[[list[bytes]], None] = _nobody
        self.ended: Callable[[], None] = _nothing  # called before the connection's socket is closed, or anybody knows
        self.broken: Broken | None = None  # how the peer broke the rules, if it did
        self._came: list[bytes] | None = None  # in the read that is going on
        self._shut = False
        self.reads: _Reads | None = None  # what feeds it, until the end has come

    def feed_data(self, data: Any, size: int) -> None:
        if self._shut and data.type is not _CLOSE and data is not _STIRRED:
            return
        if self.open and data.type is _BINARY:
            came = self._came
            if came is None:
                self._came = [data.data]
                return
            came.append(data.data)
            if len(came) >= FRAMES_OF_A_READ:
                self.open = False
        # RFC 6455 5.5.3: of those that wait the last may stand for all.
        elif data.type is _PING and len(self._buffer) > _PINGS and self._buffer[-1][0].type is _PING:
            self._buffer[-1] = (
                data,
                self._buffer[-1][1],
            )
        else:
            # Closed until `receive` is asked for more than waits here: when it gives the last that does, bytes may
            # follow that were laid aside meanwhile, before anybody has acted on what it gives.
            self.open = False
            super().feed_data(data, size)

    def feed_frames(self, frames: list[bytes]) -> None:
        """The same of binary frames, without a message around each."""
        if self._shut:
            return
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
            super().feed_data(WSMessage(_BINARY, frame, ""), len(frame) + _MESSAGE_COST)

    @property
    def full(self) -> bool:
        """Whether so much waits for `receive` that no more is to be put behind it."""
        return bool(self._size > self._limit)

    @property
    def has_room(self) -> bool:
        """Whether that was, and is over by enough."""
        return bool(self._size <= self._limit // 2)

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

    @property
    def is_shut(self) -> bool:
        return self._shut

    def shut(self) -> None:
        """Give nobody anything any more: of what still comes only a close is for `receive`, which may wait for it."""
        self.open, self.take, self._shut = False, _nobody, True


class Turn:
    """What connections that share this may do in one turn of the loop: so much time, and so much inflated.

    One that has had its time waits for the next turn, with what it sent; whoever asks for little does not wait for it.
    """

    def __init__(self, budget: int = 4 << 20) -> None:
        self.number = 0
        self._budget, self._left = budget, budget  # bytes
        self._seconds = _TURN_SECONDS
        self._waiting: deque[_Reads] = deque()
        self._counts = False  # whether the end of the turn is awaited
        self.need = (
            ctypes.c_uint64()
        )  # what the C library answers beside its result: one for all, since they take turns

    @property
    def spent(self) -> bool:
        """Whether nothing more is inflated."""
        return self._left <= 0

    @property
    def share(self) -> float:
        """The seconds that one connection may take."""
        return max(_LEAST_SECONDS, min(MOST_SECONDS, self._seconds))

    def spend(self, size: int) -> None:
        self._left -= size
        self._count()

    def took(self, seconds: float) -> None:
        self._seconds -= seconds
        self._count()

    def wait(self, reads: _Reads) -> None:
        """Have it go on in a later turn."""
        self._waiting.append(reads)
        self._count()

    def _count(self) -> None:
        if not self._counts:
            self._counts = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self.number += 1
        self._left, self._seconds, self._counts = self._budget, _TURN_SECONDS, False
        waiting, self._waiting = self._waiting, deque()
        while waiting and not self.spent and self._seconds > 0:
            waiting.popleft().go_on()
        self._waiting.extendleft(reversed(waiting))
        if self._waiting:
            self._count()


class _Reads:
    """Stands where aiohttp's parser would, and between the queue and aiohttp's protocol: what comes goes through it.

    Where the C library is there, it takes the frames off a read that are whole binary messages, which most are. The
    rest is for the reader, which knows all kinds and bears with nothing that is wrong.
    """

    __slots__ = (
        "_behind", "_done", "_folded", "_laid_aside", "_limit", "_masked", "_missing", "_protocol",
        "_reader", "_turn", "_turn_seen", "_used", "_waiting", "_waits_for_turn", "intake"
    )  # fmt: skip

    def __init__(self, protocol: Any, reader: Reader, limit: int, masked: bool, turn: Turn) -> None:
        self._protocol, self._reader, self._turn = protocol, reader, turn
        self._limit, self._masked = limit + 1, masked
        self.intake: Intake
        # The beginning of a frame whose rest has not come: its bytes, and how many more are needed to go on.
        self._folded: bytearray | None = None
        self._waiting: list[bytes] | None = None
        self._missing = 0
        self._laid_aside: list[bytes] | None = None  # bytes for which there is no room, or no time in this turn
        self._waits_for_turn = False
        self._done = False  # a close came, or something that must not
        self._behind = 0  # bytes that came behind the end of the conversation
        self._turn_seen, self._used = -1, 0.0  # the seconds that it has had of that turn

    @property
    def left(self) -> float:
        """The seconds that it may take in this turn."""
        turn = self._turn
        if self._turn_seen != turn.number:
            self._turn_seen, self._used = turn.number, 0.0
        return turn.share - self._used

    def took(self, seconds: float) -> None:
        self._used += seconds
        self._turn.took(seconds)

    @property
    def held(self) -> int:
        """Bytes that are here of a message that has not come whole."""
        return sum(map(len, self._waiting or ())) + len(self._folded or b"") + self._reader.held

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._waiting is not None or self._reader.unfinished

    # What aiohttp's protocol asks of its parser.

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if self._done:
            return False, b""
        if self.intake.is_shut and self._is_enough(len(data)):
            return False, b""
        if self._laid_aside is not None:
            self._laid_aside.append(data)
        elif len(data) < self._missing:
            self._wait(data)
        else:
            if self._waiting is not None:
                data = b"".join((self._folded or b"", *self._waiting, data))
                self._waiting = self._folded = None
                self._missing = 0
            self._take(data)
        return False, b""

    def _is_enough(self, size: int) -> bool:
        """Whether so much has come since the end that no more is read, though a close may be behind it."""
        self._behind += size
        if self._behind <= _BEHIND_THE_END:
            return False
        self._done = True
        self._protocol.pause_reading()
        return True

    def feed_eof(self) -> None:
        intake = self.intake
        intake.ended()
        intake.feed_eof()
        intake._protocol, intake.reads = self._protocol, None  # they would hold each other

    # What the queue asks of aiohttp's protocol.

    @property
    def _reading_paused(self) -> bool:
        return bool(self._protocol._reading_paused)

    def pause_reading(self) -> None:
        self._protocol.pause_reading()

    def resume_reading(self) -> None:
        """The queue has room again. What was laid aside comes first, and not for every message that leaves."""
        if self._laid_aside is None:
            self._protocol.resume_reading()
        elif not self._waits_for_turn and self.intake.has_room:
            self.go_on()

    def go_on(self) -> None:
        """With what was laid aside."""
        self._waits_for_turn = False
        if self._laid_aside is None:
            return
        data, self._laid_aside = b"".join(self._laid_aside), None
        self._take(data)
        if self._laid_aside is None and self._protocol._reading_paused and not self.intake.full:
            self._protocol.resume_reading()

    # Frames.

    def _take(self, data: bytes) -> None:
        """Act on bytes that begin with a frame."""
        try:
            self._take_frames(data)
        except Broken as broken:
            self._done = True
            self.intake.end_of_read()
            # Without the frames that it passed: they hold the read, and the intake holds it until garbage is collected.
            self.intake.broken = broken.with_traceback(None)
            self.intake.set_exception(WebSocketError(broken.closes, broken.text))
        else:
            self.intake.end_of_read()

    def _take_frames(self, data: bytes) -> None:
        at, size, reader, intake = 0, len(data), self._reader, self.intake
        inflated = read = 0
        began = 0.0
        while at < size and not self._done:
            spent = self._turn.spent or inflated >= _INFLATED_AT_ONCE
            if intake.full or (spent and reader.inflates(data, at)):
                self._lay_aside(data[at:])
                return
            needed = 0
            if native is not None and not reader.unfinished:
                at, needed = self._take_plain(data, at, size)
            if not needed:
                if not read % _LOOK_EVERY:  # what the C library does not take is what takes time
                    now = perf_counter()
                    if read:
                        self.took(now - began)
                    began = now
                    if self.left <= 0:
                        self._lay_aside(data[at:])
                        return
                read += 1
                before = at
                at, message = reader.read(data, at)
                inflated += reader.inflated
                if message is not None:
                    self._give(message)
                elif at == before:
                    needed = reader.needed
            if needed:
                if at < size:
                    self._missing = needed
                    self._wait(data[at:])
                return

    def _take_plain(self, data: bytes, at: int, size: int) -> tuple[int, int]:
        """Whole binary messages: where the first stands that is none, and what it needs to be known, or to be one."""
        assert native is not None
        frames: list[bytes] = []
        need = self._turn.need
        at = native.tickwire_take_frames(
            frames, data, size, at, self._limit, self._masked, FRAMES_OF_A_READ, ctypes.addressof(need)
        )
        if at < 0:
            raise MemoryError
        if frames:
            self.intake.feed_frames(frames)
        return at, need.value

    def _give(self, message: Message) -> None:
        opcode, said = message
        if opcode == CLOSE:
            self._done = True  # what comes behind it counts for nothing
            self.intake.feed_data(WSMessage(WSMsgType.CLOSE, *said), 0)
            return
        self.intake.feed_data(WSMessage(WSMsgType(opcode), said, ""), len(said) + _MESSAGE_COST)
        if self._reader.inflated:
            self._turn.spend(self._reader.inflated)

    def _lay_aside(self, data: bytes) -> None:
        self._laid_aside = [data]
        if not self._protocol._reading_paused:
            self._protocol.pause_reading()
        if not self.intake.full:
            self._waits_for_turn = True
            self._turn.wait(self)

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


def intake_for(
    queue: Any, protocol: Any, limit: int, turn: Turn, *, compress: bool, masked: bool, ratio: float = 0.0
) -> tuple[Intake, Any] | None:
    """What stands in for the queue that aiohttp has made for a WebSocket, and for its parser, which has seen nothing.

    A message has at most `limit` bytes. `masked` says whether what comes is: what a server gets must be.

    None where aiohttp is not as we know it.
    """
    try:
        if type(queue) is not WebSocketDataQueue:
            return None
        reads = _Reads(protocol, Reader(limit, masked=masked, deflates=compress, ratio=ratio), limit, masked, turn)
        intake = reads.intake = Intake(reads, queue._limit // 2, loop=protocol._loop)
        intake.reads = reads
        return intake, reads
    except (AttributeError, TypeError):
        return None


def _nobody(frames: list[bytes]) -> None:
    """What came in the read in which somebody was shut is not acted on."""


def _nothing() -> None:
    pass
