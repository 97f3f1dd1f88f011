"""Plain PUBLISH frames: of one run, and nobody waits for them. What publishers send that want to be fast."""

from __future__ import annotations

import ctypes
import threading
from array import array
from collections.abc import Mapping, Sequence
from typing import TypeVar

from tickwire.native import native

from .encoded import Encoded
from .errors import WireError
from .limits import FRAME_MESSAGES
from .unpack import FROM_CLIENT, unpack

_BEGIN = b"\x93\x04\xc0\x91\x92"  # [4, nil, [[: a PUBLISH without an id, of one run with a topic and its payloads
_TOPIC_AT = len(_BEGIN)
_SHORTEST = _TOPIC_AT + 4
_SMALL_SINGLE = b"\x91\xc4"  # one message, of less than 256 bytes
_BYTES_ONLY = {bytes}
_ROW = 4  # frames of one topic, from which they are taken at once
T = TypeVar("T")
# Of single messages: topics, the payloads of each and their bytes, and where the first frame is that is none of one.
Apart = tuple[list[T], list[list[bytes]], Sequence[int], int]
_APART = 4_096  # frames that are taken apart at once, at most
_TOGETHER = 2 * FRAME_MESSAGES  # payloads that are taken at once, at most
# Bytes a payload up to which joining them is the fastest way to see that all are bytes, and how many: 0.7 us for 64 of
# 64, where two looks at each take 3.
_SMALL = 512


def head_of(frame: bytes) -> bytes | None:
    """What stands before the payloads of a plain frame; None where it is none.

    The arrays it opens have room for the payloads and nothing else, so a frame is one if it has such a head and behind
    it an array of payloads to its end. Whether the topic is one is not looked at.
    """
    if len(frame) < _SHORTEST or not frame.startswith(_BEGIN):
        return None
    end = topic_end(frame, _TOPIC_AT)
    return None if end is None else frame[:end]


def topic_end(frame: bytes, at: int) -> int | None:
    """Where the topic ends that begins there; None where something else does, or a string of more than 255 bytes."""
    text = frame[at]
    if text >> 5 == 0b101:  # a string of less than 32 bytes
        return at + 1 + (text & 31)
    return at + 2 + frame[at + 1] if text == 0xD9 else None


class _Found(ctypes.Structure):
    """What the library found."""

    _fields_ = (("behind", ctypes.c_uint64), ("count", ctypes.c_uint64), ("size", ctypes.c_uint64))


class _Room(threading.local):
    """What the library writes into. Two threads may have a broker each."""

    def __init__(self) -> None:
        self.ends = array("I", bytes(4 * _TOGETHER))
        self.found = _Found()
        self.sizes = array("Q", bytes(8 * _APART))


_room = _Room()


def payloads_behind(
    head: bytes, frames: list[bytes], start: int, longest: int, most: int
) -> tuple[Sequence[bytes], int, int]:
    """The payloads of the frames from `start` on that have the head, their bytes, and where the first has it not.

    A frame ends them too whose rest is not one array of payloads, or that has more than `longest` bytes or `most`
    payloads. Where the C library is there they are not taken apart.
    """
    if native is None:
        return payloads_in_python(head, frames, start, longest, most)
    ends, found = _room.ends, _room.found
    found.behind = start
    data = native.tickwire_plain_payloads(
        frames, head, len(head), longest, most, ends.buffer_info()[0], _TOGETHER, ctypes.addressof(found)
    )
    count, size = found.count, found.size
    return Encoded(data, 0, ends[:count], size) if count else [], size, found.behind


def apart(frames: list[bytes], start: int, longest: int, heads: Mapping[bytes, T]) -> Apart[T]:
    """The payloads of single messages by what their heads stand for, and where the first frame is that is none of one.

    A head that has no such thing ends them too, a frame of more than `longest` bytes, and several of one head in a row:
    `payloads_behind` takes those at once.
    """
    if native is None:
        return apart_in_python(frames, start, longest, heads)
    topics: list[T] = []
    runs: list[list[bytes]] = []
    sizes = _room.sizes
    behind = native.tickwire_apart(frames, start, longest, heads, topics, runs, sizes.buffer_info()[0])
    return topics, runs, sizes[: len(topics)], behind


def apart_in_python(frames: list[bytes], start: int, longest: int, heads: Mapping[bytes, T]) -> Apart[T]:
    """The same, where the C library is not there."""
    runs: dict[T, list[bytes]] = {}
    before, row, behind = None, 0, min(len(frames), start + _APART)
    for number in range(start, behind):
        frame = frames[number]
        at = _payload_at(frame) if len(frame) <= longest else 0
        topic = heads.get(frame[: at - 3]) if at else None
        row = row + 1 if topic is before else 0
        if topic is None or row == _ROW:
            behind = number
            break
        run = runs.get(topic)
        if run is None:
            runs[topic] = [frame[at:]]
        else:
            run.append(frame[at:])
        before = topic
    return list(runs), list(runs.values()), [sum(map(len, run)) for run in runs.values()], behind


def _payload_at(frame: bytes) -> int:
    """Where the payload of a single message of less than 256 bytes stands; 0 where the frame is none of one."""
    size = len(frame)
    if size < _SHORTEST or not frame.startswith(_BEGIN) or frame[_TOPIC_AT] >> 5 != 0b101:
        return 0
    at = _TOPIC_AT + 1 + (frame[_TOPIC_AT] & 31)
    behind = size - at - 3
    return at + 3 if behind >= 0 and frame[at : at + 2] == _SMALL_SINGLE and frame[at + 2] == behind else 0


def payloads_in_python(
    head: bytes, frames: list[bytes], start: int, longest: int, most: int
) -> tuple[list[bytes], int, int]:
    """The same, where the C library is not there."""
    payloads: list[bytes] = []
    append, at, total = payloads.append, len(head), 0
    for number in range(start, len(frames)):
        frame = frames[number]
        size = len(frame)
        if size > longest or size < at + 3 or not frame.startswith(head):
            return payloads, total, number
        # One message and a payload of less than 256 bytes: most frames of those who do not batch.
        behind_size = size - at - 3
        if frame[at] == 0x91 and frame[at + 1] == 0xC4 and frame[at + 2] == behind_size:
            append(frame[at + 3 :])
            total += behind_size
        elif (found := _array(frame[at:])) is not None and len(found[0]) <= most:
            payloads += found[0]
            total += found[1]
        else:
            return payloads, total, number
    return payloads, total, len(frames)


def _array(data: bytes) -> tuple[list[bytes], int] | None:
    """The elements of an array of payloads that is all of `data`, and their bytes; or None."""
    try:
        payloads = unpack(data, FRAME_MESSAGES, FROM_CLIENT)
    except WireError:
        return None
    if type(payloads) is not list:
        return None
    if len(data) > _SMALL * len(payloads):  # so an array of none is not one of payloads
        return (payloads, sum(map(len, payloads))) if set(map(type, payloads)) == _BYTES_ONLY else None
    try:
        return payloads, len(b"".join(payloads))
    except TypeError:
        return None
