"""Publish identity: who sent which frame, remembered for a while, so that a repeat is answered and not stored again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from tickwire.wire.encode import array_header, pack
from tickwire.wire.encoded import Encoded
from tickwire.wire.messages import Run

from .checksum import crc32
from .errors import IdentityConflict, StoreUnsure, WindowExpired
from .store import Identity

_PUBLISHERS = 100_000  # remembered at most; 10,000 of them with 100 frames each take about 200 MB
_FRAMES = 1_000_000  # of all publishers together
_SLACK = 16  # a publisher may have a sixteenth more frames remembered than it is promised

Publisher = tuple[str, int]  # a name, and its incarnation
Repeat = tuple[Publisher, int]  # and the sequence of a frame that came again


@dataclass(slots=True)
class _Window:
    """What is remembered of one publisher: its last sequence, and its frames by sequence, oldest first."""

    last: int = -1
    # sequence -> (checksum, offsets, when); without offsets where nobody knows whether it was stored
    frames: dict[int, tuple[int, list[int] | None, float]] = field(default_factory=dict)


def checksum_of(runs: Sequence[Run]) -> int:
    """What tells one publish from another that has the same sequence."""
    checksum = 0
    for run in runs:
        head = f"{len(run.payloads)} {run.format} {run.topic}".encode()
        checksum = crc32(head, checksum)
        if isinstance(run.payloads, Encoded):
            checksum = crc32(run.payloads.view, crc32(array_header(len(run.payloads)), checksum))
        else:
            checksum = crc32(pack(run.payloads), checksum)
    return checksum


def repeat_of(identity: Identity) -> Repeat:
    """What names a frame that is repeated."""
    return (identity.publisher, identity.incarnation), identity.sequence


class Identities:
    """The windows of all publishers. A frame is remembered for `seconds`, and the last `frames` of each publisher.

    Whoever repeats a frame does so within that time of having sent it first. So a repeat that is not found was never
    stored, unless its publisher was forgotten sooner, for want of room: then it is refused.
    """

    def __init__(self, seconds: float, frames: int) -> None:
        self._seconds, self._frames = seconds, frames
        self._windows: dict[Publisher, _Window] = {}
        self._ages: deque[tuple[float, Publisher, int]] = deque()  # (when, whose, sequence), oldest first
        self._forgot_until = float("-inf")  # when the newest frame was stored that had to be forgotten before its time
        self._new: list[Identity] = []
        self._durable: list[Identity] = []
        self._restored = 0  # how many of the ages count from the first tick

    def restore(self, stored: Sequence[tuple[int, Identity]], last_us: int) -> None:
        """Take what an earlier life of the broker remembered: the time between the two counts for nothing."""
        for time_us, each in stored:
            age = max(0, last_us - time_us) / 1e6
            self._remember((each.publisher, each.incarnation), each.sequence, each.checksum, each.offsets, -age)
        self._restored = len(self._ages)

    def find(self, publisher: Publisher, sequence: int, checksum: int, retry: bool, now: float) -> list[int] | None:
        """The offsets of a frame that came before, or None. Raises WindowExpired, IdentityConflict, StoreUnsure."""
        window = self._windows.get(publisher)
        if window is None:
            if retry and now - self._forgot_until <= self._seconds:
                raise WindowExpired(sequence)
            return None
        if sequence > window.last:
            return None
        found = window.frames.get(sequence)
        if found is None:
            raise WindowExpired(sequence)
        if found[0] != checksum:
            raise IdentityConflict(sequence)
        if found[1] is None:
            raise StoreUnsure
        return found[1]

    def add(
        self, publisher: Publisher, sequence: int, checksum: int, offsets: list[int], now: float, durable: bool
    ) -> None:
        """Remember a frame whose payloads wait to be stored, `durable` where that outlives the process."""
        self._remember(publisher, sequence, checksum, offsets, now)
        identity = Identity(*publisher, sequence, checksum, offsets)
        self._new.append(identity)
        if durable:
            self._durable.append(identity)

    def take_new(self) -> tuple[list[Identity], list[Identity]]:
        """Those of the next commit, and of them those that it stores."""
        new, durable = self._new, self._durable
        self._new, self._durable = [], []
        return new, durable

    def take_back(self, identities: Sequence[Identity]) -> None:
        """They were not stored: the same sequence may come again."""
        for each in reversed(identities):
            window = self._windows.get((each.publisher, each.incarnation))
            if window is not None:
                window.frames.pop(each.sequence, None)
                window.last = max(window.frames, default=min(window.last, each.sequence - 1))

    def doubt(self, identities: Sequence[Identity]) -> None:
        """They were stored or not: whoever repeats one is told that, and no more."""
        for each in identities:
            window = self._windows.get((each.publisher, each.incarnation))
            if window is not None and each.sequence in window.frames:
                checksum, _, at = window.frames[each.sequence]
                window.frames[each.sequence] = checksum, None, at

    def tick(self, now: float) -> None:
        """Forget what is older than the window."""
        for _ in range(self._restored):
            self._count_from(now, *self._ages.popleft())
        if self._restored:
            self._ages.rotate(self._restored)
            self._restored = 0
        ages = self._ages
        while ages and ages[0][0] < now - self._seconds:
            self._forget_oldest()

    def _remember(self, publisher: Publisher, sequence: int, checksum: int, offsets: list[int], at: float) -> None:
        window = self._windows.get(publisher)
        if window is None:
            window = self._windows[publisher] = _Window()
        window.frames[sequence] = checksum, offsets, at
        window.last = max(window.last, sequence)
        if len(window.frames) > self._frames + self._frames // _SLACK:
            # Many at a time: a dict looks for its first through all that were deleted before it, 3 us each time.
            for oldest in list(islice(window.frames, len(window.frames) - self._frames)):
                del window.frames[oldest]
        self._ages.append((at, publisher, sequence))
        while len(self._windows) > _PUBLISHERS or len(self._ages) > _FRAMES:
            self._forgot_until = max(self._forgot_until, self._ages[0][0])
            self._forget_oldest()

    def _count_from(self, now: float, age: float, publisher: Publisher, sequence: int) -> None:
        """A frame of an earlier life is as old as it was when that ended."""
        window = self._windows.get(publisher)
        found = window.frames.get(sequence) if window is not None else None
        if window is not None and found is not None and found[2] == age:
            window.frames[sequence] = found[0], found[1], now + age
        self._ages.append((now + age, publisher, sequence))

    def _forget_oldest(self) -> None:
        at, publisher, sequence = self._ages.popleft()
        self._restored -= self._restored > 0
        window = self._windows.get(publisher)
        if window is None:
            return
        found = window.frames.get(sequence)
        if found is not None and found[2] == at:  # else it was taken back, and came again since
            del window.frames[sequence]
        if not window.frames:
            del self._windows[publisher]
