"""Frames straight from the socket to their session, with no task between. Only this file leans on aiohttp's inside.

The documented way to read is `await ws.receive()`: a queue, a future and a turn of the loop for every frame that comes
alone. Here the queue that aiohttp's parser feeds hands binary frames on at once: sixteen publishers of single messages
on disk got 1.17 times as many acknowledged a second (the median of five pairs). Its names are not documented: where one
of them is missing there is no intake, and everything comes by `receive`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from tickwire.wire.limits import HELLO_BYTES, SUBPROTOCOL

from .settings import Settings

try:
    from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
except ImportError:  # another inside of aiohttp's
    WebSocketDataQueue = WebSocketReader = object  # type: ignore[assignment]

CLOSE_TIMEOUT = 3.0  # seconds that a peer has to answer a close

_BINARY = WSMsgType.BINARY
_NOTHING = WSMessage(WSMsgType.PONG, b"", None)  # a message that nobody sent, and nobody minds


class Intake(WebSocketDataQueue):
    """Gives binary frames to `take` while it is `open`, which is when nothing waits; all else is for `receive`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.open = False
        self.take: Callable[[bytes], None] = _nobody

    def feed_data(self, data: Any, size: int) -> None:
        if self.open and data.type is _BINARY:
            self.take(data.data)
        else:
            # Closed until `receive` is asked for more than waits here: when it gives the last that does, aiohttp goes
            # on with the bytes that it had laid aside meanwhile, before anybody has acted on what it gives.
            self.open = False
            super().feed_data(data, size)

    def receiving(self) -> None:
        """`receive` is about to be called: where nothing waits, what comes is for `take`."""
        self.open = not self._buffer

    def stir(self) -> None:
        """Close, and let `receive` return: its caller is to look at what has changed."""
        self.open = False
        super().feed_data(_NOTHING, 0)

    def shut(self) -> None:
        """Give nobody anything any more: what still comes is for `receive`, as who waits for a close calls it."""
        self.open, self.take = False, _nobody


class Socket(web.WebSocketResponse[Literal[False]]):
    """aiohttp's WebSocket, with an intake where that can be had. We may speak before it closes on what is too big."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            protocols=(SUBPROTOCOL,),
            compress=settings.compression,
            max_msg_size=max(settings.frame_bytes, HELLO_BYTES) + 1,  # aiohttp refuses what is as long as its limit
            autoping=False,
            timeout=CLOSE_TIMEOUT,
            decode_text=False,
        )
        self.intake: Intake | None = None
        self.on_too_big: Callable[[], Awaitable[None]] | None = None

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        on_too_big, self.on_too_big = self.on_too_big, None
        if code == WSCloseCode.MESSAGE_TOO_BIG and on_too_big and not self.closed:
            await on_too_big()
        return await super().close(code=code, message=message, drain=drain)

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        # What came right behind the upgrade goes into the parser that aiohttp makes here, perhaps half a frame.
        came_behind = getattr(request.protocol, "_message_tail", True)
        super()._post_start(request, protocol, writer)
        if not came_behind:
            self._put_intake(request.protocol)

    def _put_intake(self, protocol: Any) -> None:
        """Between the parser and the queue, if all is as we know it."""
        try:
            if type(self._reader) is not WebSocketDataQueue or protocol._payload_parser is not self._parser:
                return
            intake = Intake(protocol, self._reader._limit // 2, loop=protocol._loop)
            parser = WebSocketReader(intake, self._max_msg_size, compress=bool(self._compress), decode_text=False)
        except (AttributeError, TypeError):
            return
        self._reader, self._parser, protocol._payload_parser = intake, parser, parser
        self.intake = intake


def _nobody(frame: bytes) -> None:
    raise RuntimeError("an open intake has nobody to give a frame to")
