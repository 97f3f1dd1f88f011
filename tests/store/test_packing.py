"""What is packed on the disk comes back as it was, and what cannot be is damage and not data."""

from __future__ import annotations

import struct

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from house.fake_disk import FakeDisk
from tickwire.core.store import Batch
from tickwire.fanout.section import Section, seal
from tickwire.server.demo.replay import load
from tickwire.store.disk import check
from tickwire.store.disk.packing import Unpackable, pack, unpack
from tickwire.store.disk.rows import section_of, section_row, seed_of

from .made import TIME_US


def prices(count: int) -> list[bytes]:
    replay = load()
    return [f'{{"day": "{day.date}", "AAPL": {day.closes[0]}}}'.encode() for day in replay.days[:count]]


def of_prices(count: int) -> Section:
    payloads = prices(count)
    (section,) = seal("prices.AAPL", 0, 1, TIME_US, 0.0, [payloads], sum(map(len, payloads)), 1)
    return section


@given(st.binary(max_size=2_000) | st.binary(min_size=1, max_size=40).map(lambda part: part * 100))
def test_data_comes_back_as_it_was(data: bytes) -> None:
    data = b"\x95" + data  # as every section does, it begins as a msgpack array

    stored = pack(data)

    assert unpack(stored) == data
    assert len(stored) <= len(data)


def test_prices_take_less_than_a_third_of_their_room() -> None:
    section = of_prices(1_000)

    row = section_row(seed_of("prices.AAPL"), 1, section, len(section.data))

    assert len(row[-1]) * 3 < len(section.data)


@pytest.mark.parametrize(
    "stored",
    [
        b"\xc1",
        b"\xc1\x10\x00\x00",
        b"\xc1\x10\x00\x00\x00",
        b"\xc1\xff\xff\xff\x7f\x00",  # two gigabytes, it says
        b"\xc1\xff\xff\xff\xff\x00",
        b"\xc1" + struct.pack("<I", 9_999) + lz4.block.compress(bytes(10_000), store_size=False),
        b"\xc1" + lz4.block.compress(bytes(10_000))[:-1],
    ],
)
def test_what_cannot_be_unpacked_says_so(stored: bytes) -> None:
    with pytest.raises(Unpackable):
        unpack(stored)


def test_a_sum_that_fits_does_not_make_data_of_what_cannot_be_unpacked() -> None:
    broken = Section(0, 1, 1, TIME_US, 0.0, b"\xc1" + bytes(100))  # too short to be packed once more
    _, first, end, stamp, time_us, total, head_sum, data_sum, data = section_row(7, 1, broken, 101)

    section, sound = section_of(7, (first, end, stamp, time_us, total, data_sum, head_sum, data))

    assert (section.first, section.end, sound) == (0, 1, False)


def test_every_bit_that_is_flipped_in_packed_data_is_found() -> None:
    disk = FakeDisk.formatted()
    store = disk.store()
    life, section = store.open(), of_prices(200)
    store.commit(Batch(life.stamp + 1, TIME_US, [("prices.AAPL", section)]))
    store.close()
    name, packed = "tickwire.db", pack(section.data)
    start = disk.read(name, disk.size(name) or 0).index(packed[:1_000])

    for place in range(start, start + 1_000, 7):
        torn = disk.clone()
        torn.flip(name, 8 * place + place % 8)
        report = check(torn)
        again = torn.store()
        again.open()
        reading = again.read("prices.AAPL", 0, 1 << 20)
        again.close()

        assert (reading.sections, reading.gap_end, reading.reason) == ([], 200, "corrupt")
        assert [str(finding) for finding in report.findings] == ["prices.AAPL [0, 200): the data is damaged"]
