"""Publishes on their way to a frame: those nobody waits for, those joined from one turn, batches and barriers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from tickwire.wire.encode import encode_runs
from tickwire.wire.limits import MSGPACK

from .errors import TickwireError
from .limits import Limits
from .messages import Receipt

# Publishes are joined into frames of this size: enough that a frame's own cost is nothing, and small enough that the
# broker takes one in while the next is written.
JOINED_BYTES = 128 << 10
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


class Runs:
    """The messages of one frame, in the order in which they were given and in runs. `len` counts messages."""

    __slots__ = ("_latest", "_order", "runs")

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._latest: dict[str, Run] = {}  # the run that a topic's next message joins
        self._order: list[Run] = []  # of each message

    def __len__(self) -> int:
        return len(self._order)

    def add(self, topic: str, payload: bytes, format: int, check: Callable[[str, bytes, int], None]) -> None:
        """Take a message. `check` raises where it must not be sent; where it does not, it need not see shorter ones."""
        run = self._latest.get(topic) if type(topic) is str else None
        if run is None or run.format != format or len(payload) > run.largest:
            check(topic, payload, format)
            run = self._run_of(topic, format)
            run.largest = max(run.largest, len(payload))
        run.payloads.append(payload)
        self._order.append(run)

    def _run_of(self, topic: str, format: int) -> Run:
        run = self._latest.get(topic)
        if run is None or run.format != format:
            run = self._latest[topic] = Run(topic, format)
            self.runs.append(run)
        return run

    def elements(self) -> list[list[Any]]:
        return [run.elements(run.payloads) for run in self.runs]

    def receipts(self, epoch: int, offsets: Sequence[int]) -> list[Receipt]:
        """One for each message. The offsets are the first of each run."""
        if len(self.runs) == 1:
            topic, (first,) = self.runs[0].topic, offsets
            return [Receipt(topic, epoch, offset) for offset in range(first, first + len(self))]
        following = {id(run): count(first) for run, first in zip(self.runs, offsets, strict=True)}
        return [Receipt(run.topic, epoch, next(following[id(run)])) for run in self._order]


class Posts:
    """What `publish_nowait` was given. It may be split anywhere; each topic's messages keep their order."""

    __slots__ = ("latest", "runs")

    def __init__(self) -> None:
        self.runs: deque[Run] = deque()
        self.latest: dict[str, Run] = {}  # the run that a topic's next message may join

    def add(self, topic: str, payload: bytes, format: int) -> None:
        run = self.latest.get(topic)
        if run is None or run.format != format:
            run = self.latest[topic] = Run(topic, format)
            self.runs.append(run)
        run.payloads.append(payload)

    def take(self, limits: Limits) -> tuple[bytes, int, int]:
        """The next frame, how many bytes of payload are in it, and how many payloads."""
        room, most = min(JOINED_BYTES, limits.frame_bytes) - RUN_BYTES, limits.frame_messages
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


class Entry:
    """One message to be acknowledged. `done`, if anybody waits, is called once: with a receipt or what went wrong."""

    __slots__ = ("done", "format", "outcome", "payload", "sent", "topic")

    def __init__(
        self,
        topic: str,
        payload: bytes,
        format: int,
        done: Callable[[Receipt | TickwireError], None] | None = None,
    ) -> None:
        self.topic, self.payload, self.format = topic, payload, format
        self.done = done
        self.sent = False
        self.outcome: Receipt | TickwireError | None = None

    @property
    def wanted(self) -> bool:
        return self.done is not None

    def settle(self, outcome: Receipt | TickwireError) -> None:
        self.outcome = outcome
        done, self.done = self.done, None
        if done is not None:
            done(outcome)

    def abandon(self) -> bool:
        """Nobody waits any more, and if it was not sent it never is. Returns whether it was sent."""
        self.done = None
        return self.sent


