"""What the core asks of a store: whose life this is, to keep what a flush sealed, and to read what memory let go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tickwire.fanout.log import Reading
from tickwire.fanout.section import Section
from tickwire.wire.errors import TickwireError

from .policy import Policy


class StoreFull(TickwireError):
    """There is no room. Nothing of the commit was kept, certainly: it was taken back whole."""


class StoreFailed(TickwireError):
    """The commit ended in an error of the disk: it may be there after a restart or not. The store takes no more."""


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """A topic as a store has it when it is opened."""

    name: str
    start: int  # the oldest offset that can be read; equal to end where nothing is kept
    end: int  # the next offset
    stamp: int  # of its last flush
    dropped_stamp: int = 0  # the newest stamp of what retention dropped of it


@dataclass(slots=True)  # not frozen: that is half of the time it takes to make one
class Identity:
    """A publish that was stored: who sent it, what it was, and the first offset of each of its runs."""

    publisher: str
    incarnation: int
    sequence: int
    checksum: int
    offsets: list[int]


@dataclass(frozen=True, slots=True)
class GroupCursor:
    """Where a consumer group stands in one topic."""

    group: str
    topic: str
    cursor: int  # all before it is settled
    settled: list[tuple[int, int]]  # ranges [from, to) after it that are settled too
    attempts: list[tuple[int, int, int]] = field(default_factory=list)  # (from, to, times it was handed out)


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A consumer group: its name, what it consumes, and where it stands."""

    name: str
    pattern: str
    cursors: list[GroupCursor]


@dataclass(frozen=True, slots=True)
class Life:
    """Where the store stood when it was opened."""

    epoch: int
    stamp: int = 0  # no later one was ever shown, also not of what is not on disk
    time_us: int = 0  # of the last flush: the clock of a topic never goes back
    floor: int = 0  # where new topics start
    freed_stamp: int = 0  # the newest stamp of any topic that was freed
    volatile_floor: int = 0  # where new topics start that are not on disk: above what any life may have used
    topics: Sequence[StoredTopic] = ()
    identities: Sequence[tuple[int, Identity]] = ()  # (time_us of the flush, identity), oldest first
    groups: Sequence[StoredGroup] = ()


@dataclass(slots=True)
class Batch:
    """One commit: all of it is kept, or none."""

    stamp: int
    time_us: int
    sections: list[tuple[str, Section]] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    groups: list[tuple[str, str]] = field(default_factory=list)  # (name, pattern) of groups that are new
    cursors: list[GroupCursor] = field(default_factory=list)  # those that moved
    freed: list[str] = field(default_factory=list)  # topics to forget; they keep nothing any more
    floor: int = 0
    freed_stamp: int = 0
    volatile_floor: int = 0

    def __bool__(self) -> bool:
        return bool(self.sections or self.identities or self.groups or self.cursors or self.freed)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What retention did to a topic: its new oldest offset, and the newest stamp of what went."""

    topic: str
    start: int
    stamp: int


class Store(Protocol):
    """Where sections last. `commit`, `read`, `find` and `retain` may take the time of a disk: never call them from a
    loop that others wait for. `commit`, `settle` and `retain` are called by one thread at a time, `read` and `find` by
    another.
    """

    acknowledges: str
    """What an acknowledgment means here, a word of the protocol: `memory` or `disk`."""

    durable: bool
    """Whether topics outlive the process: then nothing is shown before its commit has returned."""

    def open(self) -> Life:
        """Begin, or go on where the store ended."""

    def commit(self, batch: Batch) -> None:
        """Keep all of it; it is safe when this returns. Raises StoreFull or StoreFailed."""

    ended: int | None
    """A descriptor that can be read when a commit that was begun has ended; None before the first that was."""

    def begin(self, batch: Batch) -> bool:
        """Start to keep it without waiting for a disk, whatever thread this is; `finish` is called when it has ended.

        False: it is for `commit`. Nothing else that writes is called meanwhile, but `settle`. Raises as `commit` does.
        """

    def finish(self) -> bool:
        """What was begun is kept. False: not yet. Raises StoreFailed where nobody knows."""

    @property
    def unsettled(self) -> bool:
        """Whether commits have put off so much work that it is worth while to `settle`."""

    @property
    def settles_alone(self) -> bool:
        """Whether the next `settle` is to be alone."""

    def settle(self, alone: bool = True) -> None:
        """Do the work that commits have put off, some milliseconds of it. Raises StoreFailed.

        Where it is not `alone`, commits are begun and finished meanwhile.
        """

    def read(self, topic: str, cursor: int, budget: int) -> Reading:
        """Sections from the cursor on, up to `budget` bytes, at least one where there is one.

        They follow each other without a hole. Where something is missing before them (dropped, or damaged), `gap_end`
        and `reason` say so. Raises StoreFailed only where nothing at all can be said.
        """

    def find(self, topic: str, stamp: int | None = None, time_us: int | None = None) -> int:
        """The first offset flushed after the stamp, or accepted at or after the time; the topic's end where none is."""

    def retain(self, policy_of: Callable[[str], Policy], time_us: int) -> list[Dropped]:
        """Drop some of what is no longer to be kept: a bounded amount of work. Returns what it did; [] when done.

        Raises StoreFailed where this meets an error of the disk first.
        """

    def probe(self) -> None:
        """Whether there is room again. Raises StoreFull where there is none."""

    def close(self) -> None:
        """Write what is due and let go of it."""
