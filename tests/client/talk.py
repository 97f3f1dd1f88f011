"""A session whose connection is the test: what the broker would say is said to it, frame by frame."""

from __future__ import annotations

from typing import Any

from tickwire.wire.decode import decode_from_client
from tickwire.wire.encode import encode
from tickwire.wire.limits import MSGPACK
from tickwire.wire.messages import Delivery, FromBroker, FromClient, Hello, Section, Subscribed, Welcome
from tickwire_client.buffer import Buffer, Item
from tickwire_client.feed import Feed
from tickwire_client.messages import Gap
from tickwire_client.messages import Section as Read
from tickwire_client.runs import Runs
from tickwire_client.session import Session

EPOCH = 77
IDENTITY = {"identity_seconds": 300, "identity_frames": 4_096}


def opened(session: Session, epoch: int = EPOCH, stamp: int = 0, **limits: int) -> Hello:
    """Open a connection up to the welcome; returns the HELLO."""
    hello = decode_from_client(session.opened())
    assert isinstance(hello, Hello)
    say(session, Welcome(1, epoch, stamp, IDENTITY | limits, {"ack": "memory"}))
    return hello


def say(session: Session, *messages: FromBroker) -> None:
    for message in messages:
        session.receive(encode(message))


def said(session: Session) -> list[FromClient]:
    return [decode_from_client(frame) for frame in session.frames()]


def subscribed(
    session: Session, pattern: str, stamp: int = 0, offset: int | None = None, *, stream: int = 0, **options: Any
) -> Feed:
    """A subscription that the broker has: live, or on its way there on a stream of its own."""
    feed = session.subscribe(pattern, **options)
    list(session.frames())
    say(session, Subscribed(feed.id, stream, stamp, offset))
    return feed


def section(topic: str, first: int, stamp: int, count: int = 1) -> Section:
    return Section(topic, first, stamp, 1_000_000 * stamp, [b"\x01"] * count)


def deliver(session: Session, *sections: Section, stream: int = 0) -> None:
    say(session, Delivery(stream, list(sections)))


def seen(feed: Buffer) -> list[tuple[str, int | None, int | None, str | None]]:
    """What has come for it: (topic, start, end, reason); the reason is None for messages."""
    return [_plain(item) for item in feed.take()]


def _plain(item: Item) -> tuple[str, int | None, int | None, str | None]:
    if isinstance(item, Gap):
        return item.topic, item.start, item.end, item.reason
    assert isinstance(item, Read)
    return item.topic, item.first, item.first + len(item), None


def runs(*messages: tuple[str, bytes], format: int = MSGPACK) -> Runs:
    """The messages of a batch, which nobody looked at yet."""
    made = Runs()
    for topic, payload in messages:
        made.add(topic, payload, format, lambda *message: None)
    return made
