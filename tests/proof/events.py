"""What a client of a run writes down, and the line of JSON it becomes.

A message is known by who published it and by that publisher's own number for it, which stand in its payload.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True)
class Sent:
    """One message as somebody has it: the `digest` is that of all its bytes."""

    publisher: str
    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.publisher}#{self.number}"


# Of publishers.


@dataclass(frozen=True, slots=True)
class Invoked:
    """It is about to be published. Without an outcome after it, its outcome is unknown."""

    topic: str
    message: Sent
    acked: bool = True


@dataclass(frozen=True, slots=True)
class Stored:
    """The outcome was an acknowledgment."""

    topic: str
    message: Sent
    epoch: int
    offset: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The outcome was a refusal: it is certainly not stored."""

    message: Sent
    code: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The publisher was told that nobody knows."""

    message: Sent
    why: str = ""


# Of readers and consumers. A `reader` is one subscription: its name is never used again.


@dataclass(frozen=True, slots=True)
class Opened:
    """A subscription. `since` is "now", "earliest", or [epoch, offset] of the first message that it wants.

    `group` is that of a consumer; a `live` one is a queue group without a cursor.
    """

    reader: str
    pattern: str
    since: str | list[int] = "now"
    group: str | None = None
    live: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """The client of this file got a connection, the first or another one."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Messages with consecutive offsets that the application was handed."""

    reader: str
    topic: str
    epoch: int
    first: int
    messages: list[Sent]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Missed:
    """A gap notice. Of the reason `epoch`, it announces that positions mean nothing from here on."""

    reader: str
    topic: str
    epoch: int
    start: int | None
    end: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The reader took its time after the last publish: it has all that it will ever get."""

    reader: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A consumer acknowledged a message."""

    reader: str
    topic: str
    epoch: int
    offset: int


@dataclass(frozen=True, slots=True)
class Dead:
    """A message that the group gave up: it stands in the group's dead letters."""

    group: str
    topic: str
    offset: int


# Of whoever runs it all.


@dataclass(frozen=True, slots=True)
class Started:
    """A life of the broker begins: its process is about to be started."""


@dataclass(frozen=True, slots=True)
class Killed:
    """A life of the broker ended, and how."""

    how: str


@dataclass(frozen=True, slots=True)
class FinalRead:
    """After the end: what the broker holds, read as history from the earliest on."""

    topic: str
    epoch: int
    first: int
    messages: list[Sent]


@dataclass(frozen=True, slots=True)
class FinalMissed:
    """The final read was told of a gap."""

    topic: str
    start: int | None
    end: int | None
    reason: str


Event = (
    Invoked
    | Stored
    | Refused
    | Unknown
    | Opened
    | Connected
    | Delivered
    | Missed
    | Complete
    | Settled
    | Dead
    | Started
    | Killed
    | FinalRead
    | FinalMissed
)
Record = tuple[float, Event]  # the second is when: seconds of the machine's monotonic clock, the same in each process

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in Event.__args__}


def line_of(at: float, event: Event) -> bytes:
    """One line of a file."""
    values = [getattr(event, name) for name in event.__dataclass_fields__]
    return (
        json.dumps([type(event).__name__, round(at, 6), *map(_plain, values)], separators=(",", ":")).encode() + b"\n"
    )


def record_of(line: bytes) -> Record:
    """What a line says."""
    kind, at, *values = json.loads(line)
    return at, _KINDS[kind](*map(_rich, values))


def _plain(value: Any) -> Any:
    """A message is an object and not a list, so that it can be told from one."""
    if isinstance(value, Sent):
        return {"": f"{value.publisher} {value.number} {value.digest}"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        publisher, number, digest = value[""].split(" ")
        return Sent(publisher, int(number), digest)
    if isinstance(value, list):
        return [_rich(each) for each in value]
    return value


# Payloads.


def payload_of(publisher: str, number: int, filler: int = 0) -> tuple[Sent, bytes]:
    """A message and its bytes, which say whose it is. The filler is noise, so that it takes its size on a disk."""
    payload = f"{publisher} {number} ".encode() + Random(number).randbytes(filler)
    return Sent(publisher, number, digest_of(payload)), payload


def sent_of(payload: bytes) -> Sent:
    """Whose message this is. Of bytes that are none of ours, that of nobody."""
    publisher, _, rest = payload.partition(b" ")
    number = rest.partition(b" ")[0]
    if not number.isdigit():
        return Sent("?", 0, digest_of(payload))
    return Sent(publisher.decode("ascii", "replace"), int(number), digest_of(payload))


def digest_of(payload: bytes) -> str:
    return blake2b(payload, digest_size=8).hexdigest()
