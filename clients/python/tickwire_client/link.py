"""One WebSocket to a broker: frames in, frames out. The only file of the client that knows aiohttp."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import deque
from collections.abc import Callable, Iterable
from ssl import SSLContext, SSLError
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from tickwire.intake import NOTHING, Intake, Turn, intake_for
from tickwire.wire.limits import SUBPROTOCOL

from .addresses import PATH, advice
from .errors import ConnectionLost, Refused

try:
    from aiohttp._websocket.helpers import websocket_mask
except ImportError:  # another inside of aiohttp's: everything leaves by its own `send_bytes`
    websocket_mask = None  # type: ignore[assignment]

STIRRED = b"stirred"  # what `receive` gives where it was stirred; not a frame, so it is compared by identity
_WINDOW_BITS = 15
_CLOSE_TIMEOUT = 1.0  # seconds for the broker to answer a close
_MAX_MESSAGE = 4 << 20  # inflated; a broker sends at most 1 MiB
_ABNORMAL = 1006  # the close code where no close came
_LOST = "the connection was lost"
_HTTP_CODES = {400: "subprotocol_required", 401: "unauthorized", 403: "forbidden", 429: "too_many_connections"}
_SAID = re.compile(r"(.+?)\s*\[([a-z0-9_]+)\]", re.DOTALL)
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
_TRUST = "its certificate must be one that this machine trusts, or that connect(ssl=) or --tls-ca names"
_SHOW = "connect(ssl=), or --tls-cert and --tls-key, show one"
_HUNG_UP = (ConnectionResetError, aiohttp.ServerDisconnectedError)


class HttpRefused(Refused):
    """The broker, or something before it, answered the upgrade with a status and not with a WebSocket."""

    def __init__(self, status: int, code: str, text: str, retry_after: float) -> None:
        self.status, self.retry_after = status, retry_after
        super().__init__(code, text, {"status": status})


class NoAnswer(ConnectionLost):
    """Nobody who answers was found at the address. `why` goes without the advice, which is for the first time."""

    def __init__(self, why: str, advice: str) -> None:
        self.why = why
        super().__init__(f"{why}; {advice}")


class Socket(ClientWebSocketResponse[Literal[True]]):
    """Frames are received compressed but sent plain: deflating what is published would cost more than all the rest.

    It has an intake where that can be had.
    """

    def __init__(
        self, reader: Any, writer: Any, protocol: Any, response: aiohttp.ClientResponse, *args: Any, **kwargs: Any
    ) -> None:
        writer.compress = 0
        self.response = response
        self.intake: Intake | None = None
        self._parses: Any = None
        connection = response.connection
        self.transport = None if connection is None else connection.transport
        self._connection_protocol: Any = None if connection is None else connection.protocol
        super().__init__(reader, writer, protocol, response, *args, **kwargs)
        self._queue = reader

    @property
    def _parser(self) -> Any:
        """aiohttp sets the parser here, and takes it from here to feed it: in between ours stands in for it."""
        return self._parses

    @_parser.setter
    def _parser(self, parser: Any) -> None:
        self._parses = parser
        if parser is None:
            return
        compress = bool(self.compress)
        made = intake_for(
            self._reader, self._connection_protocol, _MAX_MESSAGE, Turn(), compress=compress, masked=False
        )
        if made is not None:
            self.intake, self._parses = made
            self._reader = self.intake

    def settle(self) -> None:
        """The WebSocket is open: where aiohttp feeds another parser than ours, there is no intake.

        Where it feeds none any more, what came behind the upgrade was wrong or the end: our queue has been told.
        """
        fed = getattr(self._connection_protocol, "_payload_parser", self)
        if self.intake is not None and fed is not None and fed is not self._parses:
            self.intake, self._reader = None, self._queue


class Link:
    """An open connection. `receive` gives the next frame, or None when there will be no more."""

    def __init__(self, http: aiohttp.ClientSession, socket: Socket) -> None:
        self._http, self._socket = http, socket
        self._intake: Intake | None = None  # while somebody listens
        self._take: Callable[[bytes], None]
        self._stirred = False  # in the read that is going on
        self._left: deque[bytes] = deque()  # what came behind that in the same read
        self._held: aiohttp.WSMessage | None = None  # and what came behind those

    def listen(self, take: Callable[[bytes], None]) -> None:
        """Where that can be had, `take` gets at once what comes while `receive` is awaited. It must not raise."""
        self._intake = self._socket.intake
        if self._intake is not None:
            self._take, self._intake.take = take, self._take_all

    def stir(self) -> None:
        """Give `take` nothing more, and let `receive` return with STIRRED."""
        if self._intake is not None:
            self._stirred = True
            self._intake.stir()

    def _take_all(self, frames: list[bytes]) -> None:
        self._stirred = False
        for number, frame in enumerate(frames, 1):
            self._take(frame)
            if self._stirred:
                self._left.extend(frames[number:])
                break

    async def receive(self) -> bytes | None:
        """Pings are answered here, so not while nobody receives: that is what BEAT frames are for."""
        while True:
            if self._left:
                return self._left.popleft()
            message, self._held = self._held or await self._receive(), None
            if self._left:
                self._held = message
                return STIRRED
            if message.type is WSMsgType.BINARY:
                frame: bytes = message.data
                return frame
            if message.type is NOTHING:
                return STIRRED
            if message.type is not WSMsgType.TEXT:
                return None

    async def _receive(self) -> aiohttp.WSMessage:
        intake = self._intake
        if intake is not None:
            intake.receiving()
        message = await self._socket.receive()
        if intake is not None:
            intake.open = False  # what comes while this is looked at waits its turn
        return message

    @property
    def writable(self) -> bool:
        """Whether `write` can take frames: the transport has sent all that it was given before."""
        transport = self._socket.transport
        return (
            websocket_mask is not None
            and transport is not None
            and not (self._socket.closed or transport.is_closing() or transport.get_write_buffer_size())
        )

    def write(self, frames: Iterable[bytes]) -> None:
        """Write frames at once, in one go; only where it is `writable`."""
        pieces: list[bytes | bytearray] = []
        for frame in frames:
            mask, body = random.getrandbits(32).to_bytes(4, "big"), bytearray(frame)
            websocket_mask(mask, body)
            pieces += (_header(len(frame)), mask, body)
        if self._socket.transport is not None:
            self._socket.transport.write(b"".join(pieces))

    async def send(self, frame: bytes) -> None:
        """Write a frame; waits while the transport holds more than it should. Raises ConnectionLost."""
        try:
            await self._socket.send_bytes(frame)
        except (ConnectionError, RuntimeError) as error:
            raise ConnectionLost(_LOST) from error

    @property
    def why(self) -> str:
        """How it ended, for people."""
        fault, code = self._socket.exception(), self._socket.close_code
        if isinstance(fault, (OSError, aiohttp.ClientError)) or (fault is None and code in (None, _ABNORMAL)):
            return _LOST
        return f"the broker closed the connection ({code})" if fault is None else str(fault) or type(fault).__name__

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


async def open_link(
    url: str, *, compress: bool, ssl: SSLContext | None = None, headers: dict[str, str] | None = None
) -> Link:
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
            ssl=True if ssl is None else ssl,
        )
    except BaseException as error:
        await http.close()
        if isinstance(error, (aiohttp.ClientError, OSError)) and not isinstance(error, asyncio.CancelledError):
            raise _no_answer(url, error) from None
        raise
    link = Link(http, cast(Socket, socket))
    cast(Socket, socket).settle()
    if socket.protocol != SUBPROTOCOL:
        await link.abort()
        raise ConnectionLost(f"{url} is a WebSocket but does not speak {SUBPROTOCOL}")
    return link


def _header(length: int) -> bytes:
    """Of a masked binary frame that is its whole message (RFC 6455, 5.2)."""
    if length < 126:
        return bytes((0x82, 0x80 | length))
    if length < 1 << 16:
        return b"\x82\xfe" + length.to_bytes(2, "big")
    return b"\x82\xff" + length.to_bytes(8, "big")


def _no_answer(url: str, error: BaseException) -> NoAnswer:
    """The reason without aiohttp's own words, which name the host once more and its TLS settings."""
    cannot, host = f"cannot connect to {url}", urlsplit(url).hostname
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return NoAnswer(f"{cannot}: {error.certificate_error}", _TRUST)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NoAnswer(f"{cannot}: the name {host} is not known", "check its spelling")
    cause = getattr(error, "os_error", error)
    reason = getattr(cause, "reason", None) or ""
    if isinstance(error, aiohttp.ClientSSLError) and reason in _NO_TLS:
        return NoAnswer(f"{cannot}: it does not speak TLS", "use ws:// for a broker without it")
    if "CERTIFICATE_REQUIRED" in reason or (url.startswith("wss:") and isinstance(error, _HUNG_UP)):
        return NoAnswer(f"{cannot}: it ended the connection; it may want to see a certificate of yours", _SHOW)
    if isinstance(error, (aiohttp.ClientSSLError, SSLError)):
        return NoAnswer(f"{cannot}: TLS failed: {reason.lower().replace('_', ' ') or cause}", _SHOW)
    if isinstance(error, _HUNG_UP):
        return NoAnswer(f"{cannot}: it ended the connection", "if it speaks TLS, its address begins with wss://")
    number = getattr(cause, "errno", None)
    why = os.strerror(number).lower() if isinstance(number, int) and number > 0 else str(cause) or "no answer"
    return NoAnswer(f"{cannot}: {why}", advice(url))


async def _read_refusal(response: aiohttp.ClientResponse) -> None:
    if response.status == 101:
        return
    status, after = response.status, response.headers.get("Retry-After", "")
    page = (await response.content.read(1024)).decode("utf-8", "replace").strip()
    said = _SAID.fullmatch(page)  # a broker's own refusals end with their code
    code = said[2] if said else _HTTP_CODES.get(status, f"http_{status}")
    answer = f"{status} {response.reason or ''}".strip()
    if said:
        text = said[1]
    elif status == 404:
        text = f"there is no Tickwire broker at the path {response.url.path} ({answer}); a broker's is {PATH}"
    elif status < 400:
        text = f"{response.url.path} is not a Tickwire endpoint (it answered {answer}); a broker's path is {PATH}"
    else:
        text = page or response.reason or "no reason given"
    raise HttpRefused(status, code, text, float(after) if after.isdecimal() else 0.0)
