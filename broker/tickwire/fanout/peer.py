"""One connection, seen from the broker: how to write to it, what it is owed, where it stopped, what it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .log import TopicLog

if TYPE_CHECKING:
    from .audience import Built


class Peer:
    """A peer is live, or behind: then it is in no audience, and has a cursor for each topic it misses something of.

    `write` takes bytes that are whole WebSocket frames; `unsent` tells how many of those bytes wait to leave;
    `inflates` says whether deflated frames may be among them. They are all that the fan-out knows of a connection.
    """

    __slots__ = (
        "behind",
        "cursors",
        "id",
        "inflates",
        "pending",
        "replies",
        "reply_bytes",
        "strayed",
        "subscriptions",
        "unsent",
        "write",
    )

    def __init__(
        self, id: int, write: Callable[[bytes], None], unsent: Callable[[], int], inflates: bool = False
    ) -> None:
        self.id = id
        self.write, self.unsent, self.inflates = write, unsent, inflates
        self.subscriptions: dict[int, Interest] = {}
        self.behind = False
        self.cursors: dict[TopicLog, int] | None = None  # made when it falls behind; most peers never do
        # Frames that leave at the next flush, before any delivery. Not a list while empty: that is 56 bytes a peer.
        self.replies: list[bytes] | tuple[()] = ()
        self.reply_bytes = 0
        # What it unsubscribed while it was behind, (pattern, moment from, moment to): not each cursor is owed any more.
        self.strayed: list[tuple[str, int, int]] | None = None
        self.pending = 0  # bytes it published since the last flush

    def reply(self, frame: bytes) -> None:
        """Owe the peer a frame. Whoever calls this tells the engine, so that a flush comes."""
        if isinstance(self.replies, list):
            self.replies.append(frame)
        else:
            self.replies = [frame]
        self.reply_bytes += len(frame)

    def take_replies(self) -> list[bytes] | tuple[()]:
        replies, self.replies, self.reply_bytes = self.replies, (), 0
        return replies

    def fall_behind(self) -> dict[TopicLog, int]:
        """Leave the live ones. Returns the cursors, to be set at the first section missed of each topic."""
        self.behind = True
        if self.cursors is None:
            self.cursors = {}
        return self.cursors

    def come_level(self) -> None:
        self.behind, self.cursors, self.strayed = False, None, None


class Interest:
    """Everyone who subscribed to one pattern, each with the moment at which it did."""

    __slots__ = ("built", "pattern", "peers")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.peers: dict[Peer, int] = {}
        self.built: set[Built] = set()  # the audiences that were built from it
