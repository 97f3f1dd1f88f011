"""The log of a topic: what it keeps, and what a cursor gets."""

from __future__ import annotations

import msgpack

from tickwire.fanout.log import SECTION_OVERHEAD, TopicLog
from tickwire.fanout.section import Section, seal


def section(first: int, count: int = 1, stamp: int = 1, at: float = 0.0) -> Section:
    payloads = [b"%d" % offset for offset in range(first, first + count)]
    return seal("t", first, stamp, 0, at, [payloads], sum(map(len, payloads)), 0)[0]


def payloads_of(sections: list[Section]) -> list[bytes]:
    return [payload for section in sections for payload in msgpack.unpackb(section.data)[4]]


def log_of(*sections: Section, limit: int = 1 << 20, seconds: float = 60.0) -> TopicLog:
    log = TopicLog("t", sections[0].first, limit, seconds)
    for each in sections:
        log.extend([each])
    return log


def test_a_cursor_at_a_boundary_gets_whole_sections_to_the_end() -> None:
    log = log_of(section(0, 3), section(3, 2), section(5, 1))

    reading = log.read(3, budget=1 << 20)

    assert payloads_of(reading.sections) == [b"3", b"4", b"5"]
    assert (reading.gap_end, reading.next) == (None, 6)


def test_a_cursor_inside_a_section_gets_the_remainder_with_its_own_first_offset() -> None:
    log = log_of(section(0, 5), section(5, 1))

    reading = log.read(2, budget=1 << 20)

    assert msgpack.unpackb(reading.sections[0].data)[:2] == ["t", 2]
    assert payloads_of(reading.sections) == [b"2", b"3", b"4", b"5"]


def test_a_slow_reader_is_told_what_it_missed() -> None:
    size = len(section(0).data) + SECTION_OVERHEAD
    log = log_of(section(0), section(1), section(2), section(3), limit=2 * size)

    reading = log.read(0, budget=1 << 20)

    assert reading.gap_end == 2
    assert payloads_of(reading.sections) == [b"2", b"3"]


def test_a_cursor_in_a_log_that_lost_everything_gets_a_gap_to_its_end() -> None:
    log = log_of(section(0, 4, at=0.0), seconds=1.0)
    log.expire(now=2.0)

    reading = log.read(1, budget=1 << 20)

    assert (reading.gap_end, reading.sections, reading.next) == (4, [], 4)


def test_a_budget_bounds_what_is_read_but_never_to_nothing() -> None:
    log = log_of(*[section(offset) for offset in range(10)])
    one = len(section(0).data)

    assert len(log.read(0, budget=0).sections) == 1
    assert len(log.read(0, budget=3 * one).sections) == 3


def test_the_newest_section_is_kept_whatever_its_size() -> None:
    log = log_of(section(0), section(1, 100), limit=10)

    assert log.start == 1
    assert log.read(1, budget=10).next == 101


def test_every_offset_reads_right_while_old_sections_are_dropped() -> None:
    size = len(section(1000).data) + SECTION_OVERHEAD
    log = TopicLog("t", 0, 50 * size, 60.0)

    for first in range(0, 2000, 2):
        log.extend([section(first, 2)])
        for cursor in (log.start, log.start + 1, log.end - 1):
            reading = log.read(cursor, budget=0)
            assert payloads_of(reading.sections)[0] == b"%d" % cursor
        assert log.bytes <= log.limit


def test_the_log_knows_what_came_after_a_stamp_while_it_keeps_it() -> None:
    log = log_of(section(0, 2, stamp=3), section(2, 2, stamp=5), section(4, 2, stamp=9))

    assert [log.first_after(stamp) for stamp in (2, 3, 4, 5, 8, 9, 10)] == [0, 2, 2, 4, 4, 6, 6]
    assert log.knows(3)
    assert not log.knows(2)
