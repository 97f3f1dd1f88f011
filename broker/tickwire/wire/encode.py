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
    Consume,
    Consumed,
    Delivery,
    End,
    Extended,
    Gap,
    Groups,
    Hello,
    Join,
    List,
    Mark,
    Message,
    Publish,
    Refresh,
    Refreshed,
    Refusal,
    Returned,
    Run,
    Section,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
    Window,
)

# One packer for all frames: making one costs more than packing a small frame with it.
pack: Callable[[Any], bytes] = msgpack.Packer(buf_size=64 << 10).pack


def encode(message: Message) -> bytes:
    """The frame of a message: one msgpack array, without the optional elements that are not needed."""
    return pack([message.kind, *_ELEMENTS[type(message)](message)])


def encode_section(
    topic: str, first: int, stamp: int, time_us: int, payloads: list[bytes], format: int = MSGPACK, attempt: int = 1
) -> bytes:
    """A section as the fragment of a delivery: encoded once, whoever gets it."""
    if format == MSGPACK and attempt == 1:
        return pack([topic, first, stamp, time_us, payloads])
    extras = {}
    if format != MSGPACK:
        extras["format"] = format
    if attempt != 1:
        extras["attempt"] = attempt
    return pack([topic, first, stamp, time_us, payloads, extras])


def encode_section_of(
    topic: str, first: int, stamp: int, time_us: int, count: int, pieces: Sequence[bytes | memoryview], format: int
) -> bytes:
    """The same of `count` payloads that are encoded already, in pieces: their bytes behind one array header."""
    head = pack([topic, first, stamp, time_us])[1:]
    if format == MSGPACK:
        return b"".join((b"\x95", head, array_header(count), *pieces))
    return b"".join((b"\x96", head, array_header(count), *pieces, pack({"format": format})))


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


def encode_ack(receipts: list[list[int]]) -> bytes:
    """An ACK: each receipt is the id of a publish, and the first offset of each of its runs."""
    return pack([Ack.kind, receipts])


def encode_runs(id: int | None, runs: list[list[Any]], sequence: int | None = None, retry: bool | None = None) -> bytes:
    """A PUBLISH of runs that are lists already: `[topic, payloads]` or `[topic, payloads, extras]`."""
    options = _identity(sequence, retry)
    return pack([Publish.kind, id, runs, options] if options else [Publish.kind, id, runs])


def _identity(sequence: int | None, retry: bool | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if sequence is not None:
        options["sequence"] = sequence
    if retry is not None:
        options["retry"] = retry
    return options


def _hello(hello: Hello) -> list[Any]:
    options: dict[str, Any] = {}
    if hello.client is not None:
        options["client"] = hello.client
    if hello.token is not None:
        options["token"] = hello.token
    if hello.publisher is not None:
        options["publisher"] = hello.publisher
    if hello.incarnation is not None:
        options["incarnation"] = hello.incarnation
    if hello.subscriptions:
        options["subscriptions"] = [_subscribe(subscription) for subscription in hello.subscriptions]
    return [hello.versions, options] if options else [hello.versions]


def _subscribe(subscribe: Subscribe) -> list[Any]:
    options: dict[str, Any] = {}
    if subscribe.seen is not None:
        options["seen"] = list(subscribe.seen)
    if subscribe.positions is not None:
        options["positions"] = [list(position) for position in subscribe.positions]
    if subscribe.since is not None:
        options["since"] = list(subscribe.since)
    if subscribe.once is not None:
        options["once"] = subscribe.once
    if subscribe.group is not None:
        options["group"] = subscribe.group
    return [subscribe.id, subscribe.pattern, options] if options else [subscribe.id, subscribe.pattern]


def _only_id(message: Unsubscribe | Unsubscribed | List | End) -> list[Any]:
    return [message.id]


def _publish(publish: Publish) -> list[Any]:
    elements = [publish.id, [_run(run) for run in publish.runs]]
    options = _identity(publish.sequence, publish.retry)
    return [*elements, options] if options else elements


def _run(run: Run) -> list[Any]:
    return [run.topic, run.payloads] if run.format == MSGPACK else [run.topic, run.payloads, {"format": run.format}]


def _beat(beat: Beat) -> list[Any]:
    return [beat.time_us]


def _bye(bye: Bye) -> list[Any]:
    return _trimmed([bye.code, bye.text, bye.retry_after_ms], 2)


def _welcome(welcome: Welcome) -> list[Any]:
    return [welcome.version, welcome.epoch, welcome.stamp, welcome.limits, welcome.capabilities]


def _subscribed(reply: Subscribed) -> list[Any]:
    return [reply.id, reply.stream, reply.stamp, reply.offset]


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
    if section.attempt is not None:
        extras["attempt"] = section.attempt
    return [*elements, extras] if extras else elements


def _gap(gap: Gap) -> list[Any]:
    return [gap.stream, gap.topic, gap.start, gap.end, gap.reason]


def _mark(mark: Mark) -> list[Any]:
    return [mark.stamp]


def _join(join: Join) -> list[Any]:
    return [join.id, join.stamp]


def _groups(groups: Groups) -> list[Any]:
    return [
        groups.id,
        [[group.name, group.pattern, group.members, group.lag, group.unacked] for group in groups.groups],
    ]


def _consume(consume: Consume) -> list[Any]:
    elements = [consume.id, consume.pattern, consume.group, consume.max_unacked]
    options: dict[str, Any] = {}
    if consume.ack_timeout_ms is not None:
        options["ack_timeout_ms"] = consume.ack_timeout_ms
    if consume.attempts is not None:
        options["attempts"] = consume.attempts
    return [*elements, options] if options else elements


def _consumed(consumed: Consumed) -> list[Any]:
    return [consumed.id, [list(each) for each in consumed.ranges]]


def _returned(returned: Returned) -> list[Any]:
    return _trimmed([returned.id, [list(each) for each in returned.ranges], returned.delay_ms], 2)


def _window(window: Window) -> list[Any]:
    return [window.id, window.max_unacked]


def _extended(extended: Extended) -> list[Any]:
    elements = [extended.id, [list(each) for each in extended.ranges]]
    return [*elements, {"waiting": True}] if extended.waiting else elements


def _refresh(refresh: Refresh) -> list[Any]:
    return [refresh.id, refresh.token]


def _refreshed(reply: Refreshed) -> list[Any]:
    return _trimmed([reply.id, reply.expires_us], 1)


def _trimmed(elements: list[Any], least: int) -> list[Any]:
    """The elements without the optional ones at the end that are None."""
    while len(elements) > least and elements[-1] is None:
        elements.pop()
    return elements


_ELEMENTS: dict[type[Any], Callable[[Any], list[Any]]] = {
    Hello: _hello,
    Subscribe: _subscribe,
    Unsubscribe: _only_id,
    Publish: _publish,
    Beat: _beat,
    Bye: _bye,
    Welcome: _welcome,
    Subscribed: _subscribed,
    Unsubscribed: _only_id,
    Ack: _ack,
    Refusal: _refusal,
    Delivery: _delivery,
    Gap: _gap,
    Mark: _mark,
    Join: _join,
    End: _only_id,
    Groups: _groups,
    Consume: _consume,
    Consumed: _consumed,
    Returned: _returned,
    Window: _window,
    Extended: _extended,
    List: _only_id,
    Refresh: _refresh,
    Refreshed: _refreshed,
}
