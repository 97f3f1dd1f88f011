"""Sections of one flush that go to the same peers become shared frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tickwire.fanout.catchup import LIVE, SHARED_BY
from tickwire.fanout.deliver import Group
from tickwire.fanout.frame import Deflater, Shared, live_frames, share
from tickwire.fanout.peer import Audience
from tickwire.fanout.section import Section
from tickwire.wire.encode import join_sections

from .stats import Stats
from .topic import Sealed, Topic

JOINED_BYTES = 256 << 10  # sections are joined up to here; one larger section is a delivery of its own


class Joiner:
    """Collects a flush's sections by audience."""

    def __init__(self, deflater: Deflater | None, stats: Stats) -> None:
        self._deflater, self._stats = deflater, stats
        self._joined: dict[Audience, list[Sealed]] = {}

    def add(self, sealed: list[Sealed], audience_of: Callable[[Topic, int], Audience]) -> None:
        """Give the sections of each topic to its audience, which depends on where they begin."""
        joined, count, deliveries = self._joined, 0, 0
        for each in sealed:
            topic, sections = each
            first = sections[0].first
            count += len(sections)
            audience = audience_of(topic, first)
            if audience.live:
                deliveries += (sections[-1].end - first) * audience.count
                mine = joined.get(audience)
                if mine is None:
                    joined[audience] = [each]
                else:
                    mine.append(each)
        self._stats.sections += count
        self._stats.deliveries += deliveries

    def take(self, idle: bool) -> list[Group]:
        """What to deliver, and to whom."""
        joined, self._joined = self._joined, {}
        alone: list[bytes] = []  # sections that are all of a frame, and plain: the way of most where topics are many
        shared: list[Shared | None] = []  # None for those
        least = 1 if idle else SHARED_BY
        for audience, mine in joined.items():
            deflater = self._deflater if audience.count - audience.plain >= least else None
            if deflater is None and len(mine) == 1 and len(mine[0][1]) == 1:
                alone.append(mine[0][1][0].data)
                shared.append(None)
            else:
                shared.append(self._share([section for _, sections in mine for section in sections], deflater))
        frames = iter(live_frames(alone) if alone else ())
        groups: list[Group] = []
        for (audience, mine), frame in zip(joined.items(), shared, strict=True):
            groups.append((audience, frame or (plain := next(frames), plain), mine))
        return groups

    def _share(self, sections: list[Section], deflater: Deflater | None) -> Shared:
        frames = [join_sections(LIVE, [section.data for section in part]) for part in _parts(sections)]
        return share(frames, deflater)


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
