"""How a script reads: the verbs of `reading`, without asyncio. `sync` shows them."""

from __future__ import annotations

from typing import Any, Literal, overload

from . import client as aio
from .checks import check_callback, check_pattern
from .loop_thread import LoopThread
from .messages import Gap, Group, Message
from .positions import Since
from .reading import OnFull
from .subscription import Subscription as AsyncSubscription
from .sync_consumer import Consumer
from .sync_subscription import History, OnGap, Subscription
from .work import terms_of


class Reading:
    """The reading half of a client whose calls wait."""

    _loop: LoopThread
    _client: aio.Client

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
    ) -> Subscription[Message]: ...

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
    ) -> Subscription[Message | Gap]: ...

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
    ) -> Any:
        """The messages of all topics that match. What is said of the other client's holds here."""
        check_callback(on_gap, "on_gap")

        async def open() -> AsyncSubscription[Message | Gap]:
            return await self._client.subscribe(
                pattern,
                since=since,
                group=group,
                gaps=True,
                on_full=on_full,
                max_buffered=max_buffered,
                max_buffered_bytes=max_buffered_bytes,
            )

        return Subscription[Any](self._loop, self._loop.run(open()), gaps, on_gap)

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
    ) -> Any:
        """What the topics that match have kept, up to now. What is said of the other client's holds here."""
        check_callback(on_gap, "on_gap")
        history = self._client.history(pattern, since=since, limit=limit, gaps=True)

        def open() -> Subscription[Any]:
            return Subscription[Any](self._loop, self._loop.run(history.open()), gaps, on_gap)

        return History[Any](repr(history), open, limit)

    def consume(
        self,
        pattern: str,
        *,
        group: str,
        max_unacked: int = 1_000,
        ack_timeout: float | None = None,
        attempts: int | None = None,
        on_gap: OnGap | None = None,
    ) -> Consumer:
        """Work on the messages of all topics that match. What is said of the other client's holds here."""

        check_pattern(pattern)
        check_callback(on_gap, "on_gap")
        opening = self._client._consumer(pattern, terms_of(group, max_unacked, ack_timeout, attempts), gaps=True)
        return Consumer(self._loop, self._loop.run(opening), on_gap)

    def consumers(self) -> list[Group]:
        """The consumer groups of the broker, with how far behind each is."""
        return self._loop.run(self._client.consumers())
