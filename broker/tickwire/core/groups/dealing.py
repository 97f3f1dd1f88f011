"""One deal: what each member gets in it, and how much all of it may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tickwire.fanout.deliver import write_frames
from tickwire.fanout.frame import websocket_frame
from tickwire.fanout.log import TopicLog
from tickwire.fanout.peer import Peer
from tickwire.fanout.section import Cutter
from tickwire.wire.encode import encode, join_sections
from tickwire.wire.messages import Gap

from .member import Member
from .pages import Hole, Pages

RUN_BYTES = 64 << 10  # at which a run ends, though it has fewer messages than a block
PEER_BYTES = 64 << 10  # for one peer in a deal: more would put it behind
DEAL_BYTES = 4 << 20  # for all peers
DEAL_RUNS = 512  # 10 us each where a run is one message
FRAME_BYTES = 256 << 10


class Outbox:
    """What one member gets: sections joined into frames, gap notices in their place."""

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._frames: list[bytes] = []
        self._fragments: list[bytes] = []
        self._size = 0
        self._gap: Gap | None = None

    def add(self, fragments: list[bytes], size: int) -> None:
        if self._gap is not None or self._size + size > FRAME_BYTES:
            self._close()
        self._fragments += fragments
        self._size += size

    def add_gap(self, gap: Gap) -> None:
        last = self._gap
        if last is not None and (last.topic, last.end, last.reason) == (gap.topic, gap.start, gap.reason):
            last.end = gap.end
        else:
            self._close()
            self._gap = replace(gap, stream=self._stream)

    def take(self) -> list[bytes]:
        self._close()
        return self._frames

    def _close(self) -> None:
        if self._fragments:
            self._frames.append(websocket_frame(join_sections(self._stream, self._fragments)))
            self._fragments, self._size = [], 0
        if self._gap is not None:
            self._frames.append(websocket_frame(encode(self._gap)))
            self._gap = None


class Deal:
    """What is handed out in one go. Groups put it in; it leaves in one write for each peer."""

    def __init__(self, now: float, writable: Callable[[Peer], bool], pages: Pages, cutter: Cutter) -> None:
        self.now = now
        self.wrote = False
        self._runs, self._bytes = DEAL_RUNS, DEAL_BYTES
        self._writable, self._pages, self._cutter = writable, pages, cutter
        self._left: dict[Peer, int] = {}  # bytes that each may still get
        self._outboxes: dict[Member, Outbox] = {}

    @property
    def spent(self) -> bool:
        """Whether the rest must wait for the next deal."""
        return self._runs <= 0 or self._bytes <= 0

    def spend(self, bytes: int, runs: int = 1) -> None:
        """Something was done that cost as much as handing out so many runs, of so many bytes."""
        self._runs -= runs
        self._bytes -= bytes

    def can_get(self, member: Member) -> bool:
        """Whether a member has room for a message, and its peer for bytes."""
        if member.room <= 0:
            return False
        left = self._left.get(member.peer)
        if left is None:
            peer = member.peer
            left = self._left[peer] = PEER_BYTES if not peer.behind and self._writable(peer) else 0
        return left > 0

    def gather(self, log: TopicLog, first: int, end: int, attempt: int) -> tuple[list[bytes], int, int] | Hole | None:
        """Fragments of the messages from `first` on, up to `end`: with the offset behind them, and their size."""
        fragments: list[bytes] = []
        at, size = first, 0
        while at < end and size < RUN_BYTES:
            found = self._pages.find(log, at)
            if found is None or isinstance(found, Hole):
                if fragments:
                    break
                return found
            fragment = self._cutter.fragment(found, at, end, attempt)
            if fragments and size + len(fragment) > 2 * RUN_BYTES:
                break
            fragments.append(fragment)
            at, size = min(found.end, end), size + len(fragment)
        return fragments, at, size

    def give(self, member: Member, fragments: list[bytes], size: int) -> None:
        self._outbox(member).add(fragments, size)
        self._left[member.peer] -= size
        self.spend(size)

    def tell(self, member: Member, gap: Gap) -> None:
        self._outbox(member).add_gap(gap)
        self.spend(0)

    def write(self) -> None:
        """Everything leaves."""
        by_peer: dict[Peer, list[bytes]] = {}
        for member, outbox in self._outboxes.items():
            by_peer.setdefault(member.peer, []).extend(outbox.take())
        for peer, frames in by_peer.items():
            self.wrote = True
            write_frames(peer, b"".join(frames))

    def payloads(self, log: TopicLog, first: int, end: int) -> tuple[list[bytes], int] | Hole | None:
        """The payloads of messages that nobody gets any more, as far as one section has them."""
        found = self._pages.find(log, first)
        if found is None or isinstance(found, Hole):
            return found
        return self._cutter.payloads(found, first, min(end, found.end))

    def _outbox(self, member: Member) -> Outbox:
        outbox = self._outboxes.get(member)
        if outbox is None:
            outbox = self._outboxes[member] = Outbox(member.stream)
        return outbox
