"""What the broker would refuse is refused here, before it is sent."""

from __future__ import annotations

from functools import lru_cache
from inspect import iscoroutinefunction

from tickwire.wire import topics
from tickwire.wire.encode import encode_runs
from tickwire.wire.errors import PayloadTooLarge, TooManyMessages
from tickwire.wire.fields import FieldError, checked_name
from tickwire.wire.limits import MAX_INT

from .errors import Refused
from .limits import Limits
from .runs import MESSAGE_BYTES, RUN_BYTES, Run, Runs

_DAY_S = 86_400


def check_topic(topic: str) -> None:
    """Raise Refused unless a client may publish to this topic."""
    try:
        _check_topic(topic)
    except TypeError:
        raise TypeError(f"a topic is a str such as 'prices.AAPL', not {type(topic).__name__}") from None


@lru_cache(maxsize=1 << 16)
def _check_topic(topic: str) -> None:
    if not isinstance(topic, str):
        raise TypeError
    topics.check_topic(topic)
    if topics.is_reserved(topic):
        raise Refused("reserved_topic", f"topic {topic!r} starts with '$': it belongs to the broker")


def check_pattern(pattern: str) -> None:
    """Raise Refused unless a client may subscribe to this pattern."""
    if not isinstance(pattern, str):
        text = f"a pattern is a str such as 'prices.AAPL' or 'prices.*', not {type(pattern).__name__}"
        raise TypeError(text)
    topics.check_pattern(pattern)


def check_message(topic: str, payload: bytes, format: int, limits: Limits) -> None:
    """Raise Refused where the broker takes no such topic, or no payload as large as this."""
    _check_payload(payload, limits)
    check_topic(topic)
    if len(payload) + MESSAGE_BYTES + RUN_BYTES > limits.frame_bytes:
        size = len(encode_runs(MAX_INT, [Run(topic, format).elements([payload])]))
        if size > limits.frame_bytes:
            raise PayloadTooLarge(len(payload), limits.frame_bytes - (size - len(payload)))


def _check_payload(payload: bytes, limits: Limits) -> None:
    if len(payload) > limits.payload_bytes:
        raise PayloadTooLarge(len(payload), limits.payload_bytes)


def too_large_now(size: int, limits: Limits) -> Refused:
    """What becomes of a frame that this broker does not take, though the one before it did."""
    text = f"a frame of {size} bytes exceeds the limit frame_bytes of {limits.frame_bytes}"
    return Refused("frame_too_large", text, {"size": size, "limit": limits.frame_bytes})


def check_batch(messages: Runs, limits: Limits) -> None:
    """Raise Refused, with the limit's name, where these are more than one frame holds."""
    if len(messages) > limits.frame_messages:
        raise TooManyMessages(len(messages), limits.frame_messages)
    largest = max([run.largest for run in messages.runs], default=0)
    if largest > limits.payload_bytes:
        raise PayloadTooLarge(largest, limits.payload_bytes)
    payloads = sum([sum(map(len, run.payloads)) for run in messages.runs])
    size = payloads + MESSAGE_BYTES * len(messages) + RUN_BYTES * len(messages.runs)
    if size > limits.frame_bytes:
        text = f"batch of about {size} bytes exceeds the limit frame_bytes of {limits.frame_bytes}"
        raise Refused("frame_too_large", text, {"size": size, "limit": limits.frame_bytes})


def check_name(name: str, what: str) -> None:
    """Raise ValueError where this is no name of a publisher or a group."""
    if not isinstance(name, str):
        raise TypeError(f"{what} is a str, not {type(name).__name__}")
    try:
        checked_name(name, what)
    except FieldError as error:
        raise ValueError(f"{error}, and {name!r} is not") from None


def check_count(value: object, name: str, most: int) -> None:
    """Raise ValueError unless it is a whole number from 1 on."""
    if type(value) is not int or not 1 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most:,}, not {value!r}")


def check_seconds(value: object, name: str) -> None:
    """Raise ValueError unless it is a time that one can wait."""
    if type(value) not in (int, float) or not 0.001 <= value <= _DAY_S:  # type: ignore[operator]
        raise ValueError(f"{name} must be seconds, from 0.001 to {_DAY_S:,} (a day), not {value!r}")


def check_callback(value: object, name: str) -> None:
    """Raise TypeError unless it is None, or can be called and has done its work when it returns."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a function, not {type(value).__name__}")
    if iscoroutinefunction(value):
        raise TypeError(f"{name} must be an ordinary function: nobody would await this one")
