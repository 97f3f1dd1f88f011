"""One WebSocket to a broker: frames in, frames out. The only file of the client that knows aiohttp."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Literal, cast

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from tickwire.wire.limits import SUBPROTOCOL

from .addresses import advice
from .errors import ConnectionLost, Refused

_WINDOW_BITS = 15
_CLOSE_TIMEOUT = 1.0  # seconds for the broker to answer a close
_MAX_MESSAGE = 4 << 20  # inflated; a broker sends at most 1 MiB
_HTTP_CODES = {400: "subprotocol_required", 401: "unauthorized", 403: "forbidden", 429: "too_many_connections"}


class HttpRefused(Refused):
    """The broker, or something before it, answered the upgrade with a status and not with a WebSocket."""

    def __init__(self, status: int, text: str, retry_after: float) -> None:
        self.status, self.retry_after = status, retry_after
        super().__init__(_HTTP_CODES.get(status, f"http_{status}"), text, {"status": status})


class Socket(ClientWebSocketResponse[Literal[True]]):
    """Frames are received compressed but sent plain: deflating what is published would cost more than all the rest."""

    def __init__(
        self, reader: Any, writer: Any, protocol: Any, response: aiohttp.ClientResponse, *args: Any, **kwargs: Any
    ) -> None:
        writer.compress = 0
        self.response = response
        self.transport = None if response.connection is None else response.connection.transport
        super().__init__(reader, writer, protocol, response, *args, **kwargs)


class Link:
    """An open connection. `receive` gives the next frame, or None when there will be no more."""

    def __init__(self, http: aiohttp.ClientSession, socket: Socket) -> None:
        self._http, self._socket = http, socket

    async def receive(self) -> bytes | None:
        """Pings are answered here, so not while nobody receives: that is what BEAT frames are for."""
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                frame: bytes = message.data
                return frame
            if message.type is not WSMsgType.TEXT:
                return None

    async def send(self, frame: bytes) -> None:
        """Write a frame; waits while the transport holds more than it should. Raises ConnectionLost."""
        try:
            await self._socket.send_bytes(frame)
        except (ConnectionError, RuntimeError) as error:
            raise ConnectionLost(f"the connection went: {error}") from None

    @property
    def why(self) -> str:
        """How it ended, for people."""
        fault = self._socket.exception()
        return f"closed with {self._socket.close_code}" if fault is None else str(fault) or type(fault).__name__

    @property
    def unsent(self) -> bool:
        """Whether something waits in the transport."""
        transport = self._socket.transport
        return transport is not None and not transport.is_closing() and transport.get_write_buffer_size() > 0

    async def close(self) -> None:
        try:
            await self._socket.close()
        finally:
            await self.abort()

    async def abort(self) -> None:
        """Let go of it at once. What is unsent stays so: flushing it to a machine that has gone takes minutes."""
        if self._socket.transport is not None:
            self._socket.transport.abort()
        self._socket.response.close()
        await self._http.close()


async def open_link(url: str, *, compress: bool, headers: dict[str, str] | None = None) -> Link:
    """Connect. Raises HttpRefused where the answer is a refusal, ConnectionLost where there is none."""
    http = aiohttp.ClientSession(
        ws_response_class=Socket,
        raise_for_status=_read_refusal,
        connector=aiohttp.TCPConnector(limit=1, force_close=True),
    )
    try:
        socket = await http.ws_connect(
            url,
            protocols=(SUBPROTOCOL,),
            compress=_WINDOW_BITS if compress else 0,
            max_msg_size=_MAX_MESSAGE,
            timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT),
            headers=headers,
        )
    except BaseException as error:
        await http.close()
        if isinstance(error, (aiohttp.ClientError, OSError)) and not isinstance(error, asyncio.CancelledError):
            raise ConnectionLost(f"cannot connect to {url}: {_why(error)}; {advice(url)}") from None
        raise
    link = Link(http, cast(Socket, socket))
    if socket.protocol != SUBPROTOCOL:
        await link.abort()
        raise ConnectionLost(f"{url} is a WebSocket but does not speak {SUBPROTOCOL}")
    return link


def _why(error: BaseException) -> str:
    """aiohttp's own words name the host once more and its TLS settings; the system's are enough."""
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else str(error)


async def _read_refusal(response: aiohttp.ClientResponse) -> None:
    if response.status == 101:
        return
    text = (await response.content.read(1024)).decode("utf-8", "replace").strip()
    after = response.headers.get("Retry-After", "")
    raise HttpRefused(
        response.status, text or response.reason or "no reason given", float(after) if after.isdecimal() else 0.0
    )
