"""Publishes that ask for an acknowledgment, on their way to a frame and an answer: single ones, batches, barriers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from tickwire.wire.encode import encode_runs

from .errors import TickwireError
from .messages import Receipt
from .runs import Run, Runs


class Entry:
    """One message to be acknowledged. `done`, if anybody waits, is called once: with a receipt or what went wrong."""

    __slots__ = ("done", "format", "payload", "sent", "topic")

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

    @property
    def wanted(self) -> bool:
        return self.done is not None

    def settle(self, outcome: Receipt | TickwireError) -> None:
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
        return [Run(run[0].topic, run[0].format).elements([entry.payload for entry in run]) for run in self._runs]

    def _build_runs(self) -> None:
        latest: dict[str, list[Entry]] = {}
        for entry in self.entries:
            entry.sent = True
            run = latest.get(entry.topic)
            if run is None or run[0].format != entry.format:
                run = latest[entry.topic] = []
                self._runs.append(run)
            run.append(entry)


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
