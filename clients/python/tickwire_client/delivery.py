"""The frame that clients get most, decoded straight into the sections that readers hold."""

from __future__ import annotations

from typing import Any

from tickwire.wire.limits import MAX_INT, MSGPACK
from tickwire.wire.unpack import unpack

from .errors import WireError
from .messages import Section

_INTEGERS = (int, int, int)


def sections_of(frame: bytes, epoch: int) -> tuple[int, list[tuple[int, Section]]]:
    """The stream of a DELIVERY, and its sections with their stamps. Raises WireError."""
    elements = unpack(frame, len(frame))
    stream, raw = elements[1], elements[2]
    if type(stream) is not int or type(raw) is not list:
        raise WireError("bad_field", "DELIVERY: a delivery is [kind, stream, sections]")
    return stream, [_section(section, epoch) for section in raw]


def _section(raw: Any, epoch: int) -> tuple[int, Section]:
    if type(raw) is not list or len(raw) < 5:
        raise WireError("bad_field", "DELIVERY: a section is [topic, first, stamp, time_us, payloads]")
    topic, first, stamp, time_us, payloads = raw[:5]
    if type(topic) is not str or type(payloads) is not list or set(map(type, payloads)) != {bytes}:
        raise WireError("bad_field", "DELIVERY: a section is [topic, first, stamp, time_us, [bin, ...]]")
    if (type(first), type(stamp), type(time_us)) != _INTEGERS or min(first, stamp, time_us) < 0 or first > MAX_INT:
        raise WireError("bad_field", "DELIVERY: first, stamp and time_us of a section are integers from 0 to 2^53 - 1")
    if len(raw) == 5 or type(raw[5]) is not dict:
        return stamp, Section(topic, epoch, first, time_us, payloads, MSGPACK)
    extras = raw[5]
    format, epoch, attempt = extras.get("format", MSGPACK), extras.get("epoch", epoch), extras.get("attempt", 1)
    if (type(format), type(epoch), type(attempt)) != _INTEGERS:
        raise WireError("bad_field", "DELIVERY: format, epoch and attempt of a section are integers")
    return stamp, Section(topic, epoch, first, time_us, payloads, format, attempt)
