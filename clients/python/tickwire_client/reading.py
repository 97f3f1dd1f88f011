"""How a client reads: what comes from now on, what there was, and a group's work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar, overload

from .buffer import Buffer
from .checks import check_callback, check_count, check_name, check_pattern
from .connection import Connection
from .consumer import Consumer
from .errors import CLOSED, ConnectionLost, TickwireError
from .history import History
from .messages import Gap, Group, Message
from .opening import Opening
from .positions import Since, start_of
from .session import Session
from .subscription import OnGap, Subscription
from .work import Terms, terms_of

OnFull = Literal["wait", "drop"]
S = TypeVar("S", bound=Subscription[Any])
T = TypeVar("T")

_HISTORY_MESSAGES = 1 << 14  # that wait for the reader of a history: it is sent as fast as it is read


class Reading:
    """The reading half of a client."""

    _session: Session
    _connection: Connection
    _loop: asyncio.AbstractEventLoop
    _timeout: float
    _closing = False

    @overload
    def subscribe(
        self,
        pattern: str,
        *,
        since: Since = "now",
        group: str | None = None,
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
        since: Since = "now",
        group: str | None = None,
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
        since: Since = "now",
        group: str | None = None,
        gaps: bool = False,
        on_gap: OnGap | None = None,
        on_full: OnFull = "wait",
        max_buffered: int = 65_536,
        max_buffered_bytes: int = 16 << 20,
    ) -> Opening[Any]:
        """The messages of all topics that match: `async with client.subscribe("prices.*") as prices`.

        They come from now on, or with `since=` from where it says: "last" begins with each topic's newest message,
        "earliest" with the oldest that is kept, a datetime or a timedelta ("that long ago" by this machine's clock)
        with what came at that time, a Position with that message (`since=message.position.next` after it). After a lost
        connection it goes on where it was. Each message is handed out once.

        What is missing is never silent: `gaps=True` hands Gap objects out in their places, `on_gap` is called before
        the next message is handed out, and without either it is logged once.

        With `group=` those who name the same group share what comes from now on: each message goes to one of them, at
        most once. What was on its way to one whose connection goes is lost; `consume` is for work that must be done.

        At most `max_buffered` messages and `max_buffered_bytes` wait for a slow reader, not counting the frame that
        passes them. Then `on_full="wait"` stops reading from the broker, for the whole client; "drop" drops what comes
        next and reports it as a gap. While an answer is awaited (of `publish`, say, in the loop of a reader), reading
        goes on: up to 16 MiB or 262,144 messages more wait then, and what comes after those is dropped and reported.
        """
        if on_full not in ("wait", "drop"):
            raise ValueError(f'on_full must be "wait" or "drop", not {on_full!r}')
        check_pattern(pattern)
        check_count(max_buffered, "max_buffered", 1 << 31)
        check_count(max_buffered_bytes, "max_buffered_bytes", 1 << 40)
        check_callback(on_gap, "on_gap")
        drop = on_full == "drop"
        buffered: dict[str, Any] = {"max_messages": max_buffered, "max_bytes": max_buffered_bytes, "drop": drop}
        start_of(since, pattern, 0)
        if group is not None:
            check_name(group, "group")
            if since != "now":
                raise ValueError("a group's members share what comes from now on: since= goes without group=")

        def ask() -> Subscription[Any]:
            feed: Buffer
            if group is None:
                feed = self._session.subscribe(pattern, start=start_of(since, pattern, _now_us()), **buffered)
            else:
                feed = self._session.share(pattern, group, **buffered)
            return Subscription[Any](feed, self._session, self._connection, waits=not drop, gaps=gaps, on_gap=on_gap)

        async def open() -> Subscription[Any]:
            return await self._opened(ask)

        return Opening(f"client.subscribe({pattern!r})", open, "messages")

    @overload
    def history(
        self,
        pattern: str,
        *,
        since: Since = "earliest",
        limit: int | None = None,
        gaps: Literal[False] = False,
        on_gap: OnGap | None = None,
    ) -> History[Message]: ...

    @overload
    def history(
        self,
        pattern: str,
        *,
        since: Since = "earliest",
        limit: int | None = None,
        gaps: Literal[True],
        on_gap: OnGap | None = None,
    ) -> History[Message | Gap]: ...

    def history(
        self,
        pattern: str,
        *,
        since: Since = "earliest",
        limit: int | None = None,
        gaps: bool = False,
        on_gap: OnGap | None = None,
    ) -> History[Any]:
        """What the topics that match have kept, up to now: `async for message in client.history("trades.AAPL")`.

        It ends by itself, at the latest after `limit` messages. `since=` and gaps are as with `subscribe`. In each
        topic the messages are in their order; among topics none is promised.
        """
        if since == "now":
            raise ValueError('a history ends now: since="now" would be an empty one')
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise ValueError(f"limit is a number of messages, not {limit!r}")
        check_pattern(pattern)
        check_callback(on_gap, "on_gap")
        start_of(since, pattern, 0)

        def ask() -> Subscription[Any]:
            start = start_of(since, pattern, _now_us())
            feed = self._session.subscribe(pattern, start=start, once=True, max_messages=_HISTORY_MESSAGES)
            return Subscription[Any](feed, self._session, self._connection, waits=True, gaps=gaps, on_gap=on_gap)

        async def open() -> Subscription[Any]:
            return await self._opened(ask)

        return History[Any](f"client.history({pattern!r})", open, limit)

    def consume(
        self,
        pattern: str,
        *,
        group: str,
        max_unacked: int = 1_000,
        ack_timeout: float | None = None,
        attempts: int | None = None,
        on_gap: OnGap | None = None,
    ) -> Opening[Consumer]:
        """Work on the messages of all topics that match: `async with client.consume("orders.>", group="billing")`.

        Those who name the same group share the work, each message goes to one of them, and the broker remembers how far
        the group is: a new one begins with the earliest messages. `await message.ack()` when one is done. What is not
        acknowledged within `ack_timeout` seconds, or was with a member whose connection went, is handed out again with
        its `attempt` counted: at least once. After so many `attempts` it goes to the topic `$dead.<group>`. What is not
        given is as the broker has it, 30 seconds and 5 attempts unless its settings say else.

        At most `max_unacked` messages are with a member at a time, and ahead of the application about as many as it
        does in a second. The `ack_timeout` begins when it has a message; `await message.in_progress()` begins it anew.
        Retention does not wait for a group: what was gone before it was handed out is a gap, told as with `subscribe`.
        """
        check_pattern(pattern)
        check_callback(on_gap, "on_gap")
        terms = terms_of(group, max_unacked, ack_timeout, attempts)

        async def open() -> Consumer:
            return await self._consumer(pattern, terms, on_gap=on_gap)

        return Opening(f"client.consume({pattern!r}, group={group!r})", open, "messages")

    async def consumers(self) -> list[Group]:
        """The consumer groups of the broker, with how far behind each is."""
        self._check_open()
        listed: asyncio.Future[list[Group]] = self._loop.create_future()
        id = self._session.list_groups(partial(settle, listed))
        try:
            return await self._answered(listed, "the list of consumer groups")
        finally:
            self._session.unlist(id)

    async def _consumer(
        self, pattern: str, terms: Terms, *, gaps: bool = False, on_gap: OnGap | None = None
    ) -> Consumer:
        def ask() -> Consumer:
            work = self._session.consume(pattern, terms)
            return Consumer(work, self._session, self._connection, gaps=gaps, on_gap=on_gap)

        return await self._opened(ask)

    async def _opened(self, ask: Callable[[], S]) -> S:
        """What was asked for, once the broker has it."""
        self._check_open()
        subscription = ask()
        settled: asyncio.Future[None] = self._loop.create_future()
        subscription._feed.settled = partial(settle, settled)
        try:
            await self._answered(settled, "the subscription")
        except BaseException:
            subscription.drop()
            raise
        return subscription

    async def _answered(self, answer: asyncio.Future[T], what: str) -> T:
        self._connection.send_soon()
        self._connection.brake.await_answer(answer)
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        except TimeoutError:
            raise ConnectionLost(f"no answer to {what} within {self._timeout:g} s") from None
        finally:
            self._connection.brake.answered(answer)

    def _check_open(self) -> None:
        if self._closing or self._connection.over:
            ended = self._connection.ended
            raise ConnectionLost(CLOSED if ended is None else f"{ended}: {CLOSED}") from ended


def _now_us() -> int:
    return time.time_ns() // 1000


def settle(future: asyncio.Future[Any], outcome: object) -> None:
    """Give somebody who waits the outcome: a result, or the error that it is."""
    if not future.done():
        if isinstance(outcome, TickwireError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
