"""What the broker sends, element by element: each builder takes a frame's elements and raises FieldError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fields import (
    FieldError,
    array,
    check_payloads,
    in_range,
    integer,
    mapping,
    optional_integer,
    options,
    payload_format,
    text,
)
from .from_either import beat, bye
from .messages import (
    Ack,
    Beat,
    Bye,
    Delivery,
    End,
    Gap,
    Group,
    Groups,
    Join,
    Mark,
    Refreshed,
    Refusal,
    Section,
    Subscribed,
    Unsubscribed,
    Welcome,
)


def _welcome(elements: list[Any]) -> Welcome:
    version, epoch, stamp = (integer(elements, i, name) for i, name in ((1, "version"), (2, "epoch"), (3, "stamp")))
    limits = mapping(elements, 4, "limits")
    for name, limit in limits.items():
        in_range(limit, f"limits {name}")
    return Welcome(version, epoch, stamp, limits, mapping(elements, 5, "capabilities"))


def _subscribed(elements: list[Any]) -> Subscribed:
    return Subscribed(
        integer(elements, 1, "id"),
        integer(elements, 2, "stream"),
        integer(elements, 3, "stamp"),
        optional_integer(elements, 4, "offset"),
    )


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
    epoch, attempt = (
        None if extras.get(name) is None else in_range(extras[name], f"section {name}") for name in ("epoch", "attempt")
    )
    return Section(topic, first, stamp, time_us, payloads, format, epoch, attempt)


def _gap(elements: list[Any]) -> Gap:
    return Gap(
        integer(elements, 1, "stream"),
        text(elements, 2, "topic"),
        optional_integer(elements, 3, "from"),
        optional_integer(elements, 4, "to"),
        text(elements, 5, "reason"),
    )


def _mark(elements: list[Any]) -> Mark:
    return Mark(integer(elements, 1, "stamp"))


def _join(elements: list[Any]) -> Join:
    return Join(integer(elements, 1, "id"), integer(elements, 2, "stamp"))


def _end(elements: list[Any]) -> End:
    return End(integer(elements, 1, "id"))


def _groups(elements: list[Any]) -> Groups:
    return Groups(integer(elements, 1, "id"), [_group(group) for group in array(elements, 2, "groups")])


def _group(group: Any) -> Group:
    if type(group) is not list or len(group) < 5:
        raise FieldError("groups must hold [group, pattern, members, lag, unacked]")
    counts = (integer(group, index, name) for index, name in ((2, "members"), (3, "lag"), (4, "unacked")))
    return Group(text(group, 0, "group"), text(group, 1, "pattern"), *counts)


def _refreshed(elements: list[Any]) -> Refreshed:
    return Refreshed(integer(elements, 1, "id"), optional_integer(elements, 2, "expires_us"))


BUILDERS: dict[int, Callable[[list[Any]], Any]] = {
    Beat.kind: beat,
    Bye.kind: bye,
    Welcome.kind: _welcome,
    Subscribed.kind: _subscribed,
    Unsubscribed.kind: _unsubscribed,
    Ack.kind: _ack,
    Refusal.kind: _refusal,
    Delivery.kind: _delivery,
    Gap.kind: _gap,
    Mark.kind: _mark,
    Join.kind: _join,
    End.kind: _end,
    Groups.kind: _groups,
    Refreshed.kind: _refreshed,
}
