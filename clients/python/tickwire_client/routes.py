"""Which subscriptions a topic's sections go to."""

from __future__ import annotations

from tickwire.wire.topics import matcher

from .buffer import Buffer

_CACHED_TOPICS = 1 << 17


class Routes:
    """The live subscriptions, and for each topic heard of the tuple of those that match it."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Buffer]] = {}
        self._patterns: list[Buffer] = []
        self._cached: dict[str, tuple[Buffer, ...]] = {}

    def of(self, topic: str) -> tuple[Buffer, ...]:
        feeds = self._cached.get(topic)
        if feeds is None:
            if len(self._cached) >= _CACHED_TOPICS:
                self._cached.clear()
            matching = [feed for feed in self._patterns if matcher(feed.pattern).fullmatch(topic)]
            feeds = self._cached[topic] = (*self._exact.get(topic, ()), *matching)
        return feeds

    def add(self, feed: Buffer) -> None:
        self.remove(feed)
        if feed.exact:
            self._exact.setdefault(feed.pattern, []).append(feed)
        else:
            self._patterns.append(feed)
        self._forget(feed)

    def remove(self, feed: Buffer) -> None:
        feeds = self._exact.get(feed.pattern, []) if feed.exact else self._patterns
        if feed in feeds:
            feeds.remove(feed)
            if feed.exact and not feeds:
                del self._exact[feed.pattern]
            self._forget(feed)

    def clear(self) -> None:
        self._exact.clear()
        self._patterns.clear()
        self._cached.clear()

    def _forget(self, feed: Buffer) -> None:
        if feed.exact:
            self._cached.pop(feed.pattern, None)
        else:
            self._cached.clear()
