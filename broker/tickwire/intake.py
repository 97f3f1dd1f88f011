"""Frames straight from the socket to their session, with no task between. Both shells stand on it: broker and SDK.

The documented way to read is `await ws.receive()`: a queue, a future and a turn of the loop for every frame that comes
alone. Here the queue that aiohttp's parser feeds collects binary frames, and those of one read are handed on together
when it ends: sixteen publishers of single messages on disk got 1.17 times as many acknowledged a second (the median of
five pairs). Its names are not documented: where one of them is missing there is no intake, and everything comes by
`receive`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import WSMessage, WSMsgType

try:
    from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
except ImportError:  # another inside of aiohttp's
    WebSocketDataQueue = WebSocketReader = object  # type: ignore[assignment]

FRAMES_OF_A_READ = 2_048  # handed on together; one read may bring 40,000, and what is above waits for `receive`
_BINARY = WSMsgType.BINARY
NOTHING = WSMsgType.CONTINUATION  # the type of a message that nobody sent: aiohttp puts the pieces of others together
_STIRRED = WSMessage(NOTHING, b"", None)


class Intake(WebSocketDataQueue):
    """Collects binary frames for `take` while it is `open`, which is when nothing waits; all else is for `receive`.

    `take` must not raise.
    """

    __slots__ = ("_came", "open", "take")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.open = False
        self.take: Callable[[list[bytes]], None] = _nobody
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
    """Stands before aiohttp's parser: every read goes through it, and only it knows where one ends."""

    __slots__ = ("_intake", "_parser")

    def __init__(self, parser: Any, intake: Intake) -> None:
        self._parser, self._intake = parser, intake

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        result: tuple[bool, bytes] = self._parser.feed_data(data)
        self._intake.end_of_read()
        return result

    def feed_eof(self) -> None:
        self._parser.feed_eof()


def intake_for(
    queue: Any, protocol: Any, max_message: int, *, compress: bool, decode_text: bool
) -> tuple[Intake, Any] | None:
    """What stands in for the queue that aiohttp has made for a WebSocket, and a parser into it, which has seen nothing.

    None where aiohttp is not as we know it.
    """
    try:
        if type(queue) is not WebSocketDataQueue:
            return None
        intake = Intake(protocol, queue._limit // 2, loop=protocol._loop)
        parser = WebSocketReader(intake, max_message, compress=compress, decode_text=decode_text)
        return intake, _Reads(parser, intake)
    except (AttributeError, TypeError):
        return None


def _nobody(frames: list[bytes]) -> None:
    """What came in the read in which somebody was shut is not acted on."""
