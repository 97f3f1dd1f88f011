"""How readers that are not at the tip come there: cursors are brought forward through the logs, a budget at a time.

A peer that fell behind has cursors on stream 0; a subscription that starts in the past has a trail of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tickwire.wire.encode import encode, join_sections
from tickwire.wire.messages import Gap, Mark

from .deliver import write_frames
from .frame import Deflater, Shared, share, websocket_frame
from .log import Reading, TopicLog
from .peer import Peer, Trail
from .shelves import Shelves

# Of the trails of one peer, above which the others of its trails begin when the first are through: a thousand that each
# had a cursor in 80,000 topics took a gigabyte.
CURSORS = 4_096
LIVE = 0  # the stream of what everybody gets as it comes
CHUNK_BYTES = 64 << 10  # of one topic, before the next topic has its turn
BUDGET_BYTES = 256 << 10  # for one peer in a sweep: about what its socket takes at once
TRAIL_BYTES = 128 << 10  # for the trails of a peer that is live: catching up must not be what makes it fall behind
SWEEP_BYTES = 4 << 20  # for all peers in a sweep: copying it to sockets holds the loop for about 2 ms
CHUNK_COST = 256  # what a chunk counts as beside its bytes, so that thousands of tiny topics use up a budget
CURSOR_BYTES = 64  # what looking at a cursor counts as, so that 100,000 of them use up a sweep
# What is deflated for one peer, where the loop is idle: about 0.3 ms. A reader of long histories would otherwise have
# the loop deflate for it all the time, and between its sweeps it is idle.
ALONE_BYTES = 32 << 10
SHARED_BY = 3  # peers that must want a chunk before it is deflated, unless the loop is idle


@dataclass(slots=True)
class _Chunk:
    """A piece of a topic's log as a frame, shared by all who stand at the same cursor."""

    gap: bytes  # the notice that comes first, where something is gone
    lost: int
    frame: bytes
    next: int
    wanted: int = 0
    shared: Shared | None = None

    def bytes_for(self, peer: Peer, deflater: Deflater | None, idle: bool) -> bytes:
        if not self.frame:
            return self.gap
        if not peer.inflates or deflater is None:
            return self.gap + websocket_frame(self.frame)
        self.wanted += 1
        if self.shared is None and (self.wanted >= SHARED_BY or (idle and len(self.frame) <= ALONE_BYTES)):
            self.shared = share([self.frame], deflater)
        return self.gap + (self.shared[1] if self.shared else websocket_frame(self.frame))


@dataclass(slots=True)
class _Sweep:
    """What one sweep shares among peers, and what one peer has got of it so far."""

    stamp: int
    idle: bool
    chunks: dict[tuple[TopicLog, int, int], _Chunk | None]
    parts: list[bytes]
    size: int = 0


