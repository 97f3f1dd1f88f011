"""The same verbs for scripts without asyncio: an event loop in a thread of its own does the work.

    from tickwire_client.sync import connect

    with connect("ws://127.0.0.1:8765") as client:
        for message in client.subscribe("prices.*"):
            print(message.topic, message.data)
        for order in client.consume("orders.>", group="billing"):
            order.ack()

A slow script never stops the heartbeat. `on_gap` is called in the script's thread, `on_state` and `on_refused` in the
loop's. One client may be used by several threads, one subscription by one.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from ssl import SSLContext
from typing import Any

from . import client as aio
from .batch import MISSING, encoded
from .batch import Batch as AsyncBatch
from .client import BUFFERED_BYTES
from .connection import OnState
from .errors import BufferFull, ConnectionLost, Refused
from .loop_thread import LoopThread
from .messages import Receipt
from .publishes import Whole
from .runs import MESSAGE_BYTES, Runs
from .sync_consumer import Consumer, Delivered
from .sync_reading import Reading
from .sync_subscription import History, Subscription
from .tokens import Token

__all__ = ["Batch", "Client", "Consumer", "Delivered", "History", "Subscription", "connect"]


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
) -> Client:
    """A connected client; close it, or use it in a `with` block. All that `tickwire_client.connect` says holds here."""

    async def open() -> aio.Client:
        return await aio.connect(
            url,
            token=token,
            ssl=ssl,
            name=name,
            publisher=publisher,
            compress=compress,
            timeout=timeout,
            reconnect=reconnect,
            on_state=on_state,
            on_refused=on_refused,
        )

    loop = LoopThread()
    try:
        return Client(loop, loop.run(open()))
    except BaseException:
        loop.stop()
        raise


class Client(Reading):
    """A client whose calls wait. Made by `connect`."""

    def __init__(self, loop: LoopThread, client: aio.Client) -> None:
        self._loop, self._client = loop, client
        self._posts: deque[tuple[str, bytes, int]] = deque()
        self._posted = 0  # bytes in it
        self._moving = False
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return repr(self._client)

    @property
    def batch_limits(self) -> tuple[int, int]:
        """How many messages a batch should have at most, and how many bytes."""
        return self._client.batch_limits

    @property
    def state(self) -> str:
        return self._client.state

    @property
    def epoch(self) -> int | None:
        """That of the broker's offsets now, as in `Position(topic, client.epoch, offset)`."""
        return self._client.epoch

    def publish(self, topic: str, data: object = MISSING, *, payload: bytes | None = None) -> Receipt:
        """Publish and wait for the broker's acknowledgment. Raises Refused, ConnectionLost or OutcomeUnknown."""
        return self._loop.run(self._client.publish(topic, data, payload=payload))

    def publish_nowait(self, topic: str, data: object = MISSING, *, payload: bytes | None = None) -> None:
        """Publish without waiting, at most once. Raises BufferFull while 8 MiB wait: then call `client.flush()`."""
        body, format = encoded(data, payload)
        session = self._client._session
        session.check(topic, body, format)
        self._client._check_open()
        self._loop.check_process()
        with self._lock:
            if self._posted + session.outbox.bytes + len(body) > BUFFERED_BYTES:
                raise BufferFull(BUFFERED_BYTES)
            self._posts.append((topic, body, format))
            self._posted += len(body) + MESSAGE_BYTES
            if not self._moving:
                # Within the lock: who sees that they are being moved may rely on it for what it says next.
                self._loop.call(self._move_posts)
                self._moving = True

    def _move_posts(self) -> None:
        with self._lock:
            posts, self._posts = self._posts, deque()
            self._posted, self._moving = 0, False
        outbox = self._client._session.outbox
        for topic, body, format in posts:
            outbox.post(topic, body, format, _checked)
        self._client._connection.send_soon()

    def batch(self) -> Batch:
        """Messages that are published together on leaving `with client.batch() as batch`."""
        return Batch(self._loop, self._client._publish_batch, self._client._session.check)

    def flush(self) -> None:
        """Send what is buffered and wait until the broker has acted on all of it."""
        self._loop.run(self._client.flush())

    def close(self, *, timeout: float = 5.0) -> None:
        """Send what is buffered, within the timeout, and close the connection. Subscriptions end."""
        try:
            with contextlib.suppress(ConnectionLost):  # another thread was first, or this is a fork and not its own
                self._loop.run(self._client.close(timeout=timeout))
        finally:
            self._loop.stop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _checked(topic: str, payload: bytes, format: int) -> None:
    """What is moved was checked when it was given."""


class Batch(AsyncBatch):
    """Published on leaving `with`, unless an exception left it; `receipts` are there afterwards."""

    def __init__(
        self,
        loop: LoopThread,
        publish: Callable[[Runs], Coroutine[Any, Any, Whole]],
        check: Callable[[str, bytes, int], None],
    ) -> None:
        super().__init__(publish, check)
        self._loop = loop

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._loop.run(self.__aexit__(kind, *error))
