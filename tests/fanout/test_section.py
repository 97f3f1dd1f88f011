"""Sections: split where they are long, cut where a cursor stands inside."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwire.fanout.section import SECTION_BYTES, SECTION_MESSAGES, Section, cut, seal, seal_short
from tickwire.native import native
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


numbers = st.one_of(*(st.integers(max(0, 2**bits - 2), 2**bits + 2) for bits in (0, 7, 8, 16, 32, 53)))
names = st.one_of(
    st.text(min_size=1, max_size=40), st.sampled_from(["a" * 31, "a" * 32, "é" * 127, "a" * 255, "a" * 256])
)
sizes = st.sampled_from([0, 1, 64, 255, 256, 65_535, 65_536])
counts = st.one_of(st.integers(1, 17), st.sampled_from([300, SECTION_MESSAGES]))


@given(st.lists(st.tuples(names, numbers, counts, sizes), max_size=6), numbers, numbers)
def test_short_runs_of_many_topics_are_sealed_as_each_by_itself(
    topics: list[tuple[str, int, int, int]], stamp: int, time_us: int
) -> None:
    runs = [[b"x" * size, *[b"y"] * (count - 1)] for _, _, count, size in topics]
    firsts = [first for _, first, _, _ in topics]
    ends = [first + count for _, first, count, _ in topics]

    sections = seal_short([name for name, *_ in topics], firsts, ends, runs, stamp, time_us, 2.5)

    assert sections == [
        Section(first, end, stamp, time_us, 2.5, encode_section(name, first, stamp, time_us, run))
        for (name, *_), first, end, run in zip(topics, firsts, ends, runs, strict=True)
    ]


@pytest.mark.parametrize("run", [["text"], [b"x", None], [bytearray(b"x")], (b"x",), None])
def test_what_is_no_list_of_bytes_is_an_error_and_no_section(run: Any) -> None:
    assert native is not None
    sections: list[Section] = []

    with pytest.raises((TypeError, SystemError)):
        native.tickwire_seal(Section, ["a", "b"], [1, 1], [2, 2], [[b"x"], run], 1, 1, 0.0, sections)

    assert [section.first for section in sections] == [1]


def test_many_tiny_messages_are_split_by_their_number() -> None:
    sections = seal("t", 0, 1, 1, 0.0, [[b""] * (SECTION_MESSAGES * 2 + 1)], 0, 0)

    assert [s.end - s.first for s in sections] == [SECTION_MESSAGES, SECTION_MESSAGES, 1]


def test_what_is_cut_keeps_its_format_and_its_end() -> None:
    (section,) = seal("t", 10, 1, 1, 0.0, [[b"a", b"b", b"c"]], 3, 1)

    rest = cut(section, 12)

    assert msgpack.unpackb(rest.data) == ["t", 12, 1, 1, [b"c"], {"format": 1}]
    assert (rest.first, rest.end) == (12, 13)