class Errand(ABC):
    """Messages that share a PUBLISH frame which asks for an acknowledgment.

    Sent again over another connection it is the same frame, by its sequence, so that it is not stored twice.
    """

    def __init__(self) -> None:
        self.sent = self.retried = False
        self.sent_at = 0.0  # the first time
        self.behind = 0  # how many frames that nobody is told of were sent before it
        self.sequence: int | None = None

    @property
    @abstractmethod
    def wanted(self) -> bool:
        """Whether anybody waits for the outcome."""

    @property
    def is_barrier(self) -> bool:
        return False

    def encode(self, id: int, sequence: int | None = None) -> bytes:
        """Its frame. The sequence counts the first time only."""
        if self.sent:
            self.retried = True
        else:
            self.sent, self.sequence = True, sequence
        retry = True if self.retried and self.sequence is not None else None
        return encode_runs(id, self._elements(), self.sequence, retry)

    @abstractmethod
    def _elements(self) -> list[list[Any]]:
        """Its runs; the same each time."""

    @abstractmethod
    def acknowledged(self, epoch: int, offsets: Sequence[int]) -> None:
        """Each run got its first offset. Raises ValueError where there are more or fewer of them than runs."""

    @abstractmethod
    def failed(self, error: TickwireError) -> None: ...


class Joined(Errand):
    """Messages of several callers, each of whom is told of its own."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__()
        self.entries = entries
        self._runs: list[list[Entry]] = []

    @property
    def wanted(self) -> bool:
        return any(entry.wanted for entry in self.entries)

    def acknowledged(self, epoch: int, offsets: Sequence[int]) -> None:
        for first, run in zip(offsets, self._runs, strict=True):
            for index, entry in enumerate(run):
                entry.settle(Receipt(entry.topic, epoch, first + index))

    def failed(self, error: TickwireError) -> None:
        for entry in self.entries:
            entry.settle(error)

    def _elements(self) -> list[list[Any]]:
        if not self._runs:
            self._build_runs()
        return [_elements_of(run) for run in self._runs]

    def _build_runs(self) -> None:
        latest: dict[str, list[Entry]] = {}
        for entry in self.entries:
            entry.sent = True
            run = latest.get(entry.topic)
            if run is None or run[0].format != entry.format:
                run = latest[entry.topic] = []
                self._runs.append(run)
            run.append(entry)


def _elements_of(run: list[Entry]) -> list[Any]:
    payloads = [entry.payload for entry in run]
    first = run[0]
    return [first.topic, payloads] if first.format == MSGPACK else [first.topic, payloads, {"format": first.format}]


class Whole(Errand):
    """Messages that are accepted or refused as a whole: a batch; or none at all: a barrier."""

    def __init__(self, messages: Runs, done: Callable[[TickwireError | None], None]) -> None:
        super().__init__()
        self.losses = 0  # of connections, that callers of a barrier had been told of when this one was given
        self._messages = messages
        self._answer: tuple[int, Sequence[int]] | None = None
        self._receipts: list[Receipt] | None = None
        self.done: Callable[[TickwireError | None], None] | None = done

    @property
    def is_barrier(self) -> bool:
        return not self._messages

    @property
    def wanted(self) -> bool:
        return self.done is not None

    @property
    def receipts(self) -> list[Receipt]:
        """One for each message, once all are acknowledged. Made when asked for: a hundred of them cost 60 us."""
        if self._receipts is None and self._answer is not None:
            self._receipts = self._messages.receipts(*self._answer)
        return self._receipts or []

    def acknowledged(self, epoch: int, offsets: Sequence[int]) -> None:
        if len(offsets) != len(self._messages.runs):
            raise ValueError(f"{len(offsets)} offsets for {len(self._messages.runs)} runs")
        self._answer = epoch, offsets
        self._settle(None)

    def failed(self, error: TickwireError) -> None:
        self._settle(error)

    def abandon(self) -> bool:
        """Nobody waits any more, and if it was not sent it never is. Returns whether it was sent."""
        self.done = None
        return self.sent

    def _elements(self) -> list[list[Any]]:
        return self._messages.elements()

    def _settle(self, error: TickwireError | None) -> None:
        done, self.done = self.done, None
        if done is not None:
            done(error)
