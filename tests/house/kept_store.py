"""A store that keeps in memory what a disk would: what was committed outlives the engine, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgpack

from tickwire.core.policy import Policy
from tickwire.core.store import (
    Batch,
    Dropped,
    GroupCursor,
    Identity,
    Life,
    StoredGroup,
    StoredTopic,
    StoreFailed,
)
from tickwire.fanout.log import Reading
from tickwire.fanout.section import Section, cut

EPOCH = 77
CLAIM = 1 << 20  # what a life may use without a commit: stamps, and offsets of topics that are not kept


@dataclass(slots=True)
class Kept:
    """One topic. What was before `start` is dropped."""

    start: int
    end: int
    sections: list[Section] = field(default_factory=list)
    stamp: int = 0
    dropped_stamp: int = 0

    def drop(self) -> None:
        section = self.sections.pop(0)
        self.start, self.dropped_stamp = section.end, section.stamp


class KeptStore:
    """`fail` is raised by the next commit, which then keeps nothing; `commits` are all that were kept."""

    acknowledges = "disk"
    durable = True

    def __init__(self) -> None:
        self.topics: dict[str, Kept] = {}
        self.commits: list[Batch] = []
        self.messages: dict[tuple[str, int], bytes] = {}  # every one that was ever kept
        self.fail: Exception | None = None
        self._life = Life(EPOCH)
        self._identities: list[tuple[int, Identity]] = []
        self._groups: dict[str, str] = {}
        self._cursors: dict[tuple[str, str], GroupCursor] = {}

    def open(self) -> Life:
        life = self._life
        topics = [StoredTopic(name, t.start, t.end, t.stamp, t.dropped_stamp) for name, t in self.topics.items()]
        groups = [
            StoredGroup(name, pattern, [cursor for (group, _), cursor in self._cursors.items() if group == name])
            for name, pattern in self._groups.items()
        ]
        self._life = Life(
            EPOCH, life.stamp + CLAIM, life.time_us, life.floor, life.freed_stamp, life.volatile_floor + CLAIM,
            topics, list(self._identities), groups,
        )  # fmt: skip
        return self._life

    unsettled = False
    settles_alone = True

    ended: int | None = None

    def settle(self, alone: bool = True) -> None: ...

    def begin(self, batch: Batch) -> bool:
        return False

    def finish(self) -> bool:
        return False

    def commit(self, batch: Batch) -> None:
        if self.fail is not None:
            failure, self.fail = self.fail, None
            raise failure
        self.commits.append(batch)
        for name in batch.freed:
            self.topics.pop(name, None)
        for name, section in batch.sections:
            self._keep(name, section)
        self._identities += [(batch.time_us, identity) for identity in batch.identities]
        self._groups.update(batch.groups)
        self._cursors.update({(each.group, each.topic): each for each in batch.cursors})
        old = self._life
        self._life = Life(
            EPOCH,
            max(old.stamp, batch.stamp),
            max(old.time_us, batch.time_us),
            max(old.floor, batch.floor),
            max(old.freed_stamp, batch.freed_stamp),
            max(old.volatile_floor, batch.volatile_floor),
        )

    def _keep(self, name: str, section: Section) -> None:
        kept = self.topics.setdefault(name, Kept(section.first, section.first))
        assert section.first == kept.end, f"{name} ends at {kept.end}, and {section.first} came"
        for offset, payload in enumerate(msgpack.unpackb(section.data)[4], section.first):
            assert (name, offset) not in self.messages, f"offset {offset} of {name} was given twice"
            self.messages[name, offset] = payload
        kept.sections.append(section)
        kept.end, kept.stamp = section.end, section.stamp

    def read(self, topic: str, cursor: int, budget: int) -> Reading:
        kept = self.topics.get(topic)
        if kept is None:
            raise StoreFailed(f"there is no {topic}")
        at = max(cursor, kept.start)
        found: list[Section] = []
        for section in kept.sections:
            if section.end > at:
                budget -= len(section.data)
                if found and budget < 0:
                    break
                found.append(section if section.first >= at else cut(section, at))
        return Reading(kept.start if cursor < kept.start else None, found, found[-1].end if found else at)

    def find(self, topic: str, stamp: int | None = None, time_us: int | None = None) -> int:
        kept = self.topics.get(topic)
        if kept is None:
            raise StoreFailed(f"there is no {topic}")
        for section in kept.sections:
            if section.stamp > stamp if stamp is not None else section.time_us >= (time_us or 0):
                return section.first
        return kept.end

    def retain(self, policy_of: Callable[[str], Policy], time_us: int) -> list[Dropped]:
        dropped: list[Dropped] = []
        for name, kept in self.topics.items():
            before, policy = kept.start, policy_of(name)
            while kept.sections and _goes(kept, policy, time_us):
                kept.drop()
            if kept.start > before:
                dropped.append(Dropped(name, kept.start, kept.dropped_stamp))
        return dropped

    def probe(self) -> None:
        """There is always room."""

    def close(self) -> None:
        """Nothing is open."""


def _goes(kept: Kept, policy: Policy, time_us: int) -> bool:
    oldest = kept.sections[0]
    return (
        (policy.messages is not None and kept.end - oldest.end >= max(policy.messages, 1))
        or (policy.bytes is not None and sum(len(section.data) for section in kept.sections) > policy.bytes)
        or (policy.seconds is not None and oldest.time_us < time_us - policy.seconds * 1e6)
    )
