"""Peers and what ties them to topics: one connection as the broker sees it, its interests, and audiences of peers."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .descriptors import OPEN, give_back, take_slot
from .log import TopicLog


class Peer:
    """A peer is live, or behind: then it is in no audience, and has a cursor for each topic it misses something of.

    `write` takes bytes that are whole WebSocket frames; `unsent` tells how many of those bytes wait to leave;
    `inflates` says whether deflated frames may be among them. They are all that the fan-out knows of a connection, but
    for the descriptor of its socket, where what is due may go straight into that.
    """

    __slots__ = (
        "behind",
        "cursors",
        "descriptor",
        "fed",
        "id",
        "inflates",
        "pending",
        "replies",
        "reply_bytes",
        "slot",
        "strayed",
        "streams",
        "subscriptions",
        "trails",
        "unsent",
        "write",
    )

    def __init__(
        self, id: int, write: Callable[[bytes | memoryview], None], unsent: Callable[[], int], inflates: bool = False
    ) -> None:
        self.id = id
        self.write, self.unsent, self.inflates = write, unsent, inflates
        self.subscriptions: dict[int, Interest | Restricted] = {}
        self.behind = False
        self.fed = False  # catching up, it was written to, since somebody last looked
        self.cursors: dict[TopicLog, int] | None = None  # made when it falls behind; most peers never do
        # Frames that leave at the next flush, before any delivery. Not a list while empty: that is 56 bytes a peer.
        self.replies: list[bytes] | tuple[()] = ()
        self.reply_bytes = 0
        # What it unsubscribed while it was behind, (pattern, moment from, moment to): not each cursor is owed any more.
        self.strayed: list[tuple[str, int, int]] | None = None
        self.pending = 0  # bytes it published that are not sealed yet
        self.trails: tuple[Trail, ...] = ()  # subscriptions that catch up, each on a stream of its own
        self.streams = 0  # how many private streams it was given
        self.descriptor, self.slot = -1, 0

    def open_socket(self, descriptor: int) -> None:
        """From now on frames may go straight into its socket, as soon as nothing waits in its transport."""
        self.descriptor, self.slot = descriptor, take_slot()

    def close_socket(self) -> None:
        """The descriptor is about to be closed, or somebody else writes now: no frame may go there any more."""
        self.descriptor = OPEN[self.slot] = -1

    def hold(self) -> None:
        """Something is about to be written to its transport: what is due goes behind it."""
        OPEN[self.slot] = -1

    def leave(self) -> None:
        """The connection is gone, and the peer in no audience any more."""
        self.close_socket()
        give_back(self.slot)
        self.slot = 0

    def reply(self, frame: bytes) -> None:
        """Owe the peer a frame. Whoever calls this tells the engine, so that a flush comes."""
        if isinstance(self.replies, list):
            self.replies.append(frame)
        else:
            self.replies = [frame]
        self.reply_bytes += len(frame)
        OPEN[self.slot] = -1  # it leaves before any delivery

    def take_replies(self) -> list[bytes] | tuple[()]:
        replies, self.replies, self.reply_bytes = self.replies, (), 0
        return replies

    def next_stream(self) -> int:
        """A private stream: clients that ask for the same in the same order get the same, and so share frames."""
        self.streams += 1
        return self.streams

    def fall_behind(self) -> dict[TopicLog, int]:
        """Leave the live ones. Returns the cursors, to be set at the first section missed of each topic."""
        self.behind = True
        if self.cursors is None:
            self.cursors = {}
        return self.cursors

    def come_level(self) -> None:
        self.behind, self.cursors, self.strayed = False, None, None


class Trail(Protocol):
    """A subscription on its way to the present, on a stream of its own."""

    id: int
    stream: int
    cursors: dict[TopicLog, int]

    def advance(self) -> list[bytes]:
        """Look for topics that it misses something of, a bounded number of them; returns notices that come first."""

    @property
    def weight(self) -> int:
        """What it holds, in cursors: 0 until it has begun."""

    @property
    def complete(self) -> bool:
        """Whether the cursors are all that it misses."""


class Interest:
    """Everyone who subscribed to one pattern, each with the moment at which it did."""

    __slots__ = ("built", "pattern", "peers")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.peers: dict[Peer, int] = {}
        self.built: set[Built] = set()  # the audiences that were built from it

    @property
    def interests(self) -> tuple[Interest, ...]:
        return (self,)


@dataclass(slots=True, frozen=True, eq=False)
class Restricted:
    """A subscription to a pattern of which its peer may not read all: what it may is in patterns of their own."""

    pattern: str
    interests: tuple[Interest, ...]


@dataclass(slots=True, weakref_slot=True, eq=False, frozen=True)
class Audience:
    """The live peers of a topic, and those that are behind. Two topics have the same one if it is the same object."""

    # Tuples, not sets: the hot loop only iterates, and subscribing is rare.
    live: tuple[Peer, ...]  # first those who cannot inflate
    behind: tuple[Peer, ...]
    count: int  # of the live
    plain: int  # how many of them cannot inflate
    slots: array[int]  # of the live
    slots_at: int  # where they stand, for the C library
    has_sockets: bool  # whether one of the live may be written to past its transport


NOBODY = Audience((), (), 0, 0, array("I"), 0, False)


@dataclass(slots=True, eq=False)
class Built:
    """An audience and what it was built from. Compared by identity: to hash 1,000 patterns 1,000 times is slow."""

    interests: tuple[Interest, ...]
    audience: Audience | None  # None when one of the interests has changed


BUILT_OF_NONE = Built((), NOBODY)
NOT_BUILT = Built((), None)
