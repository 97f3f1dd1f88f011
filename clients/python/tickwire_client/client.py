"""The client: one object for everything an application does with a broker, whatever connection there is at the time."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from functools import partial
from ssl import SSLContext
from typing import TypeVar

import msgpack

from tickwire import __version__
from tickwire.wire.limits import MSGPACK

from .addresses import Addresses
from .batch import MISSING, Batch, encoded
from .checks import check_callback, check_name, check_seconds
from .connection import Connection, OnState
from .deadlines import Deadlines
from .errors import BufferFull, ConnectionLost, Refused, TickwireError
from .messages import Receipt
from .opening import Opening
from .payloads import new_packer, not_packed
from .publishes import Entry, Whole
from .reading import Reading, settle
from .runs import MESSAGE_BYTES, Runs
from .session import Session
from .tokens import Token, check_token

log = logging.getLogger("tickwire_client")

BUFFERED_BYTES = 8 << 20
T = TypeVar("T")


def connect(
    url: str | Iterable[str] = "ws://127.0.0.1:8765",
    *,
    token: Token = None,
    ssl: SSLContext | None = None,
    name: str | None = None,
    publisher: str | None = None,
    compress: bool = True,
    timeout: float = 30.0,
    reconnect: bool = True,
    on_state: OnState | None = None,
    on_refused: Callable[[Refused], None] | None = None,
) -> Opening[Client]:
    """A client: `async with connect() as client`, or `client = await connect()`, which is closed with `client.close()`.

    Of several addresses the first that answers is used; where it goes, the next. `name` tells the broker what
    this client is. `timeout` seconds is how long publishing and subscribing wait for a connection and for the answer,
    and connecting for a broker that says nothing, but that at most 10.
    `token` is what the broker wants to see of you, or a function that gives it, which may be a coroutine function: it
    is asked at each connection, and for a newer one before the last expires. Where it fails at a later connection it is
    asked again with the next. `ssl` is for a `wss://` broker whose certificate this machine does not trust by itself,
    or that wants to see one of yours.
    `on_state(state, detail)` is called with "connecting", "connected", "reconnecting" and "closed"; `on_refused(error)`
    when a `publish_nowait` or an acknowledgment of a consumer was refused.

    A publish whose answer went with the connection is sent again over the next one, within the timeout, and stored
    once: the broker knows it by the publisher, by when this client was made, and by its number. `publisher` is a name
    that stays the same over restarts of your application; without it there is a random one. In either case a restart
    begins anew: what the application was not told before it ended, it must find out from what it finds stored.

    Raises ConnectionLost where nobody answers: the first connection is tried once. Raises Refused where the broker says
    no. Later losses are mended for ever, unless `reconnect=False`.
    """
    software = f"tickwire-python/{__version__}" if name is None else f"{name} tickwire-python/{__version__}"
    if publisher is not None:
        check_name(publisher, "publisher")
    check_seconds(timeout, "timeout")
    check_callback(on_state, "on_state")
    check_callback(on_refused, "on_refused")
    check_token(token)
    if ssl is not None and not isinstance(ssl, SSLContext):
        raise TypeError(f"ssl must be an ssl.SSLContext, not {type(ssl).__name__}")

    async def open() -> Client:
        identity = publisher or secrets.token_hex(8), time.time_ns() // 1000
        session = Session(software=software, max_bytes=BUFFERED_BYTES, identity=identity)
        connection = Connection(
            session,
            Addresses(url),
            token=token,
            ssl=ssl,
            compress=compress,
            timeout=timeout,
            reconnect=reconnect,
            on_state=on_state,
        )
        client = Client(session, connection, timeout, on_refused)
        await connection.start()
        return client

    return Opening("connect()", open, "client")


class Client(Reading):
    """A session that is kept connected. Made by `connect`; used in one event loop."""

    def __init__(
        self,
        session: Session,
        connection: Connection,
        timeout: float,
        on_refused: Callable[[Refused], None] | None,
    ) -> None:
        self._session, self._connection, self._outbox = session, connection, session.outbox
        self._packer: msgpack.Packer | None = None
        self._deadlines = Deadlines(timeout, session.outbox.abandon)
        self._timeout = timeout
        self._on_refused = on_refused
        self._refusals_logged: set[str] = set()
        self._loop = asyncio.get_running_loop()
        session.on_refused = self._refused

    def __repr__(self) -> str:
        return f"<Client {self._connection.url} {self.state}>"

    @property
    def state(self) -> str:
        """One of "connecting", "connected", "reconnecting", "closed"."""
        return self._connection.state

    @property
    def epoch(self) -> int | None:
        """That of the broker's offsets now, as in `Position(topic, client.epoch, offset)`."""
        return self._session.epoch

    @property
    def batch_limits(self) -> tuple[int, int]:
        """How many messages a batch should have at most, and how many bytes.

        Of what the broker takes in a frame, and where it bounds your rate, of a second.
        """
        limits = self._session.limits
        return limits.joined_messages, limits.joined_bytes

    async def publish(self, topic: str, data: object = MISSING, *, payload: bytes | None = None) -> Receipt:
        """Publish and wait for the broker's acknowledgment.

        An acknowledged message is in the topic's log; it has not necessarily been received. `data` is any msgpack
        value, `payload=` bytes that go as they are. Where the connection goes first it is sent again over the next one,
        and stored once. Raises Refused (certainly not stored), ConnectionLost (no connection within the timeout:
        certainly not sent) or OutcomeUnknown (sent, and not answered within the timeout, or the broker began a new
        epoch meanwhile, or its disk failed: stored, or not).
        """
        self._check_open()
        body, format = encoded(data, payload)
        future: asyncio.Future[Receipt] = self._loop.create_future()
        entry = self._session.publish(topic, body, partial(settle, future), format)
        return await self._answer(future, entry)

    def publish_nowait(self, topic: str, data: object = MISSING, *, payload: bytes | None = None) -> None:
        """Publish without waiting: at most once, and nobody is told, except `on_refused` of what the broker refuses.

        It leaves with the next frame, or after the next reconnection. Raises Refused where it would be refused for
        certain, and BufferFull while 8 MiB wait to be sent: `await client.flush()` from time to time.
        """
        # The way of most, written out: a run of the topic waits to be sent in this turn. Each call that is less is 5 %
        # for the benchmarks `sdk` and `sdk: post 64`.
        outbox, connection = self._outbox, self._connection
        if payload is None and data is not MISSING:
            # Taken away while it packs: data may run code that publishes.
            packer, self._packer = self._packer or new_packer(), None
            try:
                body: bytes = packer.pack(data)
            except (TypeError, ValueError) as error:
                raise not_packed(error) from None
            self._packer, format = packer, MSGPACK
        else:
            body, format = encoded(data, payload)
        size = len(body)
        held = outbox.bytes + size
        if held > BUFFERED_BYTES:
            raise BufferFull(BUFFERED_BYTES)
        if connection.soon and type(topic) is str:
            run = outbox.latest.get(topic)
            if run is not None and size <= run.largest and run.format == format:
                run.payloads.append(body)
                outbox.bytes = held + MESSAGE_BYTES
                return
        self._check_open()
        self._session.post(topic, body, format)
        connection.send_soon()

    def batch(self) -> Batch:
        """Messages that are published together on leaving `async with client.batch() as batch`.

        Leaving raises what `publish` does, and Refused with the limit's name where they are more than a frame holds.
        """
        return Batch(self._publish_batch, self._session.check)

    async def flush(self) -> None:
        """Send what is buffered and wait until the broker has acted on all of it, acknowledgments of consumers too.

        Raises as `publish` does; and OutcomeUnknown where a connection went before the broker had confirmed what
        `publish_nowait` had sent: that may be lost, and is told once.
        """
        self._check_open()
        await self._whole(Runs())

    async def close(self, *, timeout: float = 5.0) -> None:
        """Send what is buffered, within the timeout, and close the connection. Subscriptions end.

        Where there is no connection it is waited for as long; that something could not be sent is told in the log.
        Nothing more is taken meanwhile: publishing raises ConnectionLost.
        """
        self._closing = True
        try:
            if self._connection.unsent:
                await self._flush_within(timeout)
        finally:
            self._session.give_up(ConnectionLost("the client was closed first: certainly not sent"))
            self._deadlines.cancel()
            try:
                await self._connection.close("the application closed the client")
            finally:
                self._session.closed()

    async def _flush_within(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._whole(Runs())
        except (TimeoutError, TickwireError) as error:
            log.warning("closing with messages unsent: %s", str(error) or "the broker did not take them in time")

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _publish_batch(self, messages: Runs) -> Whole:
        self._check_open()
        return await self._whole(messages)

    async def _whole(self, messages: Runs) -> Whole:
        future: asyncio.Future[None] = self._loop.create_future()
        whole = self._session.publish_whole(messages, partial(settle, future))
        await self._answer(future, whole)
        return whole

    async def _answer(self, future: asyncio.Future[T], publish: Entry | Whole) -> T:
        """What the broker says to it, or what went wrong."""
        self._connection.send_soon()
        self._deadlines.add(future, publish)
        self._connection.brake.await_answer(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._session.outbox.abandon(publish)
            raise
        finally:
            self._connection.brake.answered(future)

    def _refused(self, what: str, error: Refused) -> None:
        if error.code not in self._refusals_logged:
            self._refusals_logged.add(error.code)
            log.warning("the broker refused %s: %s (said once for each code)", what, error)
        if self._on_refused is not None:
            try:
                self._on_refused(error)
            except Exception:
                log.exception("on_refused raised")
