"""Random histories on a disk that loses what was not synced. The seed of one that fails is in its name."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from random import Random

import pytest

from house.fake_disk import FakeDisk
from tickwire.core.policy import Policy
from tickwire.core.store import Batch, GroupCursor, Identity, Life, StoreFailed, StoreFull
from tickwire.store.disk import DiskStore, check
from tickwire.store.disk.errors import NoRoomToOpen, StoreUnreadable

from .made import Author, batch, read_all

TOPICS = ("a", "b", "c.d", "e")


@dataclass
class Known:
    """What must be there."""

    ends: dict[str, int] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    identities: list[Identity] = field(default_factory=list)
    cursors: dict[str, int] = field(default_factory=dict)
    stamp: int = 0

    def after(self, batch: Batch) -> Known:
        ends = self.ends | {topic: section.end for topic, section in batch.sections}
        cursors = self.cursors | {each.topic: each.cursor for each in batch.cursors}
        return Known(ends, self.starts, self.identities + batch.identities, cursors, batch.stamp)


class History:
    """One store through lives that end badly. `unsure` is a batch whose commit ended in an error."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.disk = FakeDisk.formatted()
        self.disk.random = self.random
        self.known, self.unsure = Known(), None
        self.lives = self.cuts = self.unknown = self.refused = self.begun = 0
        self.number = 0
        self._begin()

    def live(self, steps: int) -> None:
        for _ in range(steps):
            if self.random.random() < 0.1:
                self._end()
                self._begin()
            elif self.random.random() < 0.1:
                self._retain()
            else:
                self._commit()
        self._end()
        self._begin()
        self.disk.kill()
        assert check(self.disk).sound

    def _commit(self) -> None:
        random, disk = self.random, self.disk
        made = self._batch()
        if random.random() < 0.05:
            disk.fail_sync = disk.syncs + 1
        if random.random() < 0.05:
            disk.full_at = disk.writes + random.randrange(6)
        try:
            self._store(made)
        except StoreFull:
            self.refused += 1
        except StoreFailed:
            self.unsure, self.unknown = made, self.unknown + 1
            disk.full_at = disk.fail_sync = None
            with pytest.raises(StoreFailed):
                self.store.commit(self._batch())
            self._verify(self.known)
            self._end()
            self._begin()
        else:
            self.known = self.known.after(made)
        disk.full_at = disk.fail_sync = None

    def _store(self, made: Batch) -> None:
        """By a commit, or by one that is begun and ends later."""
        self.disk.beside = self.random.random() < 0.5
        if self.store.begin(made):
            self.begun += 1
            assert self.store.finish()
        else:
            self.store.commit(made)

    def _batch(self) -> Batch:
        random = self.random
        self.number += 1
        topics = random.sample(TOPICS, random.randint(1, 3))
        runs = [(topic, self.known.ends.get(topic, 0), random.randint(1, 4)) for topic in topics]
        identities = [Identity("p", 1, self.number, 0, [first for _, first, _ in runs])]
        cursors = [GroupCursor("g", topics[0], self.number, [])] if random.random() < 0.3 else []
        size = random.choice((0, 0, 0, 700, 9_000))
        stamp = max(self.known.stamp, self.life.stamp) + 1
        return batch(stamp, *runs, size=size, identities=identities, cursors=cursors, groups=[("g", ">")])

    def _retain(self) -> None:
        for dropped in self.store.retain(lambda topic: Policy(messages=12), 0):
            self.known.starts[dropped.topic] = dropped.start

    def _end(self) -> None:
        if self.random.random() < 0.3:
            self.disk.kill()
        if self.random.random() < 0.7:
            self.disk.power_cut(self.random)
            self.cuts += 1
        self.disk.kill()

    def _begin(self) -> None:
        self.store: DiskStore = self.disk.store()
        self.life: Life = self.store.open()
        self.lives += 1
        if self.unsure is not None:
            there = len(self.life.identities) > len(self.known.identities)
            self.known = self.known.after(self.unsure) if there else self.known
            self.unsure = None
        self._verify(self.known)
        assert {topic.name: topic.end for topic in self.life.topics} == self.known.ends
        assert [identity for _, identity in self.life.identities] == self.known.identities
        assert self.life.stamp >= self.known.stamp
        cursors = {each.topic: each.cursor for group in self.life.groups for each in group.cursors}
        assert cursors == self.known.cursors

    def _verify(self, known: Known) -> None:
        """All that was acknowledged is there, and what is there was sent: of each topic, without a hole."""
        for topic, end in known.ends.items():
            story = read_all(self.store, topic, end)
            for gap in story.gaps:  # a retention whose sync failed may have been done or not
                assert (gap[0], gap[2]) == (0, "evicted")
                assert gap[1] <= end - 12 or gap[1] <= known.starts.get(topic, 0)