class CatchUp:
    """The peers that are behind or on a trail. `sweep` writes to those whose sockets have drained."""

    def __init__(
        self,
        deflater: Deflater | None,
        shelves: Shelves,
        reads_since: Callable[[Peer, TopicLog], int | None],
        arrived: Callable[[Peer, Trail], bytes],
    ) -> None:
        self.behind: dict[Peer, None] = {}
        self.trailing: dict[Peer, None] = {}
        self.offsets_lost = 0
        self.wrote = False  # whether the last sweep did: then the next one may be worth while soon
        self._deflater, self._shelves = deflater, shelves
        self._reads_since = reads_since  # the stamp from which on a peer reads a topic, None where it does not
        self._arrived = arrived  # a trail is at the present: makes it live, and gives the frame that says so

    def sweep(self, stamp: int, idle: bool = False) -> list[Peer]:
        """Bring drained peers forward, each by at most its budget; `stamp` is that of the last flush.

        Returns those that are level again.
        """
        level: list[Peer] = []
        sweep = _Sweep(stamp, idle, {}, [])
        left, self.wrote = SWEEP_BYTES, False
        for peer in [*self.behind, *(peer for peer in self.trailing if not peer.behind)]:
            if left <= 0:
                break
            if peer.unsent():
                continue
            was_behind = peer.behind
            left -= self._bring_forward(peer, sweep)
            _to_the_end(self.behind, peer, peer.behind)
            _to_the_end(self.trailing, peer, bool(peer.trails))
            if was_behind and not peer.behind:
                level.append(peer)
        return level

    def _bring_forward(self, peer: Peer, sweep: _Sweep) -> int:
        """What it missed on stream 0 comes first, and behind the last of it the mark; then its trails."""
        sweep.parts, sweep.size = [], 0
        budget = BUDGET_BYTES if peer.behind else TRAIL_BYTES
        looked_at = 0
        if peer.behind:
            cursors = peer.cursors or {}
            looked_at = len(cursors)
            if self._advance(peer, LIVE, cursors, sweep, budget):
                sweep.parts.append(websocket_frame(encode(Mark(sweep.stamp))))
                peer.come_level()
        weight = sum([trail.weight for trail in peer.trails])
        for trail in peer.trails:
            before = trail.weight
            if sweep.size >= budget:
                break
            if before or weight < CURSORS:
                looked_at += len(trail.cursors)
                self._follow(peer, trail, sweep, budget, weight < CURSORS)
                weight += trail.weight - before
        if sweep.parts:
            self.wrote = peer.fed = True
            write_frames(peer, b"".join(sweep.parts))
        return sweep.size + CURSOR_BYTES * looked_at

    def _follow(self, peer: Peer, trail: Trail, sweep: _Sweep, budget: int, in_turns: bool) -> None:
        sweep.parts += map(websocket_frame, trail.advance())
        if self._advance(peer, trail.stream, trail.cursors, sweep, budget) and trail.complete:
            sweep.parts.append(websocket_frame(self._arrived(peer, trail)))
        elif in_turns and len(peer.trails) > 1:
            peer.trails = (*(other for other in peer.trails if other is not trail), trail)

    def _advance(self, peer: Peer, stream: int, cursors: dict[TopicLog, int], sweep: _Sweep, budget: int) -> bool:
        """Round-robin over the topics, up to the budget. Returns whether nothing is missing any more."""
        # A cursor that has reached its log's end stays until all have: more may come there before the peer is level.
        waiting = deque(log for log, cursor in cursors.items() if cursor < log.end)
        missing = False
        while waiting and sweep.size < budget:
            log = waiting.popleft()
            cursor = cursors.pop(log)
            if stream == LIVE and peer.strayed:
                cursor = self._owed(peer, log, cursor)
            chunk = self._chunk(log, cursor, stream, sweep) if cursor < log.end else None
            if chunk is None:
                missing = missing or cursor < log.end  # the store is asked for it
                cursors[log] = cursor
                continue
            self.offsets_lost += chunk.lost
            sweep.parts.append(chunk.bytes_for(peer, self._deflater, sweep.idle))
            # Before compression: that is what takes the time.
            sweep.size += len(chunk.gap) + len(chunk.frame) + CHUNK_COST
            cursors[log] = chunk.next  # behind the others, so that the next sweep begins with them
            if chunk.next < log.end:
                waiting.append(log)
        return not waiting and not missing

    def _owed(self, peer: Peer, log: TopicLog, cursor: int) -> int:
        """Where a peer that changed its subscriptions while it was behind must be read on from."""
        since = self._reads_since(peer, log)
        return log.end if since is None else max(cursor, log.first_after(since) if log.knows(since) else cursor)

    def _chunk(self, log: TopicLog, cursor: int, stream: int, sweep: _Sweep) -> _Chunk | None:
        key = (log, cursor, stream)
        if key not in sweep.chunks:
            reading = self._shelves.read(log, cursor, CHUNK_BYTES)
            sweep.chunks[key] = None if reading is None else _chunk(log, cursor, stream, reading)
        return sweep.chunks[key]


def _chunk(log: TopicLog, cursor: int, stream: int, reading: Reading) -> _Chunk:
    gap, lost = b"", 0
    if reading.gap_end is not None:
        gap = websocket_frame(encode(Gap(stream, log.topic, cursor, reading.gap_end, reading.reason)))
        lost = reading.gap_end - cursor
    frame = join_sections(stream, [section.data for section in reading.sections]) if reading.sections else b""
    return _Chunk(gap, lost, frame, reading.next)


def _to_the_end(peers: dict[Peer, None], peer: Peer, stays: bool) -> None:
    """To the end of the round, or out of it."""
    if peer in peers or stays:
        peers.pop(peer, None)
        if stays:
            peers[peer] = None
