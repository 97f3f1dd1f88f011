"""Messages to bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgpack

from .limits import MSGPACK
from .messages import (
    Ack,
    Beat,
    Bye,
    Delivery,
    Gap,
    Hello,
    Mark,
    Message,
    Publish,
    Refusal,
    Run,
    Section,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)

# One packer for all frames: making one costs more than packing a small frame with it.
pack: Callable[[Any], bytes] = msgpack.Packer(buf_size=64 << 10).pack


def encode(message: Message) -> bytes:
    """The frame of a message: one msgpack array, without the optional elements that are not needed."""
    return pack([message.kind, *_ELEMENTS[type(message)](message)])


def encode_section(
    topic: str, first: int, stamp: int, time_us: int, payloads: list[bytes], format: int = MSGPACK
) -> bytes:
    """A section as the fragment of a delivery: encoded once, whoever gets it."""
    if format == MSGPACK:
        return pack([topic, first, stamp, time_us, payloads])
    return pack([topic, first, stamp, time_us, payloads, {"format": format}])


def join_sections(stream: int, fragments: Sequence[bytes]) -> bytes:
    """A delivery frame of sections that are encoded already: their bytes behind one array header.

    This is all that msgpack needs to concatenate; nothing is encoded twice.
    """
    return b"".join((b"\x93\x15", pack(stream), array_header(len(fragments)), *fragments))


def array_header(length: int) -> bytes:
    """The msgpack header of an array of that length."""
    if length < 16:
        return bytes((0x90 | length,))
    if length < 1 << 16:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")


def encode_runs(id: int | None, runs: list[list[Any]]) -> bytes:
    """A PUBLISH of runs that are lists already: `[topic, payloads]` or `[topic, payloads, extras]`."""
    return pack([Publish.kind, id, runs])


def _hello(hello: Hello) -> list[Any]:
    options: dict[str, Any] = {}
    if hello.client is not None:
        options["client"] = hello.client
    if hello.token is not None:
        options["token"] = hello.token
    if hello.subscriptions:
        options["subscriptions"] = [_subscribe(subscription) for subscription in hello.subscriptions]
    return [hello.versions, options] if options else [hello.versions]


def _subscribe(subscribe: Subscribe) -> list[Any]:
    elements: list[Any] = [subscribe.id, subscribe.pattern]
    if subscribe.seen is not None:
        elements.append({"seen": list(subscribe.seen)})
    return elements


def _unsubscribe(message: Unsubscribe | Unsubscribed) -> list[Any]:
    return [message.id]


def _publish(publish: Publish) -> list[Any]:
    return [publish.id, [_run(run) for run in publish.runs]]


def _run(run: Run) -> list[Any]:
    return [run.topic, run.payloads] if run.format == MSGPACK else [run.topic, run.payloads, {"format": run.format}]


def _beat(beat: Beat) -> list[Any]:
    return [beat.time_us]


def _bye(bye: Bye) -> list[Any]:
    return _trimmed([bye.code, bye.text, bye.retry_after_ms], 2)


def _welcome(welcome: Welcome) -> list[Any]:
    return [welcome.version, welcome.epoch, welcome.stamp, welcome.limits, welcome.capabilities]


def _subscribed(reply: Subscribed) -> list[Any]:
    return _trimmed([reply.id, reply.stream, reply.stamp, reply.offset, reply.moved, reply.more], 4)


def _ack(ack: Ack) -> list[Any]:
    return [ack.receipts]


def _refusal(refusal: Refusal) -> list[Any]:
    return _trimmed([refusal.refused, refusal.id, refusal.code, refusal.text, refusal.details], 4)


def _delivery(delivery: Delivery) -> list[Any]:
    return [delivery.stream, [_section(section) for section in delivery.sections]]


def _section(section: Section) -> list[Any]:
    elements: list[Any] = [section.topic, section.first, section.stamp, section.time_us, section.payloads]
    extras: dict[str, int] = {}
    if section.epoch is not None:
        extras["epoch"] = section.epoch
    if section.format != MSGPACK:
        extras["format"] = section.format
    return [*elements, extras] if extras else elements


def _gap(gap: Gap) -> list[Any]:
    return [gap.stream, gap.topic, gap.start, gap.end, gap.reason]


def _mark(mark: Mark) -> list[Any]:
    return [mark.stamp]


def _trimmed(elements: list[Any], least: int) -> list[Any]:
    """The elements without the optional ones at the end that are None."""
    while len(elements) > least and elements[-1] is None:
        elements.pop()
    return elements


_ELEMENTS: dict[type[Any], Callable[[Any], list[Any]]] = {
    Hello: _hello,
    Subscribe: _subscribe,
    Unsubscribe: _unsubscribe,
    Publish: _publish,
    Beat: _beat,
    Bye: _bye,
    Welcome: _welcome,
    Subscribed: _subscribed,
    Unsubscribed: _unsubscribe,
    Ack: _ack,
    Refusal: _refusal,
    Delivery: _delivery,
    Gap: _gap,
    Mark: _mark,
}
