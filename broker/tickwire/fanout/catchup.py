"""How peers that fell behind come level: their cursors are brought forward through the logs, a budget at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tickwire.wire.codes import EVICTED
from tickwire.wire.encode import encode, join_sections
from tickwire.wire.messages import Gap, Mark

from .deliver import write_frames
from .frame import Deflater, Shared, share, websocket_frame
from .log import TopicLog
from .peer import Peer

LIVE = 0  # the stream of what everybody gets as it comes
CHUNK_BYTES = 64 << 10  # of one topic, before the next topic has its turn
BUDGET_BYTES = 256 << 10  # for one peer in a sweep: about what its socket takes at once
SWEEP_BYTES = 4 << 20  # for all peers in a sweep: copying it to sockets holds the loop for about 2 ms
CHUNK_COST = 256  # what a chunk counts as beside its bytes, so that thousands of tiny topics use up a budget
CURSOR_BYTES = 64  # what looking at a cursor counts as, so that 100,000 of them use up a sweep
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
        if self.shared is None and (idle or self.wanted >= SHARED_BY):
            self.shared = share([self.frame], deflater)
        return self.gap + (self.shared.deflated if self.shared else websocket_frame(self.frame))


class CatchUp:
    """The peers that are behind. `sweep` writes to those whose sockets have drained and tells who is level again."""

    def __init__(self, deflater: Deflater | None, reads_since: Callable[[Peer, TopicLog], int | None]) -> None:
        self.behind: dict[Peer, None] = {}
        self.offsets_lost = 0
        self._deflater = deflater
        self._reads_since = reads_since  # the stamp from which on a peer reads a topic, None where it does not

    def sweep(self, stamp: int, idle: bool = False) -> list[Peer]:
        """Bring drained peers forward, each by at most its budget; `stamp` is that of the last flush."""
        level: list[Peer] = []
        chunks: _Chunks = {}
        left = SWEEP_BYTES
        for peer in list(self.behind):
            if left <= 0:
                break
            if peer.unsent():
                continue
            left -= self._bring_forward(peer, stamp, chunks, idle)
            del self.behind[peer]
            if peer.behind:
                self.behind[peer] = None  # to the end of the round
            else:
                level.append(peer)
        return level

    def _bring_forward(self, peer: Peer, stamp: int, chunks: _Chunks, idle: bool) -> int:
        """Round-robin over the topics it misses, up to the budget; the mark comes behind the last."""
        cursors = peer.cursors or {}
        # A cursor that has reached its log's end stays until all have: more may come there before the peer is level.
        waiting = deque(log for log, cursor in cursors.items() if cursor < log.end)
        parts: list[bytes] = []
        size = 0
        while waiting and size < BUDGET_BYTES:
            log = waiting.popleft()
            cursor = self._owed(peer, log, cursors.pop(log)) if peer.strayed else cursors.pop(log)
            if cursor == log.end:
                cursors[log] = cursor
                continue
            chunk = chunks.get((log, cursor))
            if chunk is None:
                chunk = chunks[log, cursor] = _chunk(log, cursor)
            self.offsets_lost += chunk.lost
            part = chunk.bytes_for(peer, self._deflater, idle)
            parts.append(part)
            size += len(chunk.gap) + len(chunk.frame) + CHUNK_COST  # before compression: that is what takes the time
            cursors[log] = chunk.next  # behind the others, so that the next sweep begins with them
            if chunk.next < log.end:
                waiting.append(log)
        if not waiting:
            parts.append(websocket_frame(encode(Mark(stamp))))
            peer.come_level()
        write_frames(peer, b"".join(parts))
        return size + CURSOR_BYTES * len(cursors)

    def _owed(self, peer: Peer, log: TopicLog, cursor: int) -> int:
        """Where a peer that changed its subscriptions while it was behind must be read on from."""
        since = self._reads_since(peer, log)
        return log.end if since is None else max(cursor, log.first_after(since) if log.knows(since) else cursor)


_Chunks = dict[tuple[TopicLog, int], _Chunk]


def _chunk(log: TopicLog, cursor: int) -> _Chunk:
    reading = log.read(cursor, CHUNK_BYTES)
    gap, lost = b"", 0
    if reading.gap_end is not None:
        gap = websocket_frame(encode(Gap(LIVE, log.topic, cursor, reading.gap_end, EVICTED)))
        lost = reading.gap_end - cursor
    frame = join_sections(LIVE, [section.data for section in reading.sections]) if reading.sections else b""
    return _Chunk(gap, lost, frame, reading.next)
