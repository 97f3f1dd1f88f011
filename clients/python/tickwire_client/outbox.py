"""What waits to be sent, in the order it was given; it becomes frames when they can leave."""

from __future__ import annotations

from collections import deque

from .errors import OutcomeUnknown, Refused, TickwireError
from .limits import Limits
from .publishes import JOINED_BYTES, MESSAGE_BYTES, RUN_BYTES, Entry, Errand, Posts, Whole, too_large_now

_LOST = "the connection went before the broker acknowledged this: it may have been stored or not"


class Outbox:
    """Publishes that wait, and those whose acknowledgment is awaited.

    Everything keeps the order in which it was given, with one exception: where messages of several `publish` calls
    shared a frame that was refused, each is sent again on its own, for the fault may be in one of them only.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0  # of what publish_nowait was given and no frame holds yet
        self.limits = Limits()
        self._waiting: deque[Posts | Entry | Errand] = deque()
        self._posts: Posts | None = None  # the last in the line, where that is what it is
        self._in_flight: dict[int, Errand] = {}
        self._id = 0
        self._abandoned = 0  # since the line was last rid of them

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def post(self, topic: str, payload: bytes, format: int) -> None:
        """Take one message nobody waits for. The benchmark `sdk publish` stands on this."""
        posts = self._posts
        if posts is None:
            posts = self._posts = Posts()
            self._waiting.append(posts)
        posts.add(topic, payload, format)
        self.bytes += len(payload) + MESSAGE_BYTES

    def put(self, publish: Entry | Errand) -> None:
        """Take a publish that asks for an acknowledgment."""
        self._posts = None
        self._waiting.append(publish)

    def abandon(self, publish: Entry | Whole) -> bool:
        """Nobody waits for it any more; if it was not sent it never is. Returns whether it was sent."""
        sent = publish.abandon()
        if not sent:
            self._abandoned += 1
            # Each would keep its payload until the next connection. Half the line at a time costs little for each.
            if self._abandoned * 2 > len(self._waiting):
                self._waiting = deque(each for each in self._waiting if isinstance(each, Posts) or each.wanted)
                self._abandoned = 0
        return sent

    def next_frame(self) -> bytes | None:
        """The next frame to send, or None. From here on what it holds counts as sent."""
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, Posts):
                return self._take_posts(first)
            self._waiting.popleft()
            errand = self._joined(first) if isinstance(first, Entry) else first
            if errand.wanted:
                frame = errand.encode(self._id + 1)
                if len(frame) > self.limits.frame_bytes:
                    # It was given when another broker, with larger frames, was expected. This one would hang up.
                    errand.failed(too_large_now(len(frame), self.limits))
                    continue
                self._id += 1
                self._in_flight[self._id] = errand
                return frame
        return None

    def _take_posts(self, posts: Posts) -> bytes:
        frame, size, count = posts.take(self.limits)
        self.bytes -= size + MESSAGE_BYTES * count
        if not posts.runs:
            self._waiting.popleft()
            if self._posts is posts:
                self._posts = None
        return frame

    def _joined(self, first: Entry) -> Errand:
        """The entries at the head of the line that fit in one frame; those nobody waits for any more are left out."""
        entries = [first] if first.wanted else []
        room = min(JOINED_BYTES, self.limits.frame_bytes) - len(first.payload) - RUN_BYTES
        while self._waiting and len(entries) < self.limits.frame_messages:
            following = self._waiting[0]
            if not isinstance(following, Entry):
                break
            room -= len(following.payload) + MESSAGE_BYTES + RUN_BYTES
            if room < 0:
                break
            self._waiting.popleft()
            if following.wanted:
                entries.append(following)
        return Errand(entries)

    def acknowledged(self, epoch: int, receipt: list[int]) -> None:
        """One list of an ACK. Raises ValueError where it does not fit what was sent."""
        errand = self._in_flight.pop(receipt[0], None)
        if errand is None:
            raise ValueError(f"the id {receipt[0]} is not awaited")
        errand.acknowledged(epoch, receipt[1:])

    def refused(self, id: int, error: Refused) -> None:
        errand = self._in_flight.pop(id, None)
        if errand is None:
            return
        if isinstance(errand, Whole) or len(errand.entries) == 1:
            errand.failed(error)
            return
        for entry in reversed(errand.entries):
            if entry.wanted:
                entry.sent = False
                self._waiting.appendleft(Errand([entry]))

    def disconnected(self) -> None:
        """What was sent and not answered may have been stored or not."""
        in_flight, self._in_flight = self._in_flight, {}
        for errand in in_flight.values():
            errand.failed(OutcomeUnknown(_LOST))

    def give_up(self, error: TickwireError) -> None:
        """Nothing is sent any more; what waits fails with that."""
        waiting, self._waiting = self._waiting, deque()
        self._posts, self.bytes = None, 0
        for publish in waiting:
            if isinstance(publish, Entry):
                publish.settle(error)
            elif isinstance(publish, Errand):
                publish.failed(error)
