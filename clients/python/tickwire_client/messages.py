"""What a reader gets: messages, and gaps where messages are missing. What a publisher gets: receipts. And positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, overload

from tickwire.wire.codes import FREED
from tickwire.wire.limits import BYTES

from .payloads import unpack, unpack_together


@dataclass(frozen=True, slots=True)
class Position:
    """Where a message stands: a position is one message for ever. `since=position` starts with that message.

    `since=position.next` starts after it: keep that of the last message you are done with.
    """

    topic: str
    epoch: int
    offset: int

    @property
    def next(self) -> Position:
        """The position after this one, whether something stands there already or not."""
        return Position(self.topic, self.epoch, self.offset + 1)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an acknowledged message stands."""

    topic: str
    epoch: int
    offset: int

    @property
    def position(self) -> Position:
        return Position(self.topic, self.epoch, self.offset)


@dataclass(frozen=True, slots=True)
class Gap:
    """The offsets [start, end) of a topic will not come, and why (`tickwire.wire.codes` lists the reasons).

    `start` or `end` is None where it is not known; `topic` is then the pattern of the subscription if not even that is.
    """

    topic: str
    epoch: int
    start: int | None
    end: int | None
    reason: str

    @property
    def count(self) -> int | None:
        """How many messages are missing, where that is known: of a topic that was forgotten it never is."""
        if self.start is None or self.end is None or self.reason == FREED:
            return None
        return self.end - self.start

    def __str__(self) -> str:
        count = self.count
        if count is None or self.start is None or self.end is None:
            verb = "may be" if self.reason == FREED else "are"
            return f"messages of {self.topic} {verb} missing, how many is not known ({self.reason})"
        if count == 1:
            return f"1 message of {self.topic} is missing, offset {self.start} ({self.reason})"
        which = f"offsets {self.start} to {self.end - 1}"
        return f"{count} messages of {self.topic} are missing, {which} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: its pattern, how many members are connected, and how far behind they are together.

    `lag` is how many messages were not handed out yet, `unacked` how many were and are not acknowledged.
    """

    name: str
    pattern: str
    members: int
    lag: int
    unacked: int


class Section:
    """A run of messages of one topic with consecutive offsets, as it came; shared by all subscriptions that match."""

    __slots__ = ("_values", "attempt", "epoch", "first", "format", "payloads", "time_us", "topic")

    def __init__(
        self,
        topic: str,
        epoch: int,
        first: int,
        time_us: int,
        payloads: list[bytes],
        format: int,
        attempt: int = 1,
    ) -> None:
        self.topic, self.epoch, self.first = topic, epoch, first
        self.time_us, self.payloads, self.format, self.attempt = time_us, payloads, format, attempt
        self._values: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.payloads)

    def __repr__(self) -> str:
        return f"Section({self.topic!r}, {self.first}..{self.first + len(self.payloads) - 1})"

    def since(self, offset: int) -> Section:
        """What remains of it from an offset inside it."""
        payloads = self.payloads[offset - self.first :]
        return Section(self.topic, self.epoch, offset, self.time_us, payloads, self.format)

    def messages(self) -> Sequence[Message]:
        """Its messages; nothing is decoded yet."""
        return list(self.each())

    def each(self) -> Iterator[Message]:
        """The same one by one."""
        # 15 % faster than a comprehension, and this is most of what a message costs before it is decoded.
        return map(Message, repeat(self), range(len(self.payloads)))

    def data(self) -> list[Any]:
        """The data of all. Raises WireError where one is not what it should be."""
        return self.values() or list(map(self.value, range(len(self.payloads))))

    def value(self, index: int) -> Any:
        """The data of one message. All are decoded when the first is wanted: together they cost a fraction."""
        values = self.values()
        return values[index] if values else unpack(self.payloads[index])

    def values(self) -> list[Any]:
        """The data of all, or an empty list where one is not what it should be: the others are good one by one."""
        if self._values is None:
            self._values = list(self.payloads) if self.format == BYTES else unpack_together(self.payloads) or []
        return self._values


class Messages(Sequence["Message"]):
    """Messages that came together. One is made when it is looked at; `data` is that of all, which is the fastest way.

    Made at once they would live long enough for full collections of Python's garbage collector, which cost a reader of
    maps a fifth of its time.
    """

    __slots__ = ("_sections",)

    def __init__(self, sections: Sequence[Section]) -> None:
        self._sections = sections

    @property
    def data(self) -> list[Any]:
        """What was published, in order: of each message what its `data` is. Raises WireError as that does."""
        if len(self._sections) == 1:
            return list(self._sections[0].data())
        return list(chain.from_iterable(section.data() for section in self._sections))

    def __len__(self) -> int:
        return sum(map(len, self._sections))

    def __iter__(self) -> Iterator[Message]:
        return chain.from_iterable(map(Section.each, self._sections))

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        return list(self)[index]

    def __repr__(self) -> str:
        return f"<{len(self)} messages: {', '.join(map(repr, self._sections))}>"


class Message:
    """One message. `data` is decoded when it is read."""

    __slots__ = ("_index", "_section")

    def __init__(self, section: Section, index: int) -> None:
        self._section = section
        self._index = index

    @property
    def topic(self) -> str:
        return self._section.topic

    @property
    def data(self) -> Any:
        """What was published: any msgpack value, or bytes where `payload=` was. Read again, it is the same or equal.

        Raises WireError where the payload is not one msgpack object within the bounds of `payloads`.
        """
        section = self._section
        values = section._values
        return values[self._index] if values else section.value(self._index)

    @property
    def payload(self) -> bytes:
        """The bytes as they were sent."""
        return self._section.payloads[self._index]

    @property
    def offset(self) -> int:
        return self._section.first + self._index

    @property
    def epoch(self) -> int:
        return self._section.epoch

    @property
    def position(self) -> Position:
        """Its own: `since=message.position` starts with it, `since=message.position.next` after it."""
        return Position(self._section.topic, self._section.epoch, self.offset)

    @property
    def attempt(self) -> int:
        """How often it was handed out to a consumer group, this time included; 1 for everybody else."""
        return self._section.attempt

    @property
    def time(self) -> float:
        """When the broker accepted it, by the broker's clock, in seconds since 1970-01-01 UTC."""
        return self._section.time_us / 1e6

    @property
    def section(self) -> Section:
        """The run of messages that it came with: what they share is looked at once."""
        return self._section

    def __repr__(self) -> str:
        payload = self.payload
        shown = repr(payload) if len(payload) <= 32 else f"{payload[:29]!r}..."
        return f"Message({self.topic!r}, offset={self.offset}, payload={shown})"
