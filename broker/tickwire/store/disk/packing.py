"""The data of a section as it lies on disk: packed by LZ4 where that makes it clearly smaller."""

from __future__ import annotations

import lz4.block

# Real prices as JSON become a third (100 of 64 bytes) to a fifth (100 of 1,024) at 1.3 to 1.8 GB/s, and come back at
# 5 GB/s; what does not pack is found out at 9 GB/s. That is less than the disk's time for the bytes saved.
_WORTH_BYTES = 512  # below it a page of the database holds several anyway
_PACKED = b"\xc1"  # no msgpack begins with it, so a section that is not packed needs no mark
_SIZE_BYTES = 4  # of the data, before the block: little-endian
_LARGEST = 16 << 20  # no section is near it: so much and no more is asked of the memory, whatever the disk says


class Unpackable(Exception):
    """The bytes are not what `pack` made."""


def pack(data: bytes) -> bytes:
    """The bytes to store for a section's data."""
    if len(data) < _WORTH_BYTES:
        return data
    packed: bytes = lz4.block.compress(data)
    return _PACKED + packed if len(packed) < len(data) - len(data) // 8 else data


def unpack(stored: bytes) -> bytes:
    """The section's data again. Raises Unpackable."""
    if stored[:1] != _PACKED:
        return stored
    block = memoryview(stored)[1:]
    if int.from_bytes(block[:_SIZE_BYTES], "little") > _LARGEST:
        raise Unpackable
    try:
        data: bytes = lz4.block.decompress(block)
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise Unpackable from error
    return data
