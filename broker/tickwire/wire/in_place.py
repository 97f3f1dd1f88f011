"""A PUBLISH of one run of large payloads, read without taking them apart."""

from __future__ import annotations

from .decode import decode_from_client
from .encoded import Encoded, encoded_at
from .errors import WireError
from .limits import FRAME_MESSAGES
from .messages import Publish
from .plain import topic_end

# Bytes of a frame, and of a payload, from which it pays. From the frame to the section, with its checksum, this is
# 1.08 times the work of decoding at 16 payloads of 1,024 bytes, 0.75 at one of 65,000, and half of it at 100 of 1,024.
WORTH_FRAME_BYTES, WORTH_BYTES = 24 << 10, 384
_ID_BYTES = {0xC0: 1, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9}
_ONE_EMPTY = b"\x91\xc4\x00"  # stands for the payloads while the rest of the frame is decoded
_ROOM = 320  # for all that stands before the payloads, which is 18 bytes and a topic of 255 at most


def publish_in_place(frame: bytes) -> Publish | None:
    """The frame with its payloads where they are; None where it is another, or is to be decoded as all others are.

    What stands around the payloads is decoded as it is in every frame, so nothing that is wrong passes here.
    """
    at = _payloads_at(frame[:_ROOM]) if len(frame) >= WORTH_FRAME_BYTES else None
    payloads = None if at is None else _payloads(frame, at)
    if payloads is None:
        return None
    try:
        publish = decode_from_client(b"".join((frame[:at], _ONE_EMPTY, frame[payloads.ends[-1] :])))
    except WireError:
        return None
    assert type(publish) is Publish
    publish.runs[0].payloads = payloads
    return publish


def _payloads(frame: bytes, at: int) -> Encoded | None:
    """Those of the array that stands there, if they are large."""
    header, count, start = frame[at], 0, at + 1
    if header >> 4 == 0x9:
        count = header & 0xF
    elif header == 0xDC:
        count, start = int.from_bytes(frame[start : start + 2], "big"), start + 2
    if not 0 < count <= min(FRAME_MESSAGES, len(frame) // WORTH_BYTES):
        return None
    return encoded_at(frame, start, count)


def _payloads_at(head: bytes) -> int | None:
    """Where the payloads of a PUBLISH of one run begin, of which this is the head."""
    if head[0] not in (0x93, 0x94) or head[1] != Publish.kind:
        return None
    id = head[2]
    id_bytes = 1 if id < 0x80 else _ID_BYTES.get(id)
    if id_bytes is None:
        return None
    at = 2 + id_bytes
    if head[at] != 0x91 or head[at + 1] not in (0x92, 0x93):
        return None
    return topic_end(head, at + 2)
