"""What is due straight into the sockets of those who take it, by one call for all of a flush."""

from __future__ import annotations

import ctypes
import threading
from array import array
from dataclasses import dataclass

from tickwire.native import native

from .descriptors import OPEN
from .frame import Shared
from .peer import Audience, Peer

NOT_TRIED = -1
_NONE = b"\xff\xff\xff\xff"


class _Part(ctypes.Structure):
    """A frame for many, as the library reads it."""

    _fields_ = (
        ("slots", ctypes.c_void_p),
        ("count", ctypes.c_uint64),
        ("data", ctypes.c_char_p),
        ("size", ctypes.c_uint64),
    )


class _Room(threading.local):
    """What the library writes into, for so many frames to peers. Two threads may have a broker each."""

    def __init__(self) -> None:
        self.first, self.last = array("I"), array("I")  # by slot
        self.links = array("I")  # three of each
        self.parts, self.places, self.went = array("I"), array("I"), array("q")

    def make(self, count: int) -> None:
        if count > len(self.went):
            self.links = array("I", bytes(12 * count))
            self.parts, self.places = array("I", bytes(4 * count)), array("I", bytes(4 * count))
            self.went = array("q", bytes(8 * count))

    def make_slots(self) -> None:
        if len(self.first) < len(OPEN):
            self.first, self.last = array("I", _NONE * len(OPEN)), array("I", bytes(4 * len(OPEN)))


_room = _Room()


def send_to_all(audience: Audience, shared: Shared) -> list[tuple[int, Peer, int]]:
    """Send a frame to all of an audience who take it at once. Gives back what `send_many` does."""
    parts = _parts(0, audience, shared)
    if len(parts) > 1:
        return _fan_out(parts)
    assert native is not None
    count, data, live = len(audience.live), parts[0].data, audience.live
    _room.make(count)
    places, went = _room.places, _room.went
    left = native.tickwire_send_to_all(_at(OPEN), _at(audience.slots), count, data, len(data), _at(places), _at(went))
    return [(0, live[place], bytes) for place, bytes in zip(places[:left], went[:left], strict=True)]


@dataclass(slots=True)
class _Due:
    """A frame, and which of an audience get it."""

    group: int
    audience: Audience
    start: int
    count: int
    data: bytes

    def as_part(self) -> _Part:
        return _Part(_at(self.audience.slots) + 4 * self.start, self.count, self.data, len(self.data))


def send_many(groups: list[tuple[Audience, Shared]]) -> list[tuple[int, Peer, int]]:
    """Send several frames, each to its audience: what a peer is due of them leaves in one write, in their order.

    Gives back who has not got all of it: for each of the groups that a peer is in, the number of the group, the peer,
    and how many bytes of all that it is due went, or NOT_TRIED.
    """
    return _fan_out([due for number, group in enumerate(groups) for due in _parts(number, *group)])


def send(peer: Peer, data: bytes) -> int:
    """Send to one peer of whom nothing waits; returns the bytes that went. Where all did, it is direct from here on."""
    if native is None or peer.descriptor < 0:
        return 0
    went: int = native.tickwire_send(peer.descriptor, data, len(data))
    if went == len(data):
        OPEN[peer.slot] = peer.descriptor
    return went


def _parts(group: int, audience: Audience, shared: Shared) -> list[_Due]:
    plain, count = audience.plain, len(audience.live)
    if shared.deflated is shared.plain or plain == count:
        return [_Due(group, audience, 0, count, shared.plain)]
    inflating = _Due(group, audience, plain, count - plain, shared.deflated)
    return [_Due(group, audience, 0, plain, shared.plain), inflating] if plain else [inflating]


def _fan_out(parts: list[_Due]) -> list[tuple[int, Peer, int]]:
    assert native is not None
    count = sum([part.count for part in parts])
    _room.make(count)
    _room.make_slots()
    asked = (_Part * len(parts))(*[part.as_part() for part in parts])
    links, places, went = _at(_room.links), _room.places, _room.went
    left = native.tickwire_fan_out(
        _at(OPEN),
        asked,
        len(parts),
        _at(_room.first),
        _at(_room.last),
        links,
        links + 4 * count,
        links + 8 * count,
        _at(_room.parts),
        _at(places),
        _at(went),
    )
    found = []
    for number, place, bytes in zip(_room.parts[:left], places[:left], went[:left], strict=True):
        part = parts[number]
        found.append((part.group, part.audience.live[part.start + place], bytes))
    return found


def _at(numbers: array[int]) -> int:
    """Where the numbers of an array stand."""
    return numbers.buffer_info()[0]
