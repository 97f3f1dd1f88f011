"""What a client sends, element by element: each builder takes a frame's elements and raises FieldError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fields import (
    FieldError,
    array,
    check_payloads,
    checked_name,
    flag_option,
    in_range,
    integer,
    integer_option,
    name_option,
    named,
    optional_integer,
    options,
    payload_format,
    text,
    text_option,
)
from .from_either import beat, bye
from .limits import MAX_INT, MSGPACK, POSITIONS, RANGES
from .messages import (
    Beat,
    Bye,
    Consume,
    Consumed,
    Extended,
    Hello,
    List,
    Publish,
    Refresh,
    Returned,
    Run,
    Subscribe,
    Unsubscribe,
    Window,
)

_STARTS = {"earliest": 0, "last": 0, "time": 1, "offset": 2}  # the integers that follow each in `since`


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
        name_option(given, "publisher"),
        integer_option(given, "incarnation"),
        [_hello_subscription(subscription) for subscription in subscriptions],
    )


def _hello_subscription(elements: Any) -> Subscribe:
    if type(elements) is not list:
        raise FieldError(f"option subscriptions must hold arrays, not {named(elements)}")
    return _subscribe([Subscribe.kind, *elements])


def _subscribe(elements: list[Any]) -> Subscribe:
    id, pattern = integer(elements, 1, "id"), text(elements, 2, "pattern")
    given = options(elements, 3)
    if not given:
        return Subscribe(id, pattern)
    subscribe = Subscribe(
        id,
        pattern,
        _seen(given.get("seen")),
        _positions(given.get("positions")),
        _since(given.get("since")),
        flag_option(given, "once"),
        name_option(given, "group"),
    )
    _check_together(subscribe)
    return subscribe


def _check_together(subscribe: Subscribe) -> None:
    """Raise FieldError where options contradict each other: they would be taken for something else than was meant."""
    if subscribe.positions is not None and subscribe.seen is None:
        raise FieldError("option positions is only for a resume, with option seen")
    if subscribe.group is not None and (subscribe.seen or subscribe.since or subscribe.once):
        raise FieldError("option group is for what comes from now on, without options seen, since and once")


def _seen(seen: Any) -> tuple[int, int] | None:
    if seen is None:
        return None
    if type(seen) is not list or len(seen) < 2:
        raise FieldError("option seen must be [epoch, stamp]")
    return in_range(seen[0], "seen epoch"), in_range(seen[1], "seen stamp")


def _positions(positions: Any) -> list[tuple[str, int]] | None:
    if positions is None:
        return None
    if type(positions) is not list or len(positions) > POSITIONS:
        raise FieldError(f"option positions must be an array of at most {POSITIONS}")
    for position in positions:
        if type(position) is not list or len(position) < 2 or type(position[0]) is not str:
            raise FieldError("option positions must hold [topic, offset]")
    return [(position[0], in_range(position[1], "position offset")) for position in positions]


def _since(since: Any) -> tuple[str | int, ...] | None:
    if since is None:
        return None
    word = since[0] if type(since) is list and since else None
    count = _STARTS.get(word) if type(word) is str else None
    if count is None or len(since) <= count:
        raise FieldError("option since must be [earliest], [last], [time, time_us] or [offset, epoch, offset]")
    return since[0], *(in_range(number, "option since") for number in since[1 : 1 + count])


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
    if len(elements) == 3:
        return Publish(id, [_run(run) for run in runs])
    given = options(elements, 3)
    sequence, retry = integer_option(given, "sequence"), flag_option(given, "retry")
    return Publish(id, [_run(run) for run in runs], sequence, retry)


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


def _consume(elements: list[Any]) -> Consume:
    id, pattern = integer(elements, 1, "id"), text(elements, 2, "pattern")
    group = checked_name(text(elements, 3, "group"), "group")
    max_unacked = _max_unacked(elements, 4)
    given = options(elements, 5)
    timeout, attempts = integer_option(given, "ack_timeout_ms"), integer_option(given, "attempts")
    if timeout == 0 or attempts == 0:
        raise FieldError("options ack_timeout_ms and attempts must be at least 1")
    return Consume(id, pattern, group, max_unacked, timeout, attempts)


def _max_unacked(elements: list[Any], index: int) -> int:
    max_unacked = integer(elements, index, "max_unacked")
    if not max_unacked:
        raise FieldError("max_unacked must be at least 1")
    return max_unacked


def _window(elements: list[Any]) -> Window:
    return Window(integer(elements, 1, "id"), _max_unacked(elements, 2))


def _consumed(elements: list[Any]) -> Consumed:
    return Consumed(integer(elements, 1, "id"), _ranges(elements))


def _returned(elements: list[Any]) -> Returned:
    return Returned(integer(elements, 1, "id"), _ranges(elements), optional_integer(elements, 3, "delay_ms"))


def _extended(elements: list[Any]) -> Extended:
    id, ranges = integer(elements, 1, "id"), _ranges(elements)
    return Extended(id, ranges, flag_option(options(elements, 3), "waiting"))


def _ranges(elements: list[Any]) -> list[tuple[str, int, int]]:
    ranges = array(elements, 2, "ranges")
    if not 0 < len(ranges) <= RANGES:
        raise FieldError(f"ranges must be an array of 1 to {RANGES}")
    return [_range(each) for each in ranges]


def _range(each: Any) -> tuple[str, int, int]:
    if type(each) is not list or len(each) < 3 or type(each[0]) is not str:
        raise FieldError("ranges must hold [topic, from, to]")
    start, end = in_range(each[1], "range from"), in_range(each[2], "range to")
    if start >= end:
        raise FieldError(f"range from must be below range to, and {start} is not below {end}")
    return each[0], start, end


def _list(elements: list[Any]) -> List:
    return List(integer(elements, 1, "id"))


def _refresh(elements: list[Any]) -> Refresh:
    return Refresh(integer(elements, 1, "id"), text(elements, 2, "token"))


BUILDERS: dict[int, Callable[[list[Any]], Any]] = {
    Hello.kind: _hello,
    Subscribe.kind: _subscribe,
    Unsubscribe.kind: _unsubscribe,
    Publish.kind: _publish,
    Beat.kind: beat,
    Bye.kind: bye,
    Consume.kind: _consume,
    Consumed.kind: _consumed,
    Returned.kind: _returned,
    Window.kind: _window,
    Extended.kind: _extended,
    List.kind: _list,
    Refresh.kind: _refresh,
}
