"""Bytes to messages. What does not fit raises WireError with the code, the sentence, and what could be read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from .errors import WireError
from .fields import (
    FieldError,
    array,
    check_payloads,
    in_range,
    integer,
    mapping,
    named,
    optional_integer,
    options,
    payload_format,
    text,
    text_option,
)
from .limits import FRAME_MESSAGES, MAX_INT, MSGPACK
from .messages import (
    KIND_NAMES,
    Ack,
    Beat,
    Bye,
    Delivery,
    FromBroker,
    FromClient,
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
from .unpack import FROM_CLIENT, unpack

# The kinds that have an id as their first element.
_WITH_ID = frozenset((Subscribe.kind, Unsubscribe.kind, Publish.kind, Subscribed.kind, Unsubscribed.kind))


def decode_from_client(data: bytes) -> FromClient:
    """What a client sent. Raises WireError: `bad_frame`, `unknown_kind` or `bad_field`."""
    return cast(FromClient, _decode(data, _FROM_CLIENT, FRAME_MESSAGES * 2, FROM_CLIENT))


def decode_from_broker(data: bytes) -> FromBroker | None:
    """What the broker sent, or None for a kind that this version does not know. Raises WireError."""
    try:
        return cast(FromBroker, _decode(data, _FROM_BROKER, len(data)))
    except WireError as error:
        if error.code == "unknown_kind":
            return None
        raise


def decode(data: bytes) -> Message:
    """Whatever either side may send; for people and tools."""
    return cast(Message, _decode(data, _FROM_CLIENT | _FROM_BROKER, len(data)))


def _decode(
    data: bytes, kinds: dict[int, Callable[[list[Any]], Any]], max_array: int, bounds: tuple[int, int] | None = None
) -> Any:
    elements = unpack(data, max_array, bounds)
    if type(elements) is not list or not elements:
        raise WireError("bad_frame", "a frame is a msgpack array that starts with its kind")
    kind = elements[0]
    if type(kind) is not int:
        raise WireError("bad_frame", f"a frame starts with its kind, an integer, not {named(kind)}")
    build = kinds.get(kind)
    if build is None:
        name = KIND_NAMES.get(kind)
        which = f"kind {kind} ({name}) is not sent in this direction" if name else f"there is no frame of kind {kind}"
        raise WireError("unknown_kind", which, kind, _id_of(kind, elements))
    try:
        return build(elements)
    except FieldError as field:
        raise WireError("bad_field", f"{KIND_NAMES[kind]}: {field}", kind, _id_of(kind, elements)) from None


def _hello(elements: list[Any]) -> Hello:
    versions = array(elements, 1, "versions")
    for version in versions:
        in_range(version, "versions")
    given = options(elements, 2)
    subscriptions = given.get("subscriptions")
    if subscriptions is None:
        subscriptions = []
    elif type(subscriptions) is not list:
        raise FieldError(f"option subscriptions must be an array, not {named(subscriptions)}")
    return Hello(
        versions,
        text_option(given, "client"),
        text_option(given, "token"),
        [_hello_subscription(subscription) for subscription in subscriptions],
    )


def _hello_subscription(elements: Any) -> Subscribe:
    if type(elements) is not list:
        raise FieldError(f"option subscriptions must hold arrays, not {named(elements)}")
    return _subscribe([Subscribe.kind, *elements])


def _subscribe(elements: list[Any]) -> Subscribe:
    id, pattern = integer(elements, 1, "id"), text(elements, 2, "pattern")
    seen = options(elements, 3).get("seen")
    if seen is None:
        return Subscribe(id, pattern)
    if type(seen) is not list or len(seen) < 2:
        raise FieldError("option seen must be [epoch, stamp]")
    return Subscribe(id, pattern, (in_range(seen[0], "seen epoch"), in_range(seen[1], "seen stamp")))


def _unsubscribe(elements: list[Any]) -> Unsubscribe:
    return Unsubscribe(integer(elements, 1, "id"))


def _publish(elements: list[Any]) -> Publish:
    if len(elements) < 3:
        raise FieldError("id and runs are required")
    id, runs = elements[1], elements[2]
    if id is not None and (type(id) is not int or not 0 <= id <= MAX_INT):
        raise FieldError(f"id must be nil or an integer from 0 to 2^53 - 1, not {named(id)}")
    if type(runs) is not list:
        raise FieldError(f"runs must be an array, not {named(runs)}")
    if len(elements) > 3:
        options(elements, 3)
    return Publish(id, [_run(run) for run in runs])


def _run(run: Any) -> Run:
    """This is on the way of every message: it looks at each payload once, in C."""
    if type(run) is not list or len(run) < 2:
        raise FieldError("a run must be an array [topic, payloads]")
    topic, payloads = run[0], run[1]
    if type(topic) is not str:
        raise FieldError(f"the topic of a run must be a string, not {named(topic)}")
    if type(payloads) is not list or not payloads:
        raise FieldError(f"the payloads of a run must be an array of at least one, not {named(payloads)}")
    if len(payloads) > 1 or type(payloads[0]) is not bytes:
        check_payloads(payloads)
    return Run(topic, payloads, MSGPACK if len(run) == 2 else payload_format(run[2]))


def _beat(elements: list[Any]) -> Beat:
    return Beat(integer(elements, 1, "time_us"))


def _bye(elements: list[Any]) -> Bye:
    return Bye(text(elements, 1, "code"), text(elements, 2, "text"), optional_integer(elements, 3, "retry_after_ms"))


def _welcome(elements: list[Any]) -> Welcome:
    version, epoch, stamp = (integer(elements, i, name) for i, name in ((1, "version"), (2, "epoch"), (3, "stamp")))
    limits = mapping(elements, 4, "limits")
    for name, limit in limits.items():
        in_range(limit, f"limits {name}")
    return Welcome(version, epoch, stamp, limits, mapping(elements, 5, "capabilities"))


def _subscribed(elements: list[Any]) -> Subscribed:
    moved, more = (elements[i] if len(elements) > i else None for i in (5, 6))
    if more is not None and type(more) is not bool:
        raise FieldError(f"more must be true or false, not {named(more)}")
    return Subscribed(
        integer(elements, 1, "id"),
        integer(elements, 2, "stream"),
        integer(elements, 3, "stamp"),
        optional_integer(elements, 4, "offset"),
        None if moved is None else [_moved(entry) for entry in array(elements, 5, "moved")],
        more or None,
    )


def _moved(entry: Any) -> tuple[str, int, int]:
    if type(entry) is not list or len(entry) < 3 or type(entry[0]) is not str:
        raise FieldError("moved must hold [topic, from, to]")
    return entry[0], in_range(entry[1], "moved from"), in_range(entry[2], "moved to")


def _unsubscribed(elements: list[Any]) -> Unsubscribed:
    return Unsubscribed(integer(elements, 1, "id"))


def _ack(elements: list[Any]) -> Ack:
    receipts = array(elements, 1, "receipts")
    for receipt in receipts:
        if type(receipt) is not list or not receipt:
            raise FieldError("receipts must hold arrays [id, offset, ...]")
        for number in receipt:
            in_range(number, "receipts")
    return Ack(receipts)


def _refusal(elements: list[Any]) -> Refusal:
    return Refusal(
        integer(elements, 1, "kind"),
        optional_integer(elements, 2, "id"),
        text(elements, 3, "code"),
        text(elements, 4, "text"),
        options(elements, 5, "details") or None,
    )


def _delivery(elements: list[Any]) -> Delivery:
    return Delivery(integer(elements, 1, "stream"), [_section(section) for section in array(elements, 2, "sections")])


def _section(section: Any) -> Section:
    if type(section) is not list or len(section) < 5:
        raise FieldError("a section must be an array [topic, first, stamp, time_us, payloads]")
    topic, payloads = section[0], section[4]
    if type(topic) is not str or type(payloads) is not list:
        raise FieldError("a section must have a string as its topic and an array as its payloads")
    if not payloads:
        raise FieldError("the payloads of a section must be an array of at least one")
    check_payloads(payloads)
    first, stamp, time_us = (
        in_range(section[index], name) for index, name in ((1, "first"), (2, "stamp"), (3, "time_us"))
    )
    if len(section) == 5 or section[5] is None:
        return Section(topic, first, stamp, time_us, payloads)
    extras = section[5]
    format = payload_format(extras)
    epoch = extras.get("epoch")
    return Section(
        topic, first, stamp, time_us, payloads, format, None if epoch is None else in_range(epoch, "section epoch")
    )


def _gap(elements: list[Any]) -> Gap:
    return Gap(
        integer(elements, 1, "stream"),
        text(elements, 2, "topic"),
        integer(elements, 3, "from"),
        integer(elements, 4, "to"),
        text(elements, 5, "reason"),
    )


def _mark(elements: list[Any]) -> Mark:
    return Mark(integer(elements, 1, "stamp"))


def _id_of(kind: int, elements: list[Any]) -> int | None:
    """The id of a frame that is refused, where one can be read; an unknown kind is taken to have one."""
    id = elements[1] if len(elements) > 1 and (kind in _WITH_ID or kind not in KIND_NAMES) else None
    return id if type(id) is int and 0 <= id <= MAX_INT else None


_FROM_CLIENT: dict[int, Callable[[list[Any]], Any]] = {
    Hello.kind: _hello,
    Subscribe.kind: _subscribe,
    Unsubscribe.kind: _unsubscribe,
    Publish.kind: _publish,
    Beat.kind: _beat,
    Bye.kind: _bye,
}
_FROM_BROKER: dict[int, Callable[[list[Any]], Any]] = {
    Beat.kind: _beat,
    Bye.kind: _bye,
    Welcome.kind: _welcome,
    Subscribed.kind: _subscribed,
    Unsubscribed.kind: _unsubscribed,
    Ack.kind: _ack,
    Refusal.kind: _refusal,
    Delivery.kind: _delivery,
    Gap.kind: _gap,
    Mark.kind: _mark,
}
