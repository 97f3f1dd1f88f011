"""A small history made by hand: two publishers, two readers, a group of two, a kill, and the final read."""

from __future__ import annotations

from collections.abc import Sequence

from .checker import check
from .events import (
    Complete,
    Connected,
    Delivered,
    Event,
    FinalRead,
    Invoked,
    Killed,
    Opened,
    Record,
    Refused,
    Sent,
    Settled,
    Started,
    Stored,
    payload_of,
)
from .verdict import Verdict

TOPIC, EPOCH = "trades.a", 7


def message(number: int, publisher: str = "p") -> Sent:
    return payload_of(publisher, number)[0]


def published(number: int, offset: int | None, publisher: str = "p") -> list[Event]:
    """It was published, and acknowledged at that offset; at None its publisher never heard of it again."""
    sent = message(number, publisher)
    invoked: list[Event] = [Invoked(TOPIC, sent)]
    return invoked if offset is None else [*invoked, Stored(TOPIC, sent, EPOCH, offset)]


def delivered(reader: str, first: int, *messages: Sent, epoch: int = EPOCH, attempt: int = 1) -> Delivered:
    return Delivered(reader, TOPIC, epoch, first, list(messages), attempt)


def settled(reader: str, *offsets: int) -> list[Settled]:
    return [Settled(reader, TOPIC, EPOCH, offset) for offset in offsets]


def final(first: int, *messages: Sent) -> FinalRead:
    return FinalRead(TOPIC, EPOCH, first, list(messages))


A, B, C, D = message(1), message(1, "q"), message(2), message(3)


def clean() -> dict[str, list[Event]]:
    """Five files in which nothing is wrong. In the topic stand A, B, C and D: three of `p`, and one of `q`."""
    return {
        "broker": [Started(), Killed("at random"), Started(), final(0, A, B), final(2, C, D)],
        "p": [Connected(), *published(1, 0), *published(2, 2), *published(3, None)],
        "q": [
            Connected(),
            *published(1, 1, "q"),
            Invoked(TOPIC, message(2, "q")),
            Refused(message(2, "q"), "no_space"),
        ],
        "reader": [
            Connected(),
            Opened("r", "trades.>", "earliest"),
            delivered("r", 0, A, B),
            Connected(),
            delivered("r", 2, C, D),
            Complete("r"),
        ],
        "another": [
            Connected(),
            Opened("s", TOPIC, [EPOCH, 2]),
            delivered("s", 2, C),
            delivered("s", 3, D),
            Complete("s"),
        ],
        "member": [
            Connected(),
            Opened("m", "trades.*", "earliest", "g"),
            delivered("m", 0, A, B),
            *settled("m", 0, 1),
            delivered("m", 2, C),
        ],
        "other member": [
            Connected(),
            Opened("n", "trades.*", "earliest", "g"),
            delivered("n", 2, C, attempt=2),
            delivered("n", 3, D),
            *settled("n", 2, 3),
        ],
    }


def verdict_of(history: dict[str, list[Event]], durable: bool = True) -> Verdict:
    return check(map(timed, history.values()), durable)


def timed(events: Sequence[Event]) -> list[Record]:
    return [(float(at), event) for at, event in enumerate(events)]
