"""aiohttp's WebSocket as the broker opens it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiohttp import WSCloseCode, web
from aiohttp.http import HttpRequestParser

from tickwire.intake import Intake, Turn, intake_for
from tickwire.wire.limits import HELLO_BYTES, SUBPROTOCOL
from tickwire.wire.websocket import TOO_BIG, Broken

from ..configuration.settings import Settings

CLOSE_TIMEOUT = 3.0  # seconds that a peer has to answer a close


class Socket(web.WebSocketResponse[Literal[False]]):
    """It has an intake where that can be had. We may speak before it closes on what breaks the rules.

    Use the class that `socket_class` makes: what all sockets of a broker have in common is not in each of them. With
    more than 30 attributes an object has 1.5 KiB of a dictionary of its own.
    """

    settings: Settings
    turn: Turn

    def __init__(self) -> None:
        settings = self.settings
        super().__init__(
            protocols=(SUBPROTOCOL,),
            compress=settings.compression,
            max_msg_size=self._longest + 1,  # aiohttp refuses what is as long as its limit
            autoping=False,
            timeout=CLOSE_TIMEOUT,
            decode_text=False,
        )
        self.intake: Intake | None = None
        self.on_broken: Callable[[Broken], Awaitable[None]] | None = None
        self.before_close: Callable[[], None] | None = None  # called before a close frame is written

    @property
    def _longest(self) -> int:
        return max(self.settings.frame_bytes, HELLO_BYTES)

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        on_broken, self.on_broken = self.on_broken, None
        if on_broken and not self.closed and (broken := self._broken(code)):
            await on_broken(broken)
        if self.before_close is not None:
            self.before_close()
        return await super().close(code=code, message=message, drain=drain)

    def _broken(self, code: int) -> Broken | None:
        """What the peer did wrong, where that is why we close."""
        if self.intake is not None:
            return self.intake.broken
        return Broken(TOO_BIG, f"a message exceeds the limit of {self._longest} bytes") if code == TOO_BIG else None

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        # What came right behind the upgrade is not for the parser that aiohttp makes here, which bears with a lot.
        came_behind = getattr(request.protocol, "_message_tail", b"")
        if came_behind:
            request.protocol._message_tail = b""
        super()._post_start(request, protocol, writer)
        self._put_intake(request.protocol)
        if came_behind and self._parser is not None:
            self._parser.feed_data(came_behind)

    def _put_intake(self, protocol: Any) -> None:
        """Between the parser and the queue, if all is as we know it."""
        if getattr(protocol, "_payload_parser", None) is not getattr(self, "_parser", self):
            return
        made = intake_for(
            self._reader,
            protocol,
            self._longest,
            self.turn,
            compress=bool(self._compress),
            masked=True,
            ratio=self.settings.inflate_ratio,
        )
        if made is not None:
            self.intake, parser = made
            self._reader, self._parser, protocol._payload_parser = self.intake, parser, parser
            _forget_requests(protocol)


def socket_class(settings: Settings) -> type[Socket]:
    """Sockets of one broker: what they inflate they inflate in turns."""
    return type("Socket", (Socket,), {"settings": settings, "turn": Turn()})


def _forget_requests(protocol: Any) -> None:
    """No other request comes over a connection that was upgraded: what waited for it was 1.5 KiB of an idle one."""
    if type(getattr(protocol, "_messages", None)) is deque and not protocol._messages:
        protocol._messages = ()
    if isinstance(getattr(protocol, "_parser", None), HttpRequestParser):
        protocol._parser = None
