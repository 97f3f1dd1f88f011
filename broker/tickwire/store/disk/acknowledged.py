"""How far commits were answered: a few bytes written after each. A database that ends before them has lost something.

They are not synced: a power cut may leave older ones, which say less and nothing wrong. A killed process leaves them.
"""

from __future__ import annotations

import struct

from tickwire.core.checksum import crc32

from .rows import Damaged

_FIELDS = struct.Struct(">4sQQ")
_SUM = struct.Struct(">I")
_MAGIC = b"TWA1"


def encode_acknowledged(epoch: int, serial: int) -> bytes:
    fields = _FIELDS.pack(_MAGIC, epoch, serial)
    return fields + _SUM.pack(crc32(fields))


def decode_acknowledged(data: bytes) -> tuple[int, int]:
    """The epoch, and the serial number of the last commit that was answered. Raises Damaged."""
    fields = data[: _FIELDS.size]
    if len(data) != _FIELDS.size + _SUM.size or _SUM.pack(crc32(fields)) != data[_FIELDS.size :]:
        raise Damaged
    magic, epoch, serial = _FIELDS.unpack(fields)
    if magic != _MAGIC:
        raise Damaged
    return epoch, serial
