"""PUBLISH frames of one message that nobody waits for: what most publishers send that do not batch."""

from __future__ import annotations

from itertools import islice

_BEGIN = b"\x93\x04\xc0\x91\x92"  # [4, nil, [[: a PUBLISH without an id, of one run with a topic and its payloads
_TOPIC_AT = len(_BEGIN)


def split_single(frame: bytes) -> tuple[bytes, bytes] | None:
    """The frame up to its payload's header, and the payload; None where it is no such frame.

    It says so of some frames that are none. A head stands for a topic once a frame with it was decoded and had that one
    payload: all of msgpack's tokens up to there are the same in any other frame with that head, and the payload ends it.
    """
    size = len(frame)
    if size < 10 or not frame.startswith(_BEGIN):
        return None
    text = frame[_TOPIC_AT]
    at = _TOPIC_AT + 1 + (text & 31 if text != 0xD9 else 1 + frame[_TOPIC_AT + 1])
    if at + 3 > size:
        return None
    at += 3 if frame[at] == 0xDC else 1  # the array of payloads
    kind = frame[at] if at + 1 < size else 0
    if kind == 0xC4:
        start = at + 2
        end = start + frame[at + 1]
    elif kind == 0xC5 and at + 2 < size:
        start = at + 3
        end = start + (frame[at + 1] << 8 | frame[at + 2])
    else:
        return None
    return (frame[:at], frame[start:]) if end == size else None


def singles_behind(head: bytes, frames: list[bytes], start: int, limit: int) -> list[bytes]:
    """The payloads of those from `start` on that have the same head, as far as none is over a limit."""
    payloads: list[bytes] = []
    at = len(head)
    for frame in islice(frames, start, None):
        if not frame.startswith(head):
            break
        size = len(frame)
        kind = frame[at] if at + 1 < size else 0
        if kind == 0xC4 and frame[at + 1] == size - at - 2:
            payload = frame[at + 2 :]
        elif kind == 0xC5 and at + 2 < size and (frame[at + 1] << 8 | frame[at + 2]) == size - at - 3:
            payload = frame[at + 3 :]
        else:
            break
        if len(payload) > limit:
            break
        payloads.append(payload)
    return payloads
