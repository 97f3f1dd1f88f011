"""What waits to be sent, in the order it was given; it becomes frames when they can leave."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .checks import too_large_now
from .errors import OutcomeUnknown, Refused, TickwireError
from .limits import Limits
from .publishes import Entry, Errand, Joined, Whole
from .runs import MESSAGE_BYTES, RUN_BYTES, Posts, Run

_LOST = "the connection went before the broker acknowledged this: it may have been stored or not"
_OTHER_EPOCH = f"{_LOST}, and the broker has begun a new epoch since"
_TOO_LATE = f"{_LOST}, and by now the broker may have forgotten it"
_UNTOLD = (
    "the connection went before the broker confirmed what publish_nowait or a consumer's acknowledgments had sent: "
    "that may be lost, all the rest has acted"
)

# What a refusal of a repeat leaves open: the first time, it may have been stored.
_MAY_BE_STORED = {"window_expired", "store_failed"}

# Refusals that no message of a frame is to blame for. Sent again, each on its own, they would be out of order.
_OF_NO_MESSAGE = {"no_space", "store_failed"}


class Outbox:
    """Publishes that wait, and those whose acknowledgment is awaited.

    Everything keeps the order in which it was given, with one exception: where messages of several `publish` calls
    shared a frame that was refused, each is sent again on its own, for the fault may be in one of them only.

    With `identified`, what was in flight when a connection went is sent again over the next one, before all else, as
    long as somebody waits for it; the broker knows a frame by its sequence, and stores it once.
    """

    def __init__(self, max_bytes: int, identified: bool = False) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0  # of what publish_nowait was given and no frame holds yet
        self.limits = Limits()
        self._identified = identified
        self._waiting: deque[Posts | Entry | Errand] = deque()
        self._posts: Posts | None = None  # the last in the line, where that is what it is
        self.latest: dict[str, Run] = {}  # of those posts, the run that a topic's next message may join
        self._in_flight: dict[int, Errand] = {}
        self._again: deque[Errand] = deque()  # they were in flight on a connection that went
        self._id = self._sequence = 0
        self._abandoned = 0  # since the line was last rid of them
        self._over = False
        self._untold = self._confirmed = 0  # frames nobody is told of: sent, and known to have acted
        self._losses = self._losses_told = 0  # connections that went while there was a difference

    def __bool__(self) -> bool:
        return bool(self._waiting or self._again)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def post(self, topic: str, payload: bytes, format: int, check: Callable[[str, bytes, int], None]) -> None:
        """Take one message nobody waits for. `Client.publish_nowait` does most of them by itself.

        `check` raises where it must not be sent; of a topic's messages in one frame it sees those that are longer than
        all before.
        """
        posts = self._posts
        if posts is None:
            posts = Posts()
        posts.add(topic, payload, format, check)
        if posts is not self._posts:
            self._posts, self.latest = posts, posts.latest
            self._waiting.append(posts)
        self.bytes += len(payload) + MESSAGE_BYTES

    def put(self, publish: Entry | Errand) -> None:
        """Take a publish that asks for an acknowledgment."""
        self._end_posts()
        if isinstance(publish, Whole):
            publish.losses = self._losses_told
        self._waiting.append(publish)

    def abandon(self, publish: Entry | Whole) -> bool:
        """Nobody waits for it any more; if it was not sent it never is. Returns whether it was sent."""
        sent = publish.abandon()
        self._abandoned += 1
        # Each would keep its payload until the next connection. Half the line at a time costs little for each.
        if self._abandoned * 2 > len(self._waiting) + len(self._again):
            self._waiting = deque(each for each in self._waiting if isinstance(each, Posts) or each.wanted)
            self._again = deque(each for each in self._again if each.wanted)
            self._abandoned = 0
        return sent

    # Frames.

    def next_frame(self, now: float = 0.0) -> bytes | None:
        """The next frame to send, or None. From here on what it holds counts as sent."""
        while self._again:
            frame = self._sent_again(self._again.popleft(), now)
            if frame is not None:
                return frame
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, Posts):
                return self._take_posts(first)
            if self._identified and len(self._in_flight) >= self.limits.identity_frames:
                return None  # the broker would forget the first of them before it can be asked about
            self._waiting.popleft()
            errand = self._joined(first) if isinstance(first, Entry) else first
            if errand.wanted:
                frame = self._sent(errand, now)
                if frame is not None:
                    return frame
        return None

    def untold(self) -> None:
        """A frame is sent that acts, and nobody is told when."""
        self._untold += 1

    def lost_untold(self) -> None:
        """What nobody is told of went with its connection, before it was sent: the next barrier tells."""
        self._losses += 1

    def _take_posts(self, posts: Posts) -> bytes:
        frame, size, count = posts.take(self.limits)
        self.untold()
        self.bytes -= size + MESSAGE_BYTES * count
        if not posts.runs:
            self._waiting.popleft()
            if self._posts is posts:
                self._end_posts()
        return frame

    def _end_posts(self) -> None:
        """What is posted next is not to join what was before."""
        self._posts, self.latest = None, {}

    def _sent(self, errand: Errand, now: float) -> bytes | None:
        self._sequence += 1
        frame = errand.encode(self._id + 1, self._sequence if self._identified and not errand.is_barrier else None)
        if len(frame) > self.limits.frame_bytes:
            # It was given when another broker, with larger frames, was expected. This one would hang up.
            errand.failed(too_large_now(len(frame), self.limits))
            return None
        errand.sent_at = now
        self._fly(errand)
        return frame

    def _sent_again(self, errand: Errand, now: float) -> bytes | None:
        if not errand.wanted:
            return None
        frame = errand.encode(self._id + 1)
        # Half of the time that the broker remembers it: the other half is for how long it may be on its way.
        late = errand.sequence is not None and now - errand.sent_at > self.limits.identity_seconds / 2
        if late or len(frame) > self.limits.frame_bytes:
            errand.failed(OutcomeUnknown(_TOO_LATE))
            return None
        self._fly(errand)
        return frame

    def _fly(self, errand: Errand) -> None:
        self._id += 1
        errand.behind = self._untold
        self._in_flight[self._id] = errand

    def _joined(self, first: Entry) -> Errand:
        """The entries at the head of the line that fit in one frame; those nobody waits for any more are left out."""
        entries = [first] if first.wanted else []
        room = self.limits.joined_bytes - len(first.payload) - RUN_BYTES
        while self._waiting and len(entries) < self.limits.joined_messages:
            following = self._waiting[0]
            if not isinstance(following, Entry):
                break
            room -= len(following.payload) + MESSAGE_BYTES + RUN_BYTES
            if room < 0:
                break
            self._waiting.popleft()
            if following.wanted:
                entries.append(following)
        return Joined(entries)

    # Answers.

    def acknowledged(self, epoch: int, receipt: list[int]) -> None:
        """One list of an ACK. Raises ValueError where it does not fit what was sent."""
        errand = self._in_flight.pop(receipt[0], None)
        if errand is None:
            raise ValueError(f"the id {receipt[0]} is not awaited")
        self._confirmed = max(self._confirmed, errand.behind)  # frames act in the order in which they were sent
        if isinstance(errand, Whole) and errand.is_barrier and errand.losses < self._losses:
            self._losses_told = self._losses
            errand.failed(OutcomeUnknown(_UNTOLD))
        else:
            errand.acknowledged(epoch, receipt[1:])

    def refused(self, id: int, error: Refused) -> None:
        errand = self._in_flight.pop(id, None)
        if errand is None:
            return
        if error.code == "outcome_unknown" or (errand.retried and error.code in _MAY_BE_STORED):
            errand.failed(OutcomeUnknown(error.text))
            return
        if not isinstance(errand, Joined) or len(errand.entries) == 1 or error.code in _OF_NO_MESSAGE:
            errand.failed(error)
            return
        for entry in reversed(errand.entries):
            if entry.wanted:
                entry.sent = False
                self._waiting.appendleft(Joined([entry]))

    # Connections.

    def welcomed(self, limits: Limits, same_epoch: bool) -> None:
        """A connection is good. Nothing that another epoch may hold is sent again."""
        self.limits = limits
        if not same_epoch:
            barriers = deque(errand for errand in self._again if errand.sequence is None)
            _fail((errand for errand in self._again if errand.sequence is not None), _OTHER_EPOCH)
            self._again = barriers

    def disconnected(self) -> None:
        """What was sent and not answered may have been stored or not. It is sent again, or its callers are told."""
        in_flight, self._in_flight = self._in_flight, {}
        if self._untold > self._confirmed:
            self._losses += 1
            self._confirmed = self._untold
        if self._identified and self.limits.identity_seconds and not self._over:
            self._again.extendleft(errand for errand in reversed(in_flight.values()) if errand.wanted)
        else:
            _fail(in_flight.values(), _LOST)

    def give_up(self, error: TickwireError) -> None:
        """Nothing is sent any more; what waits fails with that, and what was sent has an unknown outcome."""
        self._over = True
        waiting, self._waiting = self._waiting, deque()
        again, self._again = self._again, deque()
        self._end_posts()
        self.bytes = 0
        _fail(again, _LOST)
        for publish in waiting:
            if isinstance(publish, Entry):
                publish.settle(error)
            elif isinstance(publish, Errand):
                publish.failed(error)


def _fail(errands: Iterable[Errand], why: str) -> None:
    for errand in errands:
        errand.failed(OutcomeUnknown(why))
