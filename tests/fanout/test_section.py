"""Sections: split where they are long, cut where a cursor stands inside."""

from __future__ import annotations

from itertools import chain

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from tickwire.fanout.section import SECTION_BYTES, SECTION_MESSAGES, cut, seal
from tickwire.wire.encode import encode_section
from tickwire.wire.encoded import Encoded


def test_a_short_run_is_one_section_with_the_bytes_of_the_protocol() -> None:
    (section,) = seal("a.b", 7, 3, 1, 0.0, [[b"h", b"i"]], 2, 0)

    assert section.data == bytes.fromhex("95 a3612e62 07 03 01 92 c40168 c40169")
    assert (section.first, section.end) == (7, 9)


def test_a_format_other_than_msgpack_is_said_in_the_extras() -> None:
    (section,) = seal("a", 0, 0, 0, 0.0, [[b"h"]], 1, 1)

    assert section.data == bytes.fromhex("96 a161 00 00 00 91 c40168 81 a6666f726d6174 01")


@given(st.lists(st.integers(0, 90_000), min_size=1, max_size=40))
def test_a_long_run_is_split_without_losing_or_reordering_anything(sizes: list[int]) -> None:
    payloads = [bytes([index]) * size for index, size in enumerate(sizes)]

    sections = seal("t", 100, 1, 1, 0.0, [payloads], sum(sizes), 0)

    assert [p for s in sections for p in msgpack.unpackb(s.data)[4]] == payloads
    assert [s.first for s in sections] == [100, *(s.end for s in sections[:-1])]
    for section in sections:
        assert len(section.data) < SECTION_BYTES + 100 or section.end == section.first + 1


@given(st.lists(st.lists(st.integers(0, 90_000), min_size=1, max_size=9), min_size=1, max_size=6), st.data())
def test_payloads_that_stayed_in_their_frames_are_sealed_like_any_other(
    runs: list[list[int]], data: st.DataObject
) -> None:
    plain = [[bytes([number]) * size for number, size in enumerate(run)] for run in runs]
    pieces = [Encoded.of(run) if data.draw(st.booleans()) else run for run in plain]
    size = sum(map(sum, runs))

    sections = seal("t", 100, 1, 1, 0.0, pieces, size, 1)

    assert [p for s in sections for p in msgpack.unpackb(s.data)[4]] == list(chain(*plain))
    assert [s.first for s in sections] == [100, *(s.end for s in sections[:-1])]
    for section in sections:
        assert len(section.data) < SECTION_BYTES + 100 or section.end == section.first + 1
        assert section.data == encode_section("t", section.first, 1, 1, msgpack.unpackb(section.data)[4], 1)


def test_many_tiny_messages_are_split_by_their_number() -> None:
    sections = seal("t", 0, 1, 1, 0.0, [[b""] * (SECTION_MESSAGES * 2 + 1)], 0, 0)

    assert [s.end - s.first for s in sections] == [SECTION_MESSAGES, SECTION_MESSAGES, 1]


def test_what_is_cut_keeps_its_format_and_its_end() -> None:
    (section,) = seal("t", 10, 1, 1, 0.0, [[b"a", b"b", b"c"]], 3, 1)

    rest = cut(section, 12)

    assert msgpack.unpackb(rest.data) == ["t", 12, 1, 1, [b"c"], {"format": 1}]
    assert (rest.first, rest.end) == (12, 13)
