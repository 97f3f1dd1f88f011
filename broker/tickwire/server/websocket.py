"""aiohttp's WebSocket as the broker opens it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiohttp import WSCloseCode, web
from aiohttp.http import HttpRequestParser

from tickwire.intake import Intake, intake_for
from tickwire.wire.limits import HELLO_BYTES, SUBPROTOCOL

from .settings import Settings

CLOSE_TIMEOUT = 3.0  # seconds that a peer has to answer a close


class Socket(web.WebSocketResponse[Literal[False]]):
    """It has an intake where that can be had. We may speak before it closes on what is too big."""

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
        self.before_close: Callable[[], None] | None = None  # called before a close frame is written

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        on_too_big, self.on_too_big = self.on_too_big, None
        if code == WSCloseCode.MESSAGE_TOO_BIG and on_too_big and not self.closed:
            await on_too_big()
        if self.before_close is not None:
            self.before_close()
        return await super().close(code=code, message=message, drain=drain)

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        # What came right behind the upgrade goes into the parser that aiohttp makes here, perhaps half a frame.
        came_behind = getattr(request.protocol, "_message_tail", True)
        super()._post_start(request, protocol, writer)
        if not came_behind:
            self._put_intake(request.protocol)

    def _put_intake(self, protocol: Any) -> None:
        """Between the parser and the queue, if all is as we know it."""
        if getattr(protocol, "_payload_parser", None) is not getattr(self, "_parser", self):
            return
        made = intake_for(
            self._reader,
            protocol,
            self._max_msg_size,
            compress=bool(self._compress),
            decode_text=False,
            masked=True,
        )
        if made is not None:
            self.intake, parser = made
            self._reader, self._parser, protocol._payload_parser = self.intake, parser, parser
            _forget_requests(protocol)


def _forget_requests(protocol: Any) -> None:
    """No other request comes over a connection that was upgraded: what waited for it was 1.5 KiB of an idle one."""
    if type(getattr(protocol, "_messages", None)) is deque and not protocol._messages:
        protocol._messages = ()
    if isinstance(getattr(protocol, "_parser", None), HttpRequestParser):
        protocol._parser = None
