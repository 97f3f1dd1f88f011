"""A section: a run of messages of one topic with consecutive offsets, encoded once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import msgpack

from tickwire.native import native
from tickwire.wire.encode import encode_section, encode_section_of
from tickwire.wire.encoded import Encoded
from tickwire.wire.limits import MSGPACK

# Payload bytes at which a run is split: a reader that fell behind resumes at section boundaries. With twice as many,
# sixteen durable publishers of 100 KB batches were 1.06 times as fast, and the SDK three times as slow to read them: it
# decodes at most so many bytes in one call (TOGETHER_BYTES of its payloads.py).
SECTION_BYTES = 64 << 10
SECTION_MESSAGES = 4_096
_MESSAGE_BYTES = 5  # the longest msgpack header of a payload


@dataclass(slots=True)
class Section:
    """The fragment of a delivery, and what the log must know of it."""

    first: int
    end: int
    stamp: int
    time_us: int  # the broker's clock when it was flushed
    at: float  # seconds on the broker's steady clock: when it was flushed
    data: bytes


def seal(
    topic: str,
    first: int,
    stamp: int,
    time_us: int,
    at: float,
    pieces: Sequence[Sequence[bytes]],
    size: int,
    format: int,
) -> list[Section]:
    """The pending payloads of a topic, `size` bytes in all, as sections. They come in pieces, in their order."""
    payloads = pieces[0]
    if len(pieces) == 1 and type(payloads) is list:
        if size <= SECTION_BYTES and len(payloads) <= SECTION_MESSAGES:
            data = encode_section(topic, first, stamp, time_us, payloads, format)
            return [Section(first, first + len(payloads), stamp, time_us, at, data)]
        sections = []
        for part in _split(payloads):
            data = encode_section(topic, first, stamp, time_us, part, format)
            sections.append(Section(first, first + len(part), stamp, time_us, at, data))
            first += len(part)
        return sections
    encoded = [Encoded.of(piece) for piece in pieces]
    count = sum(map(len, encoded))
    if size + _MESSAGE_BYTES * count <= SECTION_BYTES and count <= SECTION_MESSAGES:
        data = encode_section_of(topic, first, stamp, time_us, count, [piece.view for piece in encoded], format)
        return [Section(first, first + count, stamp, time_us, at, data)]
    sections = []
    for count, views in _split_encoded(encoded):
        data = encode_section_of(topic, first, stamp, time_us, count, views, format)
        sections.append(Section(first, first + count, stamp, time_us, at, data))
        first += count
    return sections


def seal_short(
    names: list[str],
    firsts: list[int],
    ends: list[int],
    runs: list[list[bytes]],
    stamp: int,
    time_us: int,
    at: float,
) -> list[Section]:
    """The pending payloads of many topics, of each one run that fits in a section, from its first offset to its end."""
    if native is None:
        each = zip(names, firsts, ends, runs, strict=True)
        return [
            Section(first, end, stamp, time_us, at, encode_section(name, first, stamp, time_us, run))
            for name, first, end, run in each
        ]
    sections: list[Section] = []
    native.tickwire_seal(Section, names, firsts, ends, runs, stamp, time_us, at, sections)
    return sections


def cut(section: Section, offset: int) -> Section:
    """What remains of a section from an offset inside it."""
    topic, first, stamp, time_us, payloads, *extras = msgpack.unpackb(section.data)
    format = extras[0].get("format", MSGPACK) if extras else MSGPACK
    rest = payloads[offset - first :]
    data = encode_section(topic, offset, stamp, time_us, rest, format)
    return Section(offset, section.end, stamp, time_us, section.at, data)


class Cutter:
    """Cuts runs out of sections. The last section it decoded is kept: the next run is mostly from there too."""

    __slots__ = ("_decoded", "_of")

    def __init__(self) -> None:
        self._of: Section | None = None
        self._decoded: tuple[str, list[bytes], int] = "", [], MSGPACK

    def fragment(self, section: Section, first: int, end: int, attempt: int = 1) -> bytes:
        """What a section has of [first, end), which is handed out for the `attempt`th time."""
        first, end = max(first, section.first), min(end, section.end)
        if attempt == 1 and first == section.first and end == section.end:
            return section.data
        payloads, format = self.payloads(section, first, end)
        return encode_section(self._decoded[0], first, section.stamp, section.time_us, payloads, format, attempt)

    def payloads(self, section: Section, first: int, end: int) -> tuple[list[bytes], int]:
        """The payloads [first, end) of a section, and their format."""
        if self._of is not section:
            topic, _, _, _, all, *extras = msgpack.unpackb(section.data)
            self._of, self._decoded = section, (topic, all, extras[0].get("format", MSGPACK) if extras else MSGPACK)
        _, payloads, format = self._decoded
        return payloads[first - section.first : end - section.first], format


def _split(payloads: list[bytes]) -> Iterator[list[bytes]]:
    """The payloads in parts within the bounds of a section; a payload larger than that is a part of its own."""
    sizes = list(accumulate(map(_MESSAGE_BYTES.__add__, map(len, payloads)), initial=0))  # of all before each
    start, count = 0, len(payloads)
    while start < count:
        most = min(count, start + SECTION_MESSAGES)
        end = max(bisect_right(sizes, sizes[start] + SECTION_BYTES, start, most + 1) - 1, start + 1)
        yield payloads[start:end]
        start = end


def _split_encoded(pieces: list[Encoded]) -> Iterator[tuple[int, list[memoryview]]]:
    """The same of payloads that are encoded: how many, and where they stand."""
    count, room = 0, SECTION_BYTES
    views: list[memoryview] = []
    for piece in pieces:
        data, ends = memoryview(piece.data), piece.ends
        at, start = 0, piece.start
        while at < len(ends):
            most = min(len(ends), at + SECTION_MESSAGES - count)
            to = bisect_right(ends, start + room, at, most)
            if to == at:
                if views:
                    yield count, views
                    count, room, views = 0, SECTION_BYTES, []
                    continue
                to = at + 1
            end = ends[to - 1]
            views.append(data[start:end])
            count, room = count + to - at, room - (end - start)
            at, start = to, end
    yield count, views
