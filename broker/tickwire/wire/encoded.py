"""Payloads as they stand in a frame: encoded one behind the other, and not taken apart.

A section wants them in the same bytes, so a batch of large ones needs no object and no copy for each of them on its way
from the frame of its publisher to the section.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from struct import Struct
from struct import error as struct_error
from typing import overload

import msgpack

from tickwire.native import native

from .encode import array_header, pack

_KIND_AND_SIZE = Struct(">BH").unpack_from  # of a payload; where its size is one byte, the second is of the payload
_BIN8, _BIN16, _BIN32 = 0xC4, 0xC5, 0xC6
_UINT32 = Struct(">I").unpack_from


class Encoded(Sequence[bytes]):
    """The payloads whose headers and bytes stand in `data` from `start` on; `ends` is where each of them ends.

    Each has the shortest header that it can have, so that they are what `encode` makes of the same payloads.
    """

    __slots__ = ("data", "ends", "size", "start")

    def __init__(self, data: bytes, start: int, ends: Sequence[int], size: int) -> None:
        """`size` is that of the payloads without their headers, in bytes."""
        self.data, self.start, self.ends, self.size = data, start, ends, size

    @classmethod
    def of(cls, payloads: Sequence[bytes]) -> Encoded:
        """Payloads that are objects. Encoded ones are given back as they are."""
        if isinstance(payloads, cls):
            return payloads
        start = len(array_header(len(payloads)))
        ends = list(accumulate(map(_encoded_size, payloads), initial=start))[1:]
        return cls(pack(payloads), start, ends, sum(map(len, payloads)))

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[bytes]:
        payloads: list[bytes] = msgpack.unpackb(b"".join((array_header(len(self)), self.view)))
        return iter(payloads)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        return list(self)[index]

    @property
    def view(self) -> memoryview:
        """All of their bytes, with the headers."""
        return memoryview(self.data)[self.start : self.ends[-1]]


def encoded_at(data: bytes, start: int, count: int) -> Encoded | None:
    """The `count` payloads that stand there; None where something else does, or one with a longer header than it needs,
    or where the last is empty and nothing follows it.
    """
    if native is None:
        return encoded_in_python(data, start, count)
    ends = array("I", bytes(4 * count))
    size = native.tickwire_payload_ends(data, len(data), start, count, ends.buffer_info()[0])
    return None if size < 0 else Encoded(data, start, ends, size)


def encoded_in_python(data: bytes, start: int, count: int) -> Encoded | None:
    """The same, where the C library is not there."""
    ends: list[int] = []
    push, at, headers = ends.append, start, 3 * count
    try:
        for _ in range(count):
            kind, size = _KIND_AND_SIZE(data, at)
            if kind == _BIN16 and size > 0xFF:
                at += 3 + size
            elif kind == _BIN8:
                at += 2 + (size >> 8)
                headers -= 1
            elif kind == _BIN32 and size:  # more than 65,535
                at += 5 + _UINT32(data, at + 1)[0]
                headers += 2
            else:
                return None
            push(at)
    except struct_error:
        return None
    return Encoded(data, start, ends, at - start - headers) if at <= len(data) else None


def _encoded_size(payload: bytes) -> int:
    size = len(payload)
    return size + (2 if size <= 0xFF else 3 if size <= 0xFFFF else 5)
