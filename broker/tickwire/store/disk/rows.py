"""Rows and their checksums. A checksum covers a row's fields and whose row it is: one that moved is found too."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import msgpack

from tickwire.core.checksum import crc32
from tickwire.fanout.section import Section

from . import packing

pack = msgpack.Packer().pack

_HEAD = struct.Struct("<qqqqqqI")  # first, end, stamp, time_us, total, size of the data, its checksum

HEAD_COLUMNS = "first, end, stamp, time_us, total, length(data), data_sum, head_sum"
SECTION_COLUMNS = "first, end, stamp, time_us, total, data_sum, head_sum, data"


class Damaged(Exception):
    """A row is not what was written."""


def seed_of(topic: str) -> int:
    """What the checksums of a topic's sections begin with, so that none passes for another topic's."""
    return crc32(topic.encode())


@dataclass(slots=True)
class Head:
    """What is known of a section without reading its data. `total` counts the topic's bytes up to its end."""

    first: int
    end: int
    stamp: int
    time_us: int
    total: int
    size: int


def section_row(seed: int, topic_id: int, section: Section, total: int) -> tuple[Any, ...]:
    """The row of a section, in the order of the columns of `sections` without its id."""
    data = packing.pack(section.data)
    data_sum = crc32(data)
    fields = (section.first, section.end, section.stamp, section.time_us, total)
    return (topic_id, *fields, crc32(_HEAD.pack(*fields, len(data), data_sum), seed), data_sum, data)


def head_of(seed: int, row: tuple[Any, ...]) -> Head:
    """The head in a row of HEAD_COLUMNS. Raises Damaged."""
    *fields, data_sum, head_sum = row
    try:
        if crc32(_HEAD.pack(*fields, data_sum), seed) == head_sum:
            return Head(*fields)
    except (struct.error, TypeError):
        pass
    raise Damaged


def section_of(seed: int, row: tuple[Any, ...]) -> tuple[Section, bool]:
    """The section in a row of SECTION_COLUMNS, and whether its data is sound. Raises Damaged where its head is not."""
    first, end, stamp, time_us, total, data_sum, head_sum, data = row
    try:
        if crc32(_HEAD.pack(first, end, stamp, time_us, total, len(data), data_sum), seed) == head_sum:
            section = Section(first, end, stamp, time_us, 0.0, data)
            return section, crc32(data) == data_sum and _unpack(section)
    except (struct.error, TypeError):
        pass
    raise Damaged


def _unpack(section: Section) -> bool:
    """Whether the data could be unpacked. Its checksum is of what is stored, so that damage is seen before it acts."""
    try:
        section.data = packing.unpack(section.data)
    except packing.Unpackable:
        return False
    return True


def record(table: str, key: object, body: object) -> tuple[bytes, int]:
    """The body and checksum of a row in any other table."""
    packed = pack(body)
    return packed, _record_sum(table, key, packed)


def body_of(table: str, key: object, body: Any, checksum: Any) -> Any:
    """What `record` made a row of. Raises Damaged."""
    if type(body) is bytes and _record_sum(table, key, body) == checksum:
        return msgpack.unpackb(body, strict_map_key=False)
    raise Damaged


def _record_sum(table: str, key: object, body: bytes) -> int:
    return crc32(body, crc32(pack([table, key])))
