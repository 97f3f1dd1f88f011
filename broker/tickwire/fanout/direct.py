"""What is due straight into the sockets of those who take it, by one call for all of a flush."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence

from tickwire.native import native

from .descriptors import OPEN
from .frame import Shared
from .peer import Audience, Peer

NOT_TRIED = -1
_NONE = b"\xff\xff\xff\xff"


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
    data, deflated = shared
    count, live = audience.count, audience.live
    if deflated is not data and audience.plain < count:
        if audience.plain:
            return send_many([(audience, shared, None)])
        data = deflated
    assert native is not None
    _room.make(count)
    places, went = _room.places, _room.went
    left = native.tickwire_send_to_all(_at(OPEN), audience.slots_at, count, data, len(data), _at(places), _at(went))
    return [(0, live[place], bytes) for place, bytes in zip(places[:left], went[:left], strict=True)]


def send_many(groups: Sequence[tuple[Audience, Shared, object]]) -> list[tuple[int, Peer, int]]:
    """Send several frames, each to its audience: what a peer is due of them leaves in one write, in their order.

    Gives back who has not got all of it: for each of the groups that a peer is in, the number of the group, the peer,
    and how many bytes of all that it is due went, or NOT_TRIED.
    """
    frames: list[bytes] = []
    parts: list[int] = []  # of each frame where the slots of its peers stand, and how many they are
    which: list[tuple[int, int]] = []  # of each frame its group, and the place of its first peer in the audience
    total = 0
    for number, (audience, (plain, deflated), _) in enumerate(groups):
        count = audience.count
        total += count
        if deflated is plain:
            frames.append(plain)
            parts += (audience.slots_at, count)
            which.append((number, 0))
            continue
        inflating_from = audience.plain
        if inflating_from:
            frames.append(plain)
            parts += (audience.slots_at, inflating_from)
            which.append((number, 0))
        if inflating_from < count:
            frames.append(deflated)
            parts += (audience.slots_at + 4 * inflating_from, count - inflating_from)
            which.append((number, inflating_from))
    return _fan_out(groups, frames, array("Q", parts), which, total)


def send(peer: Peer, data: bytes) -> int:
    """Send to one peer of whom nothing waits; returns the bytes that went. Where all did, it is direct from here on."""
    if native is None or peer.descriptor < 0:
        return 0
    went: int = native.tickwire_send(peer.descriptor, data, len(data))
    if went == len(data):
        OPEN[peer.slot] = peer.descriptor
    return went


def _fan_out(
    groups: Sequence[tuple[Audience, Shared, object]],
    frames: list[bytes],
    parts: array[int],
    which: list[tuple[int, int]],
    count: int,
) -> list[tuple[int, Peer, int]]:
    assert native is not None
    _room.make(count)
    _room.make_slots()
    links, places, went = _at(_room.links), _room.places, _room.went
    left = native.tickwire_fan_out(
        _at(OPEN),
        frames,
        _at(parts),
        len(frames),
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
    for part, place, bytes in zip(_room.parts[:left], places[:left], went[:left], strict=True):
        number, start = which[part]
        found.append((number, groups[number][0].live[start + place], bytes))
    return found


def _at(numbers: array[int]) -> int:
    """Where the numbers of an array stand."""
    return numbers.buffer_info()[0]