@pytest.mark.parametrize("block", range(10))
def test_what_was_acknowledged_outlives_kills_power_cuts_failing_syncs_and_full_disks(block: int) -> None:
    lives = cuts = unknown = refused = begun = 0
    for seed in range(block * 30, block * 30 + 30):
        history = History(seed)
        try:
            history.live(40)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        lives, cuts = lives + history.lives, cuts + history.cuts
        unknown, refused = unknown + history.unknown, refused + history.refused
        begun += history.begun

    assert min(lives, cuts, unknown, refused, begun) > 0


def test_nothing_is_synced_again_after_a_sync_that_failed() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    author.commit(("a", 3))
    disk.fail_sync, disk.fail_keep = disk.syncs + 1, False

    with pytest.raises(StoreFailed, match="the disk failed"):
        author.commit(("a", 1))
    syncs = disk.syncs
    for _ in range(3):
        with pytest.raises(StoreFailed):
            author.commit(("a", 1))
        with pytest.raises(StoreFailed):
            author.store.probe()
        assert author.store.retain(lambda topic: Policy(messages=1), 0) == []

    assert sorted(read_all(author.store, "a", 3).messages) == [0, 1, 2]
    author.store.close()
    assert disk.syncs == syncs


def test_retention_tells_of_the_first_sync_that_fails() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(3):
        author.commit(("a", 3))
    disk.fail_sync, disk.fail_keep = disk.syncs + 1, False

    with pytest.raises(StoreFailed, match="the disk failed"):
        author.store.retain(lambda topic: Policy(messages=1), 0)
    with pytest.raises(StoreFailed):
        author.commit(("a", 1))

    author.store.close()


def test_what_a_failed_sync_left_in_the_page_cache_is_durable_before_the_next_life_shows_it() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    disk.fail_sync, disk.fail_keep = disk.syncs + 1, False
    with pytest.raises(StoreFailed):
        author.commit(("a", 1))
    disk.kill()

    shown = {topic.name: topic.end for topic in disk.store().open().topics}
    disk.power_cut(Random(1))

    assert {topic.name: topic.end for topic in disk.store().open().topics} == shown


@pytest.mark.parametrize("syncs", range(1, 7))
def test_a_store_whose_first_syncs_fail_is_made_at_the_next_start(syncs: int) -> None:
    disk = FakeDisk()
    disk.fail_sync, disk.fail_keep = syncs, False
    with contextlib.suppress(StoreUnreadable):
        disk.store().open()
    disk.power_cut(Random(syncs))

    author = Author(disk.store())
    author.commit(("a", 1))

    assert len(read_all(author.store, "a", 1).messages) == 1


@pytest.mark.parametrize("seed", range(100))
def test_a_power_cut_while_a_store_is_made_leaves_one_that_opens(seed: int) -> None:
    random = Random(seed)
    disk = FakeDisk()
    disk.full_at = random.randrange(40)
    with contextlib.suppress(NoRoomToOpen, StoreUnreadable):
        disk.store().open()
    disk.full_at = None
    disk.power_cut(random)

    author = Author(disk.store())
    author.commit(("a", 1))

    assert len(read_all(author.store, "a", 1).messages) == 1
