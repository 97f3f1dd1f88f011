"""Bugs to put in on purpose. Each breaks one promise, and histories must find it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from house.fake_disk import FakeDisk
from tickwire.core import pipeline
from tickwire.core.aftermath import Aftermath
from tickwire.core.commits import Commit
from tickwire.core.engine import Engine
from tickwire.core.groups.ledger import Ledger
from tickwire.core.identity import Identities
from tickwire.core.reads import ReadSections
from tickwire.core.store import GroupCursor
from tickwire.core.topic import Topic
from tickwire.core.topics import Topics
from tickwire.core.trails import Trail
from tickwire.fanout import catchup
from tickwire.fanout.log import Reading, TopicLog
from tickwire.store.disk import opening
from tickwire.store.disk.ahead import Ahead
from tickwire.store.disk.journal import Journal
from tickwire.store.disk.writer import Writer

Patch = Any


def ack_before_sync() -> Patch:
    """A publish is acknowledged when its commit begins."""
    hand_over = Engine._hand_over

    def eager(self: Engine, commit: Commit) -> None:
        hand_over(self, commit)
        if commit is self._under_way:
            self._acknowledge([commit])
            commit.receipts = {}

    return patch.object(Engine, "_hand_over", eager)


def delivery_before_sync() -> Patch:
    """Readers are shown a message when its commit begins."""
    hand_over = Engine._hand_over

    def eager(self: Engine, commit: Commit) -> None:
        hand_over(self, commit)
        if commit is self._under_way:
            self._show([commit], self._now)
            commit.sealed = []

    return patch.object(Engine, "_hand_over", eager)


def no_sync() -> Patch:
    """The journal leaves it to the system when its writes reach the disk."""

    def careless(self: FakeDisk, name: str, data: bytes, at: int) -> None:
        self.put(name, data, at, sync=False)

    return patch.object(FakeDisk, "write_through", careless)


def no_sync_at_home() -> Patch:
    """The database leaves it to the system, and the journal begins anew all the same."""
    transact = Writer.transact

    def careless(self: Writer, work: Any, survives: Any = (), syncs: bool = True) -> None:
        transact(self, work, survives, syncs=False)

    return patch.object(Writer, "transact", careless)


def journal_filled_too_early() -> Patch:
    """A half of the journal is filled again before what is in it is durable elsewhere."""
    return patch.object(Journal, "waits", False)


def journal_unread() -> Patch:
    """What a life that was killed left in its journal is not looked at."""
    return patch.object(opening, "entries_after", lambda *values: [])


def newest_unread() -> Patch:
    """Who reads from the store does not see what the database has not yet."""
    return patch.object(Ahead, "of", lambda self, topic: [])


def no_dedup_after_restart() -> Patch:
    """What publishers had sent is forgotten when the broker starts again."""
    return patch.object(Identities, "restore", lambda self, stored, last_us: None)


def retry_stored_twice() -> Patch:
    """Each repeat is taken for a new message."""
    return patch.object(Identities, "find", lambda self, *values: None)


def gap_notice_dropped() -> Patch:
    """A reader goes on behind what is gone, without a word."""
    chunk = catchup._chunk

    def silent(log: TopicLog, cursor: int, stream: int, reading: Reading) -> Any:
        return chunk(log, cursor, stream, replace(reading, gap_end=None))

    return patch.object(catchup, "_chunk", silent)


def offset_reused() -> Patch:
    """A topic that was freed and comes back begins at 0."""
    free = Topics._free

    def careless(self: Topics, topic: Topic) -> None:
        floors = self.floor, self.volatile_floor
        free(self, topic)
        self.floor, self.volatile_floor = floors

    return patch.object(Topics, "_free", careless)


def resume_off_by_one() -> Patch:
    """A reader that comes back misses the message after its last."""
    place = Trail._place

    def behind(self: Trail, topic: Topic) -> None:
        place(self, topic)
        if topic.name in self._positions:
            self.cursors[topic.log] = min(self.cursors[topic.log] + 1, topic.log.end)

    return patch.object(Trail, "_place", behind)


def join_too_early() -> Patch:
    """A subscription is called level before all topics were looked at."""
    return patch.object(Trail, "complete", True)


def round_as_of_its_end() -> Patch:
    """What came while the topics were looked through counts as looked at."""
    look = Trail._look

    def hasty(self: Trail, scan: Iterator[Topic]) -> None:
        self._round = self._topics.stamp
        look(self, scan)

    return patch.object(Trail, "_look", hasty)


def read_before_its_turn() -> Patch:
    """What was stored and not shown yet comes out of the store to who catches up."""
    return patch.object(ReadSections, "_shown", lambda self, reading: reading)


def refused_though_stored() -> Patch:
    """Who repeats what was stored is refused along with what fails now."""
    return patch.object(Aftermath, "_answer_repeats", lambda self, *values: None)


def acknowledged_in_doubt() -> Patch:
    """Who repeats what nobody knows the outcome of is acknowledged."""
    return patch.object(Identities, "doubt", lambda self, identities: None)


def not_taken_back() -> Patch:
    """Who repeats what a full disk did not take is acknowledged."""
    return patch.object(Identities, "take_back", lambda self, identities: None)


def failed_sync_is_a_full_disk() -> Patch:
    """After an error of the disk publishers hear that certainly nothing was stored."""
    return patch.object(pipeline, "StoreFull", Exception)


def cursor_before_ack() -> Patch:
    """What was handed out counts as settled in what is stored."""

    def careless(self: Ledger, group: str) -> GroupCursor:
        return GroupCursor(group, self.topic, self.next, [])

    return patch.object(Ledger, "row", careless)


PLANTS: dict[str, Callable[[], Patch]] = {
    plant.__name__: plant
    for plant in (
        ack_before_sync,
        delivery_before_sync,
        no_sync,
        no_sync_at_home,
        journal_filled_too_early,
        journal_unread,
        newest_unread,
        no_dedup_after_restart,
        retry_stored_twice,
        gap_notice_dropped,
        offset_reused,
        resume_off_by_one,
        join_too_early,
        round_as_of_its_end,
        read_before_its_turn,
        refused_though_stored,
        acknowledged_in_doubt,
        not_taken_back,
        failed_sync_is_a_full_disk,
        cursor_before_ack,
    )
}


@contextlib.contextmanager
def planted(name: str | None) -> Iterator[None]:
    """With that bug in the code, or none."""
    with PLANTS[name]() if name else contextlib.nullcontext():
        yield
