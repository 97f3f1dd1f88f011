"""Bytes to messages. What does not fit raises WireError with the code, the sentence, and what could be read of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from . import from_broker, from_client
from .errors import WireError
from .fields import FieldError, named
from .limits import FRAME_MESSAGES, MAX_INT
from .messages import (
    KIND_NAMES,
    Consume,
    Consumed,
    End,
    Extended,
    FromBroker,
    FromClient,
    Groups,
    Join,
    List,
    Message,
    Publish,
    Refresh,
    Refreshed,
    Returned,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Window,
)
from .unpack import FROM_CLIENT, unpack

_MAX_ARRAY = FRAME_MESSAGES * 2
_Builders = dict[int, Callable[[list[Any]], Any]]

_FROM_EITHER: _Builders = from_client.BUILDERS | from_broker.BUILDERS
# The kinds that have an id as their first element.
_WITH_ID = {
    *(Subscribe.kind, Unsubscribe.kind, Publish.kind, Consume.kind, Consumed.kind, Returned.kind, List.kind),
    *(Window.kind, Extended.kind, Refresh.kind),
    *(Subscribed.kind, Unsubscribed.kind, Join.kind, End.kind, Groups.kind, Refreshed.kind),
}


def decode_from_client(data: bytes) -> FromClient:
    """What a client sent. Raises WireError: `bad_frame`, `unknown_kind` or `bad_field`."""
    message: FromClient = _decode(data, from_client.BUILDERS, _MAX_ARRAY, FROM_CLIENT)
    return message


def decode_from_broker(data: bytes) -> FromBroker | None:
    """What the broker sent, or None for a kind that this version does not know. Raises WireError."""
    try:
        return cast(FromBroker, _decode(data, from_broker.BUILDERS, len(data)))
    except WireError as error:
        if error.code == "unknown_kind":
            return None
        raise


def decode(data: bytes) -> Message:
    """Whatever either side may send; for people and tools."""
    return cast(Message, _decode(data, _FROM_EITHER, len(data)))


def _decode(data: bytes, builders: _Builders, max_array: int, bounds: tuple[int, int] | None = None) -> Any:
    elements = unpack(data, max_array, bounds)
    if type(elements) is not list or not elements:
        raise WireError("bad_frame", "a frame is a msgpack array that starts with its kind")
    kind = elements[0]
    if type(kind) is not int:
        raise WireError("bad_frame", f"a frame starts with its kind, an integer, not {named(kind)}")
    build = builders.get(kind)
    if build is None:
        name = KIND_NAMES.get(kind)
        which = f"kind {kind} ({name}) is not sent in this direction" if name else f"there is no frame of kind {kind}"
        raise WireError("unknown_kind", which, kind, _id_of(kind, elements))
    try:
        return build(elements)
    except FieldError as field:
        raise WireError("bad_field", f"{KIND_NAMES[kind]}: {field}", kind, _id_of(kind, elements)) from None


def _id_of(kind: int, elements: list[Any]) -> int | None:
    """The id of a frame that is refused, where one can be read; an unknown kind is taken to have one."""
    id = elements[1] if len(elements) > 1 and (kind in _WITH_ID or kind not in KIND_NAMES) else None
    return id if type(id) is int and 0 <= id <= MAX_INT else None
