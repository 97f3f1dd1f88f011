"""Dropping what is no longer to be kept: the oldest sections of each topic, a bounded number in a call.

What is damaged is passed over and its row left alone: following its pages could give away those of others.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from tickwire.core.policy import Policy
from tickwire.core.store import Dropped
from tickwire.fanout.section import Section

from .entry import PUT_TOPIC
from .loading import DAMAGE
from .plan import topic_row
from .rows import SECTION_COLUMNS, Damaged, section_of
from .state import KeptTopic, State

_ROWS = 512  # looked at in a call, all topics together
_BYTES = 2 << 20  # the same: 10 ms, and a commit may be waiting
_TOPICS = 2_000  # looked at in a call
_OLDEST = f"SELECT {SECTION_COLUMNS} FROM sections WHERE topic=? AND first>=? ORDER BY first"
_NEXT_PLACE = "SELECT min(first) FROM sections WHERE topic=? AND first>?"
_DROP = "DELETE FROM sections WHERE topic=? AND first>=? AND first<?"


class Cut:
    """What goes of a topic: everything before `start`. Of its rows those in `runs` are deleted, which are sound."""

    def __init__(self, topic: KeptTopic) -> None:
        self.topic = topic
        self.start, self.went = topic.start, topic.went
        self.dropped_stamp, self.since_us = topic.dropped_stamp, topic.since_us
        self.runs: list[tuple[int, int]] = []
        self._unsure = False  # damage was passed over

    def goes(self, section: Section, total: int, sound: bool) -> None:
        """This section is to go. `total` counts the topic's bytes up to its end."""
        self.start, self.went = section.end, total
        self.dropped_stamp = max(self.dropped_stamp, section.stamp)
        if not sound:
            self._unsure = True
        elif self.runs and self.runs[-1][1] == section.first:
            self.runs[-1] = self.runs[-1][0], section.end
        else:
            self.runs.append((section.first, section.end))

    def passed_over(self) -> None:
        self._unsure = True

    def stays(self, section: Section, total: int) -> None:
        """This section is the first that is kept."""
        self.start, self.since_us = section.first, section.time_us
        self.went = total - len(section.data)
        if self._unsure:  # said too large rather than too small
            self.dropped_stamp = max(self.dropped_stamp, section.stamp)

    def all_goes(self) -> None:
        topic = self.topic
        self.start, self.went, self.dropped_stamp = topic.end, topic.came, topic.stamp

    def take_effect(self) -> Cut:
        """Say that it is gone, which readers must know before it is. Returns what takes this back."""
        topic, back = self.topic, Cut(self.topic)
        topic.start, topic.went = self.start, self.went
        topic.dropped_stamp, topic.since_us = self.dropped_stamp, self.since_us
        return back

    def write(self, connection: apsw.Connection) -> None:
        """Inside a transaction, after it took effect."""
        connection.executemany(_DROP, [(self.topic.id, *run) for run in self.runs])
        connection.execute(PUT_TOPIC, topic_row(self.topic))

    @property
    def dropped(self) -> Dropped:
        return Dropped(self.topic.name, self.start, self.dropped_stamp)


class Retention:
    """Looks at topics that grew, and at all the others by turns."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._turn: list[KeptTopic] = []
        self._rows = self._bytes = 0  # that may still be looked at in this call

    def cuts(self, connection: apsw.Connection, policy_of: Callable[[str], Policy], time_us: int) -> list[Cut]:
        """What is to be dropped now. Nothing is changed yet."""
        self._rows, self._bytes = _ROWS, _BYTES
        found: list[Cut] = []
        for topic in self._next_topics():
            if self._used_up:
                self.look_again(topic)
            elif not topic.stuck and _is_due(topic, policy := policy_of(topic.name), time_us):
                cut = self._cut(connection, topic, policy, time_us)
                if cut.start > topic.start:
                    found.append(cut)
        return found

    def look_again(self, topic: KeptTopic) -> None:
        """There may be more to drop of it."""
        self._state.grown[topic] = None

    @property
    def _used_up(self) -> bool:
        return self._rows <= 0 or self._bytes <= 0

    def _next_topics(self) -> list[KeptTopic]:
        grown = self._state.grown
        topics = dict.fromkeys(topic for topic, _ in zip(grown, range(_TOPICS), strict=False))
        for topic in topics:
            del grown[topic]
        if not self._turn:
            self._turn = list(self._state.topics.values())
        topics.update(dict.fromkeys(self._turn[-_TOPICS:]))
        del self._turn[-_TOPICS:]
        return [topic for topic in topics if self._state.topics.get(topic.name) is topic]

    def _cut(self, connection: apsw.Connection, topic: KeptTopic, policy: Policy, time_us: int) -> Cut:
        cut = Cut(topic)
        rows = connection.execute(_OLDEST, (topic.id, topic.start))
        try:
            for row in rows:
                self._rows -= 1
                try:
                    section, sound = section_of(topic.seed, row)
                except Damaged:
                    cut.passed_over()
                    continue
                total = row[4]
                self._bytes -= len(section.data)
                if self._used_up or not _goes(topic, section, total, policy, time_us):
                    if self._used_up:
                        self.look_again(topic)
                    cut.stays(section, total)
                    return cut
                cut.goes(section, total, sound)
        except DAMAGE:
            _jump(connection, cut)
            return cut
        finally:
            rows.close()
        cut.all_goes()
        return cut


def _jump(connection: apsw.Connection, cut: Cut) -> None:
    """The next row cannot be read at all: go on behind it, or never."""
    if cut.runs:
        return  # and the next call comes here
    try:
        place = connection.execute(_NEXT_PLACE, (cut.topic.id, cut.start)).get
    except DAMAGE:
        place = None
    if type(place) is int and place <= cut.topic.end:
        cut.start = place
        cut.passed_over()
    else:
        cut.topic.stuck = True


def _is_due(topic: KeptTopic, policy: Policy, time_us: int) -> bool:
    if topic.start == topic.end:
        return False
    return (
        (policy.messages is not None and topic.end - topic.start > policy.messages)
        or (policy.bytes is not None and topic.came - topic.went > policy.bytes)
        or (policy.seconds is not None and topic.since_us < time_us - policy.seconds * 1e6)
    )


def _goes(topic: KeptTopic, section: Section, total: int, policy: Policy, time_us: int) -> bool:
    """The newest section is kept whatever its size, but not whatever its age."""
    kept_bytes = topic.came - total + len(section.data)
    return (
        (policy.messages is not None and topic.end - section.end >= max(policy.messages, 1))
        or (policy.bytes is not None and kept_bytes > policy.bytes and section.end < topic.end)
        or (policy.seconds is not None and section.time_us < time_us - policy.seconds * 1e6)
    )
