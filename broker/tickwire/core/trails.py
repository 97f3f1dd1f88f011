"""Subscriptions that start in the past: which topics they miss something of, and where in each they begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile

from tickwire.fanout.log import TopicLog
from tickwire.wire.codes import EPOCH, FREED
from tickwire.wire.encode import encode
from tickwire.wire.messages import Gap, Subscribe
from tickwire.wire.topics import is_exact, matcher

from .errors import FuturePosition, FutureStamp
from .topic import Topic
from .topics import Topics

_LOOKS = 4_096  # topics looked at in one go: about 2 ms
_GLANCE = 256  # and when it is asked for


@dataclass(slots=True)
class Seek:
    """Where in a topic's history something was: only the store can say."""

    log: TopicLog
    stamp: int | None
    time_us: int | None
    oldest: int  # that could be read when this was asked
    back: int = 0  # how many offsets before that it begins


class Trail:
    """One subscription on its way to the present. `cursors` are brought forward by the catch-up."""

    __slots__ = (
        "_after", "_began", "_exact", "_first", "_logs", "_matches", "_notices", "_positions", "_round", "_scan",
        "_since_stamp", "_start", "_time_us", "_topics", "cursors", "id", "once", "pattern", "readable", "seeking",
        "seeks", "stream"
    )  # fmt: skip

    def __init__(
        self, topics: Topics, subscribe: Subscribe, epoch: int, readable: tuple[str, ...] | None = None
    ) -> None:
        """`readable` are the patterns of what it may read of its own, where that is not all.

        Raises FuturePosition or FutureStamp where it asks for what was never there.
        """
        self.id, self.pattern, self.once = subscribe.id, subscribe.pattern, bool(subscribe.once)
        self.readable = readable or (subscribe.pattern,)
        self.stream = 0
        self.cursors: dict[TopicLog, int] = {}
        self.seeks: list[Seek] = []  # to be asked of the store
        self.seeking: dict[TopicLog, Seek] = {}  # asked, and not answered
        self._topics = topics
        self._exact = is_exact(subscribe.pattern)
        self._matches = _matching(self.readable)
        self._logs: dict[str, TopicLog] = {}  # those that it has a cursor in, or seeks one
        self._notices: list[Gap] = []
        self._positions: dict[str, int] = {}
        self._start, self._after = "earliest", -1
        self._time_us = 0
        self._since_stamp: int | None = None  # when it began, over an earlier connection that was cut on the way
        self._first = True  # the first round over the topics; later ones look for what came since
        self._scan: Iterator[Topic] | None = None
        self._began = False  # the first round
        self._round = -1  # the stamp at which it began
        self._begin(subscribe, epoch)

    @property
    def is_part(self) -> bool:
        """Whether it may read only a part of its pattern."""
        return self.readable != (self.pattern,)

    @property
    def held(self) -> int:
        """Positions that it holds."""
        return len(self._positions)

    @property
    def weight(self) -> int:
        """What it holds, in cursors."""
        return len(self.cursors) + (_LOOKS if self._scan is not None else 0)

    @property
    def complete(self) -> bool:
        """Whether the cursors are all that it misses."""
        return self._began and self._scan is None and not self.seeking and not self._newer()

    def at_present(self) -> bool:
        """Whether it turns out that nothing is missing. Where that takes longer than a moment, something may be."""
        if not self._exact and sum(1 for _ in islice(self._newest(), _GLANCE)) == _GLANCE:
            return False
        self._go_on()
        return self.complete and not self._notices and all(cursor == log.end for log, cursor in self.cursors.items())

    def reads(self, topic: Topic) -> bool:
        """Whether it stands in a topic, or has still to look at it."""
        log = topic.log
        if log in self.cursors or log in self.seeking or topic.name == self.pattern:
            return True
        return topic.stamp > self._after and self._matches(topic.name)

    def advance(self) -> list[bytes]:
        """Look for topics that it misses something of, a bounded number of them; returns notices that come first."""
        self._go_on()
        notices, self._notices = self._notices, []
        for notice in notices:
            notice.stream = self.stream
        return [encode(notice) for notice in notices]

    def narrow(self, readable: tuple[str, ...]) -> None:
        """It may read what these patterns match; of what it may not any more, nothing follows."""
        self.readable, self._matches = readable, _matching(readable)
        self.cursors = {log: cursor for log, cursor in self.cursors.items() if self._matches(log.topic)}
        self.seeking = {log: seek for log, seek in self.seeking.items() if self._matches(log.topic)}

    def found(self, seek: Seek, offset: int) -> None:
        """The store's answer."""
        if self.seeking.pop(seek.log, None) is not None:
            self.cursors[seek.log] = max(seek.oldest, offset - seek.back)

    def _begin(self, subscribe: Subscribe, epoch: int) -> None:
        seen = subscribe.seen
        stamp = seen[1] if seen is not None and seen[0] == epoch else None
        if stamp is not None:
            if stamp > self._topics.stamp:
                raise FutureStamp(stamp, self._topics.stamp)
            # Of topics that it may not read it is not told where they end either.
            self._positions = {name: offset for name, offset in subscribe.positions or () if self._matches(name)}
            self._check_positions()
            self._tell_of_freed(stamp)
        if subscribe.since is not None:
            self._begin_since(subscribe.since, epoch)
            self._since_stamp = self._since_stamp if stamp is None else stamp
            if seen is not None and stamp is None:
                self._start = "earliest"  # it began in another epoch, so that it is owed all of this one
        elif stamp is not None:
            self._start, self._after = "stamp", stamp

    def _begin_since(self, since: tuple[str | int, ...], epoch: int) -> None:
        self._start = str(since[0])
        if self._start == "last":
            self._since_stamp = self._topics.stamp  # what comes before it is looked for is not to be missed
        if self._start == "time":
            self._time_us = int(since[1])
        elif self._start == "offset":
            # Of a pattern, whose topics have offsets of their own, an offset says nothing but "from the start".
            if since[1] == epoch:
                self._positions.setdefault(self.pattern, int(since[2]))
                self._check_positions()
            else:
                self._notices.append(Gap(0, self.pattern, None, None, EPOCH))
            self._start = "earliest"

    def _check_positions(self) -> None:
        for name, offset in self._positions.items():
            topic = self._topics.get(name)
            if topic is not None and offset > topic.log.end:
                raise FuturePosition(name, offset, topic.log.end)

    def _tell_of_freed(self, seen: int) -> None:
        if not self._topics.may_be_missed(self.pattern, seen):
            return
        topic = self._topics.get(self.pattern) if self._exact else None
        if topic is None:
            self._notices.append(Gap(0, self.pattern, None, None, FREED))
        elif topic.born > seen and not 0 < topic.stamp <= seen:  # with messages from before, it was not freed since
            start = self._positions.get(self.pattern)
            if (0 if start is None else start) < topic.first:
                self._notices.append(Gap(0, self.pattern, start, topic.first, FREED))
                if start is not None:
                    self._positions[self.pattern] = topic.first

    # Which topics.

    def _go_on(self) -> None:
        if self._scan is None and (not self._began or self._newer()):
            self._rescan()
        if self._scan is not None:
            self._look(self._scan)

    def _rescan(self) -> None:
        """Begin a round over the topics that got messages after the last one, newest first."""
        self._round, self._began = self._topics.stamp, True
        if self._exact:
            topic = self._topics.get(self.pattern)
            self._scan = iter(() if topic is None or topic.stamp <= self._after else (topic,))
        else:
            self._scan = iter(list(self._newest()))

    def _newest(self) -> Iterator[Topic]:
        """The topics that got messages after the last round, newest first."""
        after = self._after
        return takewhile(lambda topic: topic.stamp > after, reversed(self._topics.by_stamp))

    def _newer(self) -> bool:
        """Whether something came after the last round that it may miss."""
        if self._exact:
            topic = self._topics.get(self.pattern)
            return topic is not None and topic.stamp > self._after and topic.log not in self.cursors
        newest = next(reversed(self._topics.by_stamp), None)
        return newest is not None and newest.stamp > self._after

    def _look(self, scan: Iterator[Topic]) -> None:
        for looked, topic in enumerate(scan, 1):
            if topic.log not in self.cursors and topic.log not in self.seeking and self._matches(topic.name):
                self._place(topic)
            if looked == _LOOKS:
                return
        self._scan = None
        # As of when the round began: what came since, to topics that were not in it, is for the next.
        self._first, self._after = False, max(self._after, self._round)

    # Where in each.

    def _place(self, topic: Topic) -> None:
        log = topic.log
        position = self._stood(topic.name)
        self._logs[topic.name] = log
        if position is not None:
            self.cursors[log] = min(max(position, 0), log.end)
        elif not self._first or self._start == "stamp":
            self._place_after(topic, self._after)
        elif self._since_stamp is not None and log.dropped_stamp > self._since_stamp:
            self.cursors[log] = min(topic.first, log.oldest)  # some of what it is owed since it began is gone
        elif self._start == "time":
            self._place_at(log, self._time_us)
        elif self._start == "last":
            self._place_last(topic)
        else:
            self.cursors[log] = log.oldest

    def _stood(self, name: str) -> int | None:
        """Where it stands in a topic: the client says so, or it was there before the topic was freed and came back."""
        before = self._logs.get(name)
        if before is None:
            return self._positions.get(name)
        seek = self.seeking.pop(before, None)
        return self.cursors.pop(before, None) if seek is None else seek.oldest

    def _place_after(self, topic: Topic, stamp: int) -> None:
        log = topic.log
        if log.knows(stamp):
            self.cursors[log] = log.first_after(stamp)
        elif log.dropped_stamp <= stamp and log.oldest == log.start:
            self.cursors[log] = log.oldest  # nothing was dropped that it had not
        elif log.dropped_stamp > stamp:
            self.cursors[log] = min(topic.first, log.oldest)  # a gap, said too large rather than too small
        else:
            self._seek(Seek(log, stamp, None, log.oldest))

    def _place_last(self, topic: Topic) -> None:
        """At the newest message; where it began over an earlier connection, at what was the newest one then."""
        log, stamp = topic.log, self._since_stamp
        if stamp is None or topic.stamp <= stamp:
            self.cursors[log] = max(log.oldest, log.end - 1)
        elif log.knows(stamp) or log.oldest == log.start:
            after = log.first_after(stamp) if log.knows(stamp) else log.oldest
            self.cursors[log] = max(log.oldest, after - 1)
        else:
            self._seek(Seek(log, stamp, None, log.oldest, back=1))

    def _place_at(self, log: TopicLog, time_us: int) -> None:
        if log.oldest == log.start or log.began_before(time_us):
            self.cursors[log] = log.first_since(time_us)
        else:
            self._seek(Seek(log, None, time_us, log.oldest))

    def _seek(self, seek: Seek) -> None:
        self.seeks.append(seek)
        self.seeking[seek.log] = seek


def _matching(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a topic matches one of them."""
    matches = [matcher(pattern).fullmatch for pattern in patterns]
    return lambda topic: any(match(topic) is not None for match in matches)
