"""The client: one object for everything an application does with a broker, whatever connection there is at the time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, TypeVar, overload

from tickwire import __version__

from .addresses import Addresses
from .batch import MISSING, Batch, encoded
from .connection import Connection, OnState
from .deadlines import Deadlines
from .errors import BufferFull, ConnectionLost, Refused, TickwireError
from .messages import Gap, Message, Receipt
from .opening import Opening
from .publishes import Entry, Whole
from .session import Session
from .subscription import OnGap, Subscription

log = logging.getLogger("tickwire_client")

BUFFERED_BYTES = 8 << 20
OnFull = Literal["wait", "drop"]
T = TypeVar("T")


def connect(
    url: str | Iterable[str] = "ws://127.0.0.1:8765",
    *,
    token: str | None = None,
    name: str | None = None,
    compress: bool = True,
    timeout: float = 30.0,
    reconnect: bool = True,
    on_state: OnState | None = None,
    on_refused: Callable[[Refused], None] | None = None,
) -> Opening[Client]:
    """A client: `async with connect() as client`, or `client = await connect()`, which is closed with `client.close()`.

    Of several addresses the first that answers is used; where it goes, the next. `name` tells the broker what
    this client is. `timeout` seconds is how long publishing and subscribing wait for a connection and for the answer.
    `on_state(state, detail)` is called with "connecting", "connected", "reconnecting" and "closed"; `on_refused(error)`
    with what became of a `publish_nowait` that was refused.

    Raises ConnectionLost where nobody answers, Refused where the broker says no. Later losses are mended for ever,
    unless `reconnect=False`.
    """
    software = f"tickwire-python/{__version__}" if name is None else f"{name} tickwire-python/{__version__}"

    async def open() -> Client:
        client = Client(
            Session(token=token, software=software, max_bytes=BUFFERED_BYTES),
            Addresses(url),
            compress=compress,
            timeout=timeout,
            reconnect=reconnect,
            on_state=on_state,
            on_refused=on_refused,
        )
        await client._connection.start()
        return client

    return Opening("connect()", open, "client")


class Client:
    """A session that is kept connected. Made by `connect`; used in one event loop."""

    def __init__(
        self,
        session: Session,
        addresses: Addresses,
        *,
        compress: bool,
        timeout: float,
        reconnect: bool,
        on_state: OnState | None,
        on_refused: Callable[[Refused], None] | None,
    ) -> None:
        self._session = session
        self._connection = Connection(session, addresses, compress=compress, reconnect=reconnect, on_state=on_state)
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

    async def publish(self, topic: str, data: object = MISSING, *, payload: bytes | None = None) -> Receipt:
        """Publish and wait for the broker's acknowledgment.

        An acknowledged message is in the topic's log; it has not necessarily been received. `data` is any msgpack
        value, `payload=` bytes that go as they are. Raises Refused (certainly not stored), ConnectionLost (no
        connection within the timeout: certainly not sent) or OutcomeUnknown (sent, and the connection went first).
        """
        self._check_open()
        body, format = encoded(data, payload)
        future: asyncio.Future[Receipt] = self._loop.create_future()
        entry = self._session.publish(topic, body, partial(_settle, future), format)
        return await self._answer(future, entry)

    def publish_nowait(self, topic: str, data: object = MISSING, *, payload: bytes | None = None) -> None:
        """Publish without waiting: at most once, and nobody is told, except `on_refused` of what the broker refuses.

        It leaves with the next frame, or after the next reconnection. Raises Refused where it would be refused for
        certain, and BufferFull while 8 MiB wait to be sent: `await client.flush()` from time to time.
        """
        session = self._session
        body, format = encoded(data, payload)
        if session.outbox.bytes + len(body) > BUFFERED_BYTES:
            raise BufferFull(BUFFERED_BYTES)
        if self._connection.over:
            self._check_open()
        session.post(topic, body, format)
        self._connection.send_soon()

    def batch(self) -> Batch:
        """Messages that are published together on leaving `async with client.batch() as batch`.

        Leaving raises what `publish` does, and Refused with the limit's name where they are more than a frame holds.
        """
        return Batch(self._publish_batch, self._session.check)

    async def flush(self) -> None:
        """Send what is buffered and wait until the broker has acted on all of it. Raises as `publish` does."""
        self._check_open()
        await self._whole([])

    @overload
    def subscribe(
        self,
        pattern: str,
        *,
        gaps: Literal[False] = False,
        on_gap: OnGap | None = None,
        on_full: OnFull = "wait",
        max_buffered: int = 65_536,
        max_buffered_bytes: int = 16 << 20,
    ) -> Opening[Subscription[Message]]: ...

    @overload
    def subscribe(
        self,
        pattern: str,
        *,
        gaps: Literal[True],
        on_gap: OnGap | None = None,
        on_full: OnFull = "wait",
        max_buffered: int = 65_536,
        max_buffered_bytes: int = 16 << 20,
    ) -> Opening[Subscription[Message | Gap]]: ...

    def subscribe(
        self,
        pattern: str,
        *,
        gaps: bool = False,
        on_gap: OnGap | None = None,
        on_full: OnFull = "wait",
        max_buffered: int = 65_536,
        max_buffered_bytes: int = 16 << 20,
    ) -> Opening[Any]:
        """The messages of all topics that match, from now on: `async with client.subscribe("prices.*") as prices`.

        What is missing is never silent: `gaps=True` hands Gap objects out in their places, `on_gap` is called before
        the next message is handed out, and without either it is logged once.

        At most `max_buffered` messages and `max_buffered_bytes` wait for a slow reader, not counting the frame that
        passes them. Then `on_full="wait"` stops reading from the broker, for the whole client; "drop" drops what comes
        next and reports it as a gap. While an answer is awaited (of `publish`, say, in the loop of a reader), reading
        goes on: up to 16 MiB or 262,144 messages more wait then, and what comes after those is dropped and reported.
        """
        if on_full not in ("wait", "drop"):
            raise ValueError(f'on_full must be "wait" or "drop", not {on_full!r}')

        async def open() -> Subscription[Any]:
            self._check_open()
            settled: asyncio.Future[None] = self._loop.create_future()
            drop = on_full == "drop"
            feed = self._session.subscribe(pattern, max_messages=max_buffered, max_bytes=max_buffered_bytes, drop=drop)
            feed.settled = partial(_settle_none, settled)
            made = Subscription[Any](feed, self._session, self._connection, waits=not drop, gaps=gaps, on_gap=on_gap)
            self._connection.send_soon()
            self._connection.await_answer(settled)
            try:
                async with asyncio.timeout(self._timeout):
                    await settled
            except BaseException as error:
                await made.close()
                if isinstance(error, TimeoutError):
                    raise ConnectionLost(f"no answer to the subscription within {self._timeout:g} s") from None
                raise
            finally:
                self._connection.answered(settled)
            return made

        return Opening(f"client.subscribe({pattern!r})", open, "messages")

    async def close(self, *, timeout: float = 5.0) -> None:
        """Send what is buffered, within the timeout, and close the connection. Subscriptions end."""
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
                await self.flush()
        except (TimeoutError, TickwireError) as error:
            log.warning("closing with messages unsent: %s", str(error) or "the broker did not take them in time")

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _publish_batch(self, entries: list[Entry]) -> None:
        self._check_open()
        await self._whole(entries)

    async def _whole(self, entries: list[Entry]) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        whole = self._session.publish_whole(entries, partial(_settle_none, future))
        await self._answer(future, whole)

    async def _answer(self, future: asyncio.Future[T], publish: Entry | Whole) -> T:
        """What the broker says to it, or what went wrong."""
        self._connection.send_soon()
        self._deadlines.add(future, publish)
        self._connection.await_answer(future)
        try:
            return await future
        except asyncio.CancelledError:
            self._session.outbox.abandon(publish)
            raise
        finally:
            self._connection.answered(future)

    def _check_open(self) -> None:
        if self._connection.over:
            raise ConnectionLost("the client is closed; connect() makes another one")

    def _refused(self, error: Refused) -> None:
        if error.code not in self._refusals_logged:
            self._refusals_logged.add(error.code)
            log.warning("the broker refused a publish_nowait: %s (said once for each code)", error)
        if self._on_refused is not None:
            try:
                self._on_refused(error)
            except Exception:
                log.exception("on_refused raised")


def _settle(future: asyncio.Future[Receipt], outcome: Receipt | TickwireError) -> None:
    if not future.done():
        if isinstance(outcome, Receipt):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)


def _settle_none(future: asyncio.Future[None], error: TickwireError | None) -> None:
    if not future.done():
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
