"""What is dropped when: by age, by the size of all logs together, and topics that nobody needs any more."""

from __future__ import annotations

import heapq
from itertools import count

from .topic import Topic

_TOPICS_A_TICK = 2_000  # looked at in a tick: 100,000 at once would hold the loop for a quarter of a second


class Retention:
    """Keeps the logs within their age and their common size. Each log bounds its own size as it grows."""

    def __init__(self, total_bytes: int, free_after: float) -> None:
        self.bytes = 0
        self._total, self._free_after = total_bytes, free_after
        # (when its oldest section was flushed, a tie-break, topic): one entry for each topic that is aging.
        self._oldest: list[tuple[float, int, Topic]] = []
        self._ties = count()
        # Logs by the power of two of their size: the largest, near enough, without sorting 100,000 of them.
        self._by_size: dict[int, dict[Topic, None]] = {}
        self._quiet: dict[Topic, float] = {}  # topics with an empty log, since when

    def grew(self, topic: Topic, before: int, now: float) -> None:
        """A topic's log, `before` bytes long, has its first sections, or so many that its size is in another class."""
        if not topic.aging:
            topic.aging = True
            self._quiet.pop(topic, None)
            heapq.heappush(self._oldest, (now, next(self._ties), topic))
        self._reclass(topic, before, topic.log.bytes)

    def charge(self, bytes: int) -> None:
        """All logs together have grown by so much."""
        self.bytes += bytes
        if self.bytes > self._total:
            self._shrink()

    def created(self, topic: Topic, now: float) -> None:
        self._quiet[topic] = now

    def tick(self, now: float) -> list[Topic]:
        """Drop what is too old; returns topics that have been without history for long: candidates to be freed."""
        for _ in range(_TOPICS_A_TICK):
            if not self._oldest or self._oldest[0][0] >= now - self._oldest[0][2].log.seconds:
                break
            self._expire(heapq.heappop(self._oldest)[2], now)
        return self._long_quiet(now)

    def still_read(self, topic: Topic, now: float) -> None:
        """The candidate has readers: its time begins anew."""
        self._quiet[topic] = now

    def _expire(self, topic: Topic, now: float) -> None:
        before = topic.log.bytes
        topic.log.expire(now)
        self.bytes += topic.log.bytes - before
        self._reclass(topic, before, topic.log.bytes)
        if topic.log.empty:
            topic.aging = False
            self._quiet[topic] = now
        else:
            heapq.heappush(self._oldest, (topic.log.oldest_at, next(self._ties), topic))

    def _long_quiet(self, now: float) -> list[Topic]:
        """The longest quiet come first, since whoever is put off goes to the end."""
        found: list[Topic] = []
        for topic, since in self._quiet.items():
            if now - since < self._free_after or len(found) == _TOPICS_A_TICK:
                break
            found.append(topic)
        for topic in found:
            del self._quiet[topic]
        return found

    def _shrink(self) -> None:
        """Drop the oldest sections of the largest logs until all of them fit."""
        while self.bytes > self._total and self._by_size:
            topic = next(iter(self._by_size[max(self._by_size)]))
            before = topic.log.bytes
            self.bytes -= topic.log.drop_oldest()
            self._reclass(topic, before, topic.log.bytes)

    def _reclass(self, topic: Topic, before: int, after: int) -> None:
        if before.bit_length() == after.bit_length():
            return
        if before:
            old = self._by_size[before.bit_length()]
            del old[topic]
            if not old:
                del self._by_size[before.bit_length()]
        if after:
            self._by_size.setdefault(after.bit_length(), {})[topic] = None
