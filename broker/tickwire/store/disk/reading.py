"""Reading sections: each is proven by its checksum, and what is not there or not sound is a gap, never data."""

from __future__ import annotations

from typing import Any

import apsw

from tickwire.core.store import StoreFailed
from tickwire.fanout.log import Reading
from tickwire.fanout.section import Section, cut
from tickwire.wire.codes import CORRUPT, EVICTED

from .loading import DAMAGE
from .rows import HEAD_COLUMNS, SECTION_COLUMNS, Damaged, Head, head_of, section_of
from .state import KeptTopic

_FROM = f"""SELECT {SECTION_COLUMNS} FROM sections WHERE topic=?1 AND first>=
    ifnull((SELECT max(first) FROM sections WHERE topic=?1 AND first<=?2), ?2) ORDER BY first"""
_PLACES = "SELECT first FROM sections WHERE topic=? AND first>=? ORDER BY first"
_ONE = f"SELECT {SECTION_COLUMNS} FROM sections WHERE topic=? AND first=?"
_HEAD_BEFORE = f"SELECT {HEAD_COLUMNS} FROM sections WHERE topic=? AND first<=? ORDER BY first DESC LIMIT 1"
_HEAD_AFTER = f"SELECT {HEAD_COLUMNS} FROM sections WHERE topic=? AND first>? AND first<? ORDER BY first LIMIT 1"
_BAD_ROWS = 256  # passed over in one read: a large hole is told in parts, and no read takes long


def read(connection: apsw.Connection, topic: KeptTopic, end: int, cursor: int, budget: int) -> Reading:
    """Sections of a topic, as `Store.read` has it, of those before `end`."""
    start = topic.start
    at = max(cursor, start)
    if at >= end:
        gap_end = at if cursor < start else None
        return Reading(gap_end, [], at)
    walk = _Walk(topic, at, end, budget)
    try:
        walk.along(connection)
    except apsw.Error as error:
        raise StoreFailed(f"the store cannot be read ({error})") from error
    return _told(topic, cursor, start, walk)


def _told(topic: KeptTopic, cursor: int, start: int, walk: _Walk) -> Reading:
    """The gap before what was found, with its reason. Where there are two, the second comes with the next read."""
    if cursor < start:
        return Reading(start, [], start) if walk.begin > start else Reading(start, walk.sections, walk.at)
    if walk.begin == cursor:
        return Reading(None, walk.sections, walk.at)
    if cursor < topic.start:  # retention took it while this was read
        return Reading(topic.start, [], topic.start, EVICTED)
    return Reading(walk.begin, walk.sections, walk.at, CORRUPT)


class _Walk:
    """Along a topic from an offset on: `begin` is where the first sound section is, `at` how far it went."""

    def __init__(self, topic: KeptTopic, at: int, end: int, budget: int) -> None:
        self.begin = self.at = at
        self.sections: list[Section] = []
        self._topic, self._end, self._budget = topic, end, budget
        self._bad = 0
        self._bad_place = at  # where the last row with an unsound head seems to begin

    def along(self, connection: apsw.Connection) -> None:
        """Take what is sound, until the budget is used, or damage comes after something sound."""
        try:
            rows = connection.execute(_FROM, (self._topic.id, self.at))
            try:
                if all(map(self._take, rows)):
                    self._skip(self._end)
            finally:
                rows.close()  # a statement that is not over keeps the WAL from beginning anew
        except DAMAGE:
            self._around(connection)

    def _around(self, connection: apsw.Connection) -> None:
        """Go on behind a row that cannot be read at all: one row at a time, as the index names them."""
        if self.sections:
            return
        try:
            for place in self._places(connection):
                if not self._try(connection, place):
                    return
            self._skip(self._end)
        except DAMAGE:
            self._skip(self._end)

    def _places(self, connection: apsw.Connection) -> list[int]:
        """Where sections begin, from here on, as many as one read passes over."""
        rows = connection.execute(_PLACES + f" LIMIT {_BAD_ROWS}", (self._topic.id, self.at))
        return [first for (first,) in rows]

    def _try(self, connection: apsw.Connection, place: int) -> bool:
        try:
            rows = connection.execute(_ONE, (self._topic.id, place)).fetchall()
        except DAMAGE:
            if self.sections:
                return False
            self._skip(place)
            return True
        return all(self._take(row) for row in rows)

    def _take(self, row: tuple[Any, ...]) -> bool:
        """Whether to go on after this row."""
        try:
            section, sound = section_of(self._topic.seed, row)
        except Damaged:
            self._bad_place = row[0] if type(row[0]) is int else self._bad_place
            return self._pass(self.at)
        if section.first == self.at and sound:
            return self._keep(section)
        if section.end <= self.at or section.first >= self._end:
            return True
        if section.first > self.at and not self._pass(section.first):
            return False
        if not sound:
            return self._pass(section.end)
        return self._keep(section if section.first == self.at else cut(section, self.at))

    def _keep(self, section: Section) -> bool:
        self.sections.append(section)
        self.at = section.end
        self._budget -= len(section.data)
        return self._budget > 0 and self.at < self._end

    def _pass(self, end: int) -> bool:
        """Take note of damage up to there. Whether to look further."""
        if self.sections:
            return False
        self._skip(end)
        self._bad += 1
        if self._bad < _BAD_ROWS:
            return True
        self._skip(self._bad_place)  # or the next read would meet the same rows
        return False

    def _skip(self, end: int) -> None:
        if not self.sections:
            self.begin = self.at = max(self.at, min(end, self._end))


def find(connection: apsw.Connection, topic: KeptTopic, end: int, stamp: int | None, time_us: int | None) -> int:
    """The first offset flushed after a stamp, or at or after a time; a smaller one where damage hides it; the end
    where none before that is.
    """

    def is_before(head: Head) -> bool:
        return head.stamp <= stamp if stamp is not None else head.time_us < (time_us or 0)

    low, high = topic.start, end  # all before low is known to be before; from high on nothing need be looked at
    while low < high:
        middle = (low + high) // 2
        head = _head_near(connection, topic, low, middle, high)
        if head is None:
            high = middle
        elif is_before(head):
            low = max(low + 1, head.end)
        else:
            high = min(middle, head.first)
    return min(low, end)


def _head_near(connection: apsw.Connection, topic: KeptTopic, low: int, middle: int, high: int) -> Head | None:
    """The section that holds the middle, or the next sound one before the high end."""
    head = _head(connection, _HEAD_BEFORE, topic, (topic.id, middle))
    if head is not None and head.end > middle:
        return head
    at = middle
    for _ in range(_BAD_ROWS):
        try:
            places = connection.execute(_PLACES + " LIMIT 1", (topic.id, at + 1)).get
        except DAMAGE:
            return None
        if places is None or places >= high:
            return None
        head = _head(connection, _HEAD_AFTER, topic, (topic.id, at, high))
        if head is not None:
            return head
        at = places
    return None


def _head(connection: apsw.Connection, query: str, topic: KeptTopic, values: tuple[int, ...]) -> Head | None:
    try:
        for row in connection.execute(query, values).fetchall():
            return head_of(topic.seed, row)
    except (Damaged, *DAMAGE):
        pass
    return None
