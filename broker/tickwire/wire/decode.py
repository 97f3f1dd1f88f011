"""Bytes to messages. What does not fit raises WireError with the code, the sentence, and what could be read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from .errors import WireError
from .limits import BYTES, FRAME_MESSAGES, MAX_INT, MSGPACK
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
        raise WireError("bad_frame", f"a frame starts with its kind, an integer, not {_named(kind)}")
    build = kinds.get(kind)
    if build is None:
        name = KIND_NAMES.get(kind)
        which = f"kind {kind} ({name}) is not sent in this direction" if name else f"there is no frame of kind {kind}"
        raise WireError("unknown_kind", which, kind, _id_of(kind, elements))
    try:
        return build(elements)
    except _Field as field:
        raise WireError("bad_field", f"{KIND_NAMES[kind]}: {field}", kind, _id_of(kind, elements)) from None


_BYTES_ONLY = {bytes}


class _Field(Exception):
    """An element is not what it should be; the text names it."""


def _hello(elements: list[Any]) -> Hello:
    versions = _list(elements, 1, "versions")
    for version in versions:
        _in_range(version, "versions")
    options = _options(elements, 2)
    subscriptions = options.get("subscriptions")
    if subscriptions is None:
        subscriptions = []
    elif type(subscriptions) is not list:
        raise _Field(f"option subscriptions must be an array, not {_named(subscriptions)}")
    return Hello(
        versions,
        _text_option(options, "client"),
        _text_option(options, "token"),
        [_hello_subscription(subscription) for subscription in subscriptions],
    )


def _hello_subscription(elements: Any) -> Subscribe:
    if type(elements) is not list:
        raise _Field(f"option subscriptions must hold arrays, not {_named(elements)}")
    return _subscribe([Subscribe.kind, *elements])


def _subscribe(elements: list[Any]) -> Subscribe:
    id, pattern = _integer(elements, 1, "id"), _text(elements, 2, "pattern")
    seen = _options(elements, 3).get("seen")
    if seen is None:
        return Subscribe(id, pattern)
    if type(seen) is not list or len(seen) < 2:
        raise _Field("option seen must be [epoch, stamp]")
    return Subscribe(id, pattern, (_in_range(seen[0], "seen epoch"), _in_range(seen[1], "seen stamp")))


def _unsubscribe(elements: list[Any]) -> Unsubscribe:
    return Unsubscribe(_integer(elements, 1, "id"))


def _publish(elements: list[Any]) -> Publish:
    if len(elements) < 3:
        raise _Field("id and runs are required")
    id, runs = elements[1], elements[2]
    if id is not None and (type(id) is not int or not 0 <= id <= MAX_INT):
        raise _Field(f"id must be nil or an integer from 0 to 2^53 - 1, not {_named(id)}")
    if type(runs) is not list:
        raise _Field(f"runs must be an array, not {_named(runs)}")
    if len(elements) > 3:
        _options(elements, 3)
    return Publish(id, [_run(run) for run in runs])


def _run(run: Any) -> Run:
    """This is on the way of every message: it looks at each payload once, in C."""
    if type(run) is not list or len(run) < 2:
        raise _Field("a run must be an array [topic, payloads]")
    topic, payloads = run[0], run[1]
    if type(topic) is not str:
        raise _Field(f"the topic of a run must be a string, not {_named(topic)}")
    if type(payloads) is not list or not payloads:
        raise _Field(f"the payloads of a run must be an array of at least one, not {_named(payloads)}")
    if len(payloads) > 1 or type(payloads[0]) is not bytes:
        _check_payloads(payloads)
    return Run(topic, payloads, MSGPACK if len(run) == 2 else _format(run[2]))


def _check_payloads(payloads: list[Any]) -> None:
    # A set of the types is made in C: 15 ns a payload, half of what a loop takes.
    if set(map(type, payloads)) != _BYTES_ONLY:
        odd = next(payload for payload in payloads if type(payload) is not bytes)
        raise _Field(f"payloads must be bin, not {_named(odd)}")


def _format(extras: Any) -> int:
    if extras is None:
        return MSGPACK
    if type(extras) is not dict:
        raise _Field(f"extras must be a map, not {_named(extras)}")
    format = extras.get("format")
    if format is None:
        return MSGPACK
    if type(format) is not int or format not in (MSGPACK, BYTES):
        raise _Field(f"format must be {MSGPACK} (msgpack) or {BYTES} (bytes), not {_named(format)}")
    return format


def _beat(elements: list[Any]) -> Beat:
    return Beat(_integer(elements, 1, "time_us"))


def _bye(elements: list[Any]) -> Bye:
    return Bye(_text(elements, 1, "code"), _text(elements, 2, "text"), _optional_integer(elements, 3, "retry_after_ms"))


def _welcome(elements: list[Any]) -> Welcome:
    version, epoch, stamp = (_integer(elements, i, name) for i, name in ((1, "version"), (2, "epoch"), (3, "stamp")))
    limits = _map(elements, 4, "limits")
    for name, limit in limits.items():
        _in_range(limit, f"limits {name}")
    return Welcome(version, epoch, stamp, limits, _map(elements, 5, "capabilities"))


def _subscribed(elements: list[Any]) -> Subscribed:
    moved, more = (elements[i] if len(elements) > i else None for i in (5, 6))
    if more is not None and type(more) is not bool:
        raise _Field(f"more must be true or false, not {_named(more)}")
    return Subscribed(
        _integer(elements, 1, "id"),
        _integer(elements, 2, "stream"),
        _integer(elements, 3, "stamp"),
        _optional_integer(elements, 4, "offset"),
        None if moved is None else [_moved(entry) for entry in _list(elements, 5, "moved")],
        more or None,
    )


def _moved(entry: Any) -> tuple[str, int, int]:
    if type(entry) is not list or len(entry) < 3 or type(entry[0]) is not str:
        raise _Field("moved must hold [topic, from, to]")
    return entry[0], _in_range(entry[1], "moved from"), _in_range(entry[2], "moved to")


def _unsubscribed(elements: list[Any]) -> Unsubscribed:
    return Unsubscribed(_integer(elements, 1, "id"))


def _ack(elements: list[Any]) -> Ack:
    receipts = _list(elements, 1, "receipts")
    for receipt in receipts:
        if type(receipt) is not list or not receipt:
            raise _Field("receipts must hold arrays [id, offset, ...]")
        for number in receipt:
            _in_range(number, "receipts")
    return Ack(receipts)


def _refusal(elements: list[Any]) -> Refusal:
    return Refusal(
        _integer(elements, 1, "kind"),
        _optional_integer(elements, 2, "id"),
        _text(elements, 3, "code"),
        _text(elements, 4, "text"),
        _options(elements, 5, "details") or None,
    )


def _delivery(elements: list[Any]) -> Delivery:
    return Delivery(_integer(elements, 1, "stream"), [_section(section) for section in _list(elements, 2, "sections")])


def _section(section: Any) -> Section:
    if type(section) is not list or len(section) < 5:
        raise _Field("a section must be an array [topic, first, stamp, time_us, payloads]")
    topic, payloads = section[0], section[4]
    if type(topic) is not str or type(payloads) is not list:
        raise _Field("a section must have a string as its topic and an array as its payloads")
    if not payloads:
        raise _Field("the payloads of a section must be an array of at least one")
    _check_payloads(payloads)
    first, stamp, time_us = (
        _in_range(section[index], name) for index, name in ((1, "first"), (2, "stamp"), (3, "time_us"))
    )
    if len(section) == 5 or section[5] is None:
        return Section(topic, first, stamp, time_us, payloads)
    extras = section[5]
    format = _format(extras)
    epoch = extras.get("epoch")
    return Section(
        topic, first, stamp, time_us, payloads, format, None if epoch is None else _in_range(epoch, "section epoch")
    )


def _gap(elements: list[Any]) -> Gap:
    return Gap(
        _integer(elements, 1, "stream"),
        _text(elements, 2, "topic"),
        _integer(elements, 3, "from"),
        _integer(elements, 4, "to"),
        _text(elements, 5, "reason"),
    )


def _mark(elements: list[Any]) -> Mark:
    return Mark(_integer(elements, 1, "stamp"))


def _integer(elements: list[Any], index: int, name: str) -> int:
    return _in_range(_element(elements, index, name), name)


def _optional_integer(elements: list[Any], index: int, name: str) -> int | None:
    if len(elements) <= index or elements[index] is None:
        return None
    return _in_range(elements[index], name)


def _in_range(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_INT:
        raise _Field(f"{name} must be an integer from 0 to 2^53 - 1, not {_named(value)}")
    return value


def _text(elements: list[Any], index: int, name: str) -> str:
    value = _element(elements, index, name)
    if type(value) is not str:
        raise _Field(f"{name} must be a string, not {_named(value)}")
    return value


def _text_option(options: dict[str, Any], name: str) -> str | None:
    value = options.get(name)
    if value is not None and type(value) is not str:
        raise _Field(f"option {name} must be a string, not {_named(value)}")
    return value


def _list(elements: list[Any], index: int, name: str) -> list[Any]:
    value = _element(elements, index, name)
    if type(value) is not list:
        raise _Field(f"{name} must be an array, not {_named(value)}")
    return value


def _map(elements: list[Any], index: int, name: str) -> dict[str, Any]:
    value = _element(elements, index, name)
    if type(value) is not dict:
        raise _Field(f"{name} must be a map, not {_named(value)}")
    return value


def _options(elements: list[Any], index: int, name: str = "options") -> dict[str, Any]:
    if len(elements) <= index or elements[index] is None:
        return {}
    return _map(elements, index, name)


def _element(elements: list[Any], index: int, name: str) -> Any:
    if len(elements) <= index:
        raise _Field(f"{name} is required")
    return elements[index]


def _id_of(kind: int, elements: list[Any]) -> int | None:
    """The id of a frame that is refused, where one can be read; an unknown kind is taken to have one."""
    id = elements[1] if len(elements) > 1 and (kind in _WITH_ID or kind not in KIND_NAMES) else None
    return id if type(id) is int and 0 <= id <= MAX_INT else None


def _named(value: Any) -> str:
    """A value in a sentence: what it is, and short."""
    if value is None or isinstance(value, (bool, int, float)):
        return "nil" if value is None else repr(value)
    names: dict[type[Any], str] = {str: "a string", bytes: "bin", list: "an array", dict: "a map"}
    return names.get(type(value), "an extension type")


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
