"""The fast way to JSON lines says the same as the slow one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwire.server.cli.lines import json_lines
from tickwire.server.cli.text import to_text
from tickwire_client.messages import Message, Section

TOPICS = ["prices.AAPL", 'ü."x"', "b.\u202e"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.sampled_from([1e-5, 1e16, 9.5e-5, 1e22, 0.0001, 123456789012345680.0, -0.0, 5e-324])
    | st.text(max_size=8)
    | st.sampled_from(["\x7f\x80\u2028", "\x00\x1b[31m", "1e5", "0.00001"])
    | st.binary(max_size=8)
    | st.just(datetime(2026, 11, 25, tzinfo=UTC))
)
keys = st.text(max_size=4) | st.integers(-5, 5) | st.binary(max_size=3)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))


def section(topic: str, first: int, time_us: int, data: list[Any]) -> Section:
    payloads = [msgpack.packb(value, datetime=True) for value in data]
    return Section(topic, 1, first, time_us, payloads, 0)


def slowly(message: Message) -> str:
    facts = {"topic": message.topic, "offset": message.offset, "time": message.time, "data": message.data}
    return to_text(facts) + "\n"


@given(st.lists(st.tuples(st.sampled_from(TOPICS), st.lists(values, min_size=1, max_size=4)), max_size=4))
def test_lines_are_what_the_slow_way_writes(runs: list[tuple[str, list[Any]]]) -> None:
    sections = [section(topic, 7 * i, 1_764_000_000_123_456 + i // 2, data) for i, (topic, data) in enumerate(runs)]
    messages = [message for each in sections for message in each.messages()]

    lines = json_lines(messages)

    assert lines == "".join(map(slowly, messages))
    assert lines.count("\n") == len(lines.splitlines()) == len(messages)


def test_floats_are_written_as_python_does_wherever_they_stand_and_what_looks_like_them_stays() -> None:
    odd = [1e-5, -1e-9, 1e16, 0.00001, [1.5e-7, 2], {"a": 1e-7}, {"1e5": -2.5e-10}]
    alike = ["1e5", ",1e5", "[0.00001", "3e4-9e9e-1", {"id": "f00e1e-5e4"}, 0.0001, 1e15, 1.5]
    messages = section("a", 0, 5_000_000, [*alike, *odd, *alike]).messages()

    assert json_lines(messages) == "".join(map(slowly, messages))


def test_a_payload_that_is_not_what_it_says_is_shown_as_bytes_and_its_neighbours_as_they_are() -> None:
    messages = Section("a", 1, 0, 5_000_000, [b"\x01", b"\xc1", b"\x02"], 0).messages()

    lines = [json.loads(line)["data"] for line in json_lines(messages).splitlines()]

    assert lines == [1, {"$bytes": "wQ=="}, 2]


@pytest.mark.benchmark(group="lines")
def test_speed(benchmark: Any) -> None:
    data = [{"bid": 187.2 + i, "ask": 187.25 + i, "n": i} for i in range(256)]

    def lines() -> str:
        return json_lines(section("prices.AAPL", 0, 1_764_000_000_123_456, data).messages())

    assert benchmark(lines).count("\n") == 256
