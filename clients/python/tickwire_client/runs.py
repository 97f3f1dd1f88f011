"""Payloads on their way to a frame, in runs of one topic and format: those nobody waits for, and those of a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from tickwire.wire.encode import encode_runs
from tickwire.wire.limits import MSGPACK

from .limits import Limits
from .messages import Receipt

MESSAGE_BYTES = 5  # the longest msgpack header of a payload
RUN_BYTES = 300  # the most that a run costs beside its payloads: its topic and headers


class Run:
    """Payloads for one topic and of one format, in order."""

    __slots__ = ("format", "largest", "payloads", "sent", "topic")

    def __init__(self, topic: str, format: int) -> None:
        self.topic, self.format = topic, format
        self.payloads: list[bytes] = []
        self.largest = 0  # bytes: shorter payloads need no look
        self.sent = 0  # how many of them are in frames already

    def elements(self, payloads: list[bytes]) -> list[Any]:
        return [self.topic, payloads] if self.format == MSGPACK else [self.topic, payloads, {"format": self.format}]


Check = Callable[[str, bytes, int], None]


class Joining:
    """Messages join the latest run of their topic. `check` raises where one must not be sent.

    Where it does not, it need not see shorter ones: `add` looks for the run by itself, and asks here only where there
    is none yet, or none with a payload as long.
    """

    __slots__ = ("latest", "runs")

    runs: list[Run] | deque[Run]

    def __init__(self) -> None:
        self.latest: dict[str, Run] = {}  # the run that a topic's next message may join

    def _checked_run(self, topic: str, longest: bytes, format: int, check: Check) -> Run:
        check(topic, longest, format)
        run = self.latest.get(topic)
        if run is None or run.format != format:
            run = self.latest[topic] = Run(topic, format)
            self.runs.append(run)
        run.largest = max(run.largest, len(longest))
        return run


class Runs(Joining):
    """The messages of one frame, in the order in which they were given and in runs. `len` counts messages."""

    __slots__ = ("_order",)

    runs: list[Run]

    def __init__(self) -> None:
        super().__init__()
        self.runs = []
        self._order: list[Run] = []  # of each message

    def __len__(self) -> int:
        return len(self._order)

    def add(self, topic: str, payload: bytes, format: int, check: Check) -> None:
        """Take a message."""
        run = self.latest.get(topic) if type(topic) is str else None
        if run is None or run.format != format or len(payload) > run.largest:
            run = self._checked_run(topic, payload, format, check)
        run.payloads.append(payload)
        self._order.append(run)

    def extend(self, topic: str, payloads: list[bytes], format: int, check: Check) -> None:
        """Take many messages of one topic, or none where `check` raises."""
        if not payloads:
            check(topic, b"", format)
            return
        run = self._checked_run(topic, max(payloads, key=len), format, check)
        run.payloads += payloads
        self._order += [run] * len(payloads)

    def elements(self) -> list[list[Any]]:
        return [run.elements(run.payloads) for run in self.runs]

    def receipts(self, epoch: int, offsets: Sequence[int]) -> list[Receipt]:
        """One for each message. The offsets are the first of each run."""
        if len(self.runs) == 1:
            topic, (first,) = self.runs[0].topic, offsets
            return [Receipt(topic, epoch, offset) for offset in range(first, first + len(self))]
        following = {id(run): count(first) for run, first in zip(self.runs, offsets, strict=True)}
        return [Receipt(run.topic, epoch, next(following[id(run)])) for run in self._order]


class Posts(Joining):
    """What `publish_nowait` was given. It may be split anywhere; each topic's messages keep their order."""

    __slots__ = ()

    runs: deque[Run]

    def __init__(self) -> None:
        super().__init__()
        self.runs = deque()

    def add(self, topic: str, payload: bytes, format: int, check: Check) -> None:
        """Take a message."""
        run = self.latest.get(topic) if type(topic) is str else None
        if run is None or run.format != format or len(payload) > run.largest:
            run = self._checked_run(topic, payload, format, check)
        run.payloads.append(payload)

    def take(self, limits: Limits) -> tuple[bytes, int, int]:
        """The next frame, how many bytes of payload are in it, and how many payloads."""
        room, most = limits.joined_bytes - RUN_BYTES, limits.joined_messages
        elements: list[list[Any]] = []
        taken, left = 0, most
        while self.runs and left:
            run = self.runs[0]
            payloads = run.payloads[run.sent : run.sent + left]
            size, cost = _cost(payloads)
            if cost > room:
                # At least one goes, however large it is: it was checked when it was given.
                payloads = _fitting(payloads, room) or (payloads[:1] if not elements else [])
                size, cost = _cost(payloads)
            if not payloads:
                break
            elements.append(run.elements(payloads))
            taken, room, left = taken + size, room - cost, left - len(payloads)
            run.sent += len(payloads)
            if run.sent < len(run.payloads):
                if run.sent * 2 >= len(run.payloads):
                    del run.payloads[: run.sent]
                    run.sent = 0
                break
            self._finish(run)
        return encode_runs(None, elements), taken, most - left

    def _finish(self, run: Run) -> None:
        self.runs.popleft()
        if self.latest.get(run.topic) is run:
            del self.latest[run.topic]


def _cost(payloads: list[bytes]) -> tuple[int, int]:
    """Bytes of payload, and at most how many a run of them takes in a frame."""
    size = sum(map(len, payloads))
    return size, size + MESSAGE_BYTES * len(payloads) + RUN_BYTES


def _fitting(payloads: list[bytes], room: int) -> list[bytes]:
    """As many payloads as there is room for in one more run."""
    room -= RUN_BYTES
    for index, payload in enumerate(payloads):
        room -= len(payload) + MESSAGE_BYTES
        if room < 0:
            return payloads[:index]
    return payloads
