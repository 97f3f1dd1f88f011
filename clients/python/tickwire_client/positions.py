"""Positions: where a subscription is to start, and where it stands in the topics that it got messages of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Literal

from tickwire.wire.limits import MAX_INT, POSITIONS
from tickwire.wire.topics import is_exact

from .messages import Message, Position, Receipt

Since = Literal["now", "last", "earliest"] | Position | datetime | timedelta
Start = tuple[str | int, ...]  # as the wire has it

# A broker holds at most 100,000 topics by default. Of more than this, those that were heard of first are forgotten: a
# gap may then be said larger than it was, never smaller.
MAX_POSITIONS = 1 << 17
_STARTS = '"now", "last", "earliest", a Position, a datetime and a timedelta'
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_REQUEST_BYTES = 128 << 10  # of positions in a request
_POSITION_BYTES = 12  # what a position takes beside its topic


def start_of(since: Since, pattern: str, now_us: int) -> Start | None:
    """What a request says for `since`, None for now. Raises ValueError or TypeError with a sentence."""
    if isinstance(since, str):
        if since not in ("now", "last", "earliest"):
            raise ValueError(f"since={since!r} is none of {_STARTS}")
        return None if since == "now" else (since,)
    if isinstance(since, Position):
        return _start_at(since, pattern)
    if isinstance(since, datetime):
        if since.utcoffset() is None:
            text = "since= takes a datetime with a time zone, for one without means another time elsewhere"
            raise TypeError(f"{text}: datetime.now(UTC), or since.astimezone() where it is this machine's")
        return _time((since - _EPOCH) // _MICROSECOND)
    if isinstance(since, timedelta):
        if since < timedelta(0):
            raise ValueError(f"since={since!r} lies in the future: timedelta(minutes=5) means five minutes ago")
        return _time(now_us - since // _MICROSECOND)
    hint = ": its .position is one" if isinstance(since, (Receipt, Message)) else ""
    raise TypeError(f"since= takes one of {_STARTS}, not {type(since).__name__}{hint}")


def _start_at(position: Position, pattern: str) -> Start:
    if not is_exact(pattern):
        raise ValueError(f"a Position is that of one topic, and {pattern!r} may match several")
    if position.topic != pattern:
        raise ValueError(f"the position is one of {position.topic!r}, not of {pattern!r}")
    if not all(type(number) is int and 0 <= number <= MAX_INT for number in (position.epoch, position.offset)):
        raise ValueError(f"{position!r} is no position that a broker gave: epoch and offset are 0 to 2^53 - 1")
    return "offset", position.epoch, position.offset


def _time(time_us: int) -> Start:
    return "time", min(max(time_us, 0), MAX_INT)


class Positions:
    """The next offset in each topic that was heard of, and which of them moved since everything was had.

    `recent` are the topics that moved; a reader stores there itself, once for each section.
    """

    __slots__ = ("_others", "recent")

    def __init__(self) -> None:
        self.recent: dict[str, int] = {}
        self._others: dict[str, int] = {}

    def get(self, topic: str) -> int | None:
        """The next offset; None for a topic not heard of, or forgotten."""
        position = self.recent.get(topic)
        return self._others.get(topic) if position is None else position

    def had_everything(self) -> None:
        """All up to now was had: a request need not name what moved before."""
        self._others.update(self.recent)
        self.recent.clear()
        if len(self._others) > MAX_POSITIONS:
            for topic in list(islice(self._others, MAX_POSITIONS // 2)):
                del self._others[topic]

    def clear(self) -> None:
        self.recent.clear()
        self._others.clear()

    def newest(self, frame_bytes: int) -> list[tuple[str, int]]:
        """Those that moved, as many as a request may name: what is left out comes again, and is known by its offset."""
        room = min(_REQUEST_BYTES, frame_bytes // 2)
        named: list[tuple[str, int]] = []
        for topic in reversed(self.recent):
            room -= len(topic.encode()) + _POSITION_BYTES
            if room < 0 or len(named) == POSITIONS:
                break
            named.append((topic, self.recent[topic]))
        return named
