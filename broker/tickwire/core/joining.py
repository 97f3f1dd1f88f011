"""Sections of one flush that go to the same peers become shared frames."""

from __future__ import annotations

from collections.abc import Iterator

from tickwire.fanout.catchup import LIVE, SHARED_BY
from tickwire.fanout.deliver import Group
from tickwire.fanout.frame import Deflater, live_frame, share
from tickwire.fanout.log import TopicLog
from tickwire.fanout.peer import Audience
from tickwire.fanout.section import Section
from tickwire.wire.encode import join_sections

from .stats import Stats
from .topic import Topic

JOINED_BYTES = 256 << 10  # sections are joined up to here; one larger section is a delivery of its own


_Joined = tuple[list[Section], list[tuple[TopicLog, int]]]  # what one audience gets of a flush, and where that began


class Joiner:
    """Collects a flush's sections by audience."""

    def __init__(self, deflater: Deflater | None, stats: Stats) -> None:
        self._deflater, self._stats = deflater, stats
        self._joined: dict[Audience, _Joined] = {}

    def add(self, topic: Topic, sections: list[Section], audience: Audience) -> None:
        self._stats.sections += len(sections)
        if audience.live:
            joined = self._joined
            began = topic.log, sections[0].first
            mine = joined.get(audience)
            if mine is None:
                joined[audience] = sections[:], [began]
            else:
                mine[0].extend(sections)
                mine[1].append(began)

    def take(self, idle: bool) -> list[Group]:
        """What to deliver, and to whom."""
        joined, self._joined = self._joined, {}
        return [self._group(audience, mine, idle) for audience, mine in joined.items()]

    def _group(self, audience: Audience, mine: _Joined, idle: bool) -> Group:
        worth = self._deflater is not None and audience.inflating >= (1 if idle else SHARED_BY)
        sections, began = mine
        if len(sections) == 1 and not worth:  # the way of most, where topics are many
            section = sections[0]
            frame = live_frame(section.data)
            self._stats.deliveries += (section.end - section.first) * len(audience.live)
            return Group(audience, (frame, frame), began)
        frames = [join_sections(LIVE, [section.data for section in part]) for part in _parts(sections)]
        messages = sum([section.end - section.first for section in sections])
        self._stats.deliveries += messages * len(audience.live)
        return Group(audience, share(frames, self._deflater if worth else None), began)


def _parts(sections: list[Section]) -> Iterator[list[Section]]:
    """The sections of each delivery: as many as fit, at least one."""
    part: list[Section] = []
    size = 0
    for section in sections:
        if part and size + len(section.data) > JOINED_BYTES:
            yield part
            part, size = [], 0
        part.append(section)
        size += len(section.data)
    if part:
        yield part
