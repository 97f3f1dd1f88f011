"""All topics: made when somebody names them, in the order of their last flush, freed when nobody needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tickwire.fanout.section import Section
from tickwire.wire.topics import matcher

from .errors import TooManyTopics
from .limits import Limits
from .retention import Retention
from .topic import Topic


@dataclass(slots=True)
class Moved:
    """(topic, from, to) of topics that moved, whether there may be more, and how many were looked at."""

    topics: list[tuple[str, int, int]]
    more: bool
    looks: int


class Topics(dict[str, Topic]):
    """By name. `floor` is where new ones start: above all offsets of those that were freed."""

    def __init__(self, limits: Limits, floor: int) -> None:
        super().__init__()
        self.floor = floor
        self.freed_stamp = 0  # the newest stamp of any topic that was freed
        self.retention = Retention(limits.retain_total_bytes, limits.free_topic_after)
        self._limits = limits
        self._by_stamp: dict[Topic, None] = {}  # in the order of their last flush

    def of(self, name: str, now: float) -> Topic:
        """The topic of a checked name, made where there is none. Raises TooManyTopics."""
        topic = self.get(name)
        if topic is None:
            limits = self._limits
            if len(self) >= limits.topics:
                raise TooManyTopics(limits.topics)
            topic = self[name] = Topic(name, self.floor, limits.retain_bytes, limits.retain_seconds)
            self.retention.created(topic, now)
        return topic

    def claim(self, names: list[str], now: float) -> list[Topic]:
        """The topics of checked names, all of them or TooManyTopics."""
        new = {name for name in names if name not in self}
        if len(self) + len(new) > self._limits.topics:
            raise TooManyTopics(self._limits.topics)
        return [self.of(name, now) for name in names]

    def keep(self, topic: Topic, sections: list[Section], now: float) -> None:
        """Put flushed sections into a topic's log."""
        before = topic.log.bytes
        for section in sections:
            topic.log.append(section)
        self.retention.grew(topic, before, now)
        self._by_stamp.pop(topic, None)
        self._by_stamp[topic] = None

    def one_moved_since(self, name: str, stamp: int) -> tuple[str, int, int] | None:
        """(topic, from, to) if it got messages after a stamp."""
        topic = self[name]
        return (name, topic.moved_since(stamp), topic.log.end) if topic.stamp > stamp else None

    def moved_since(self, pattern: str, stamp: int, most: int, looks: int) -> Moved:
        """What matches of the topics that got messages after a stamp, looking at no more than `looks` of them."""
        matches = matcher(pattern).fullmatch
        moved = Moved([], False, 0)
        for topic in reversed(self._by_stamp):
            if topic.stamp <= stamp:
                break
            if len(moved.topics) == most or moved.looks == looks:
                moved.more = True
                break
            moved.looks += 1
            if matches(topic.name):
                moved.topics.append((topic.name, topic.moved_since(stamp), topic.log.end))
        return moved

    def tick(self, now: float, is_read: Callable[[Topic], bool]) -> None:
        """Forget what is too old, and topics that have neither readers nor history."""
        for topic in self.retention.tick(now):
            if topic.touched or not topic.log.empty:
                continue
            if is_read(topic):
                self.retention.still_read(topic, now)
            else:
                self._free(topic)

    def _free(self, topic: Topic) -> None:
        """Forget a topic. New ones start where it ended, so that no offset of its name is ever given twice."""
        if self.get(topic.name) is not topic:
            return
        self.floor = max(self.floor, topic.end)
        self.freed_stamp = max(self.freed_stamp, topic.stamp)
        del self[topic.name]
        self._by_stamp.pop(topic, None)
