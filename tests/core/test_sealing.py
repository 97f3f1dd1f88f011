"""Many topics are sealed and kept together. That must come to the same as one after the other."""

from __future__ import annotations

import gc
import sys

from hypothesis import example, given, settings
from hypothesis import strategies as st

from house.link import House
from tickwire.core.limits import Limits
from tickwire.core.topic import Topic, seal_all
from tickwire.fanout.log import SECTION_OVERHEAD, TopicLog
from tickwire.fanout.section import SECTION_BYTES, SECTION_MESSAGES, Section, seal_short
from tickwire.native import native
from tickwire.wire.encode import encode
from tickwire.wire.encoded import Encoded
from tickwire.wire.messages import Publish, Run
from tickwire.wire.plain import apart, head_of

sizes = st.one_of(st.integers(0, 300), st.sampled_from([SECTION_BYTES // 2, SECTION_BYTES, SECTION_BYTES + 1]))
runs = st.one_of(
    st.lists(sizes, min_size=1, max_size=4).map(lambda sizes: [bytes([size % 251]) * size for size in sizes]),
    st.sampled_from([SECTION_MESSAGES - 1, SECTION_MESSAGES, SECTION_MESSAGES + 1]).map(lambda count: [b""] * count),
)
appended = st.lists(st.tuples(runs, st.integers(0, 1), st.booleans()), min_size=1, max_size=3)


def topic(number: int, appends: list[tuple[list[bytes], int, bool]]) -> Topic:
    made = Topic(f"t{number}", TopicLog(f"t{number}", 10 * number, 1 << 20, 60.0))
    for payloads, format, in_place in appends:
        size = sum(map(len, payloads))
        made.append(Encoded.of(payloads) if in_place else list(payloads), size, format)
        made.touched = True
    return made


def state(topic: Topic) -> tuple[int, int, int, bool]:
    return topic.sealed, topic.end, topic.pending_bytes, topic.touched


@settings(max_examples=300)
@example([[([b""] * (SECTION_MESSAGES + 1), 0, False)]] * 4)
@given(st.lists(appended, min_size=1, max_size=9))
def test_topics_that_are_sealed_together_come_to_what_each_comes_to(
    each: list[list[tuple[list[bytes], int, bool]]],
) -> None:
    together = [topic(number, appends) for number, appends in enumerate(each)]
    alone = [topic(number, appends) for number, appends in enumerate(each)]

    sealed = seal_all(together, 7, 1_700_000_000_000_000, 2.5)

    assert [topic for topic, _ in sealed] == together
    assert [sections for _, sections in sealed] == [one.seal(7, 1_700_000_000_000_000, 2.5) for one in alone]
    assert list(map(state, together)) == list(map(state, alone))


frames = st.lists(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 200)), max_size=30).map(
        lambda messages: [encode(Publish(None, [Run(f"t{topic}", [bytes(size)])])) for topic, size in messages]
    ),
    max_size=8,
)


@settings(max_examples=200)
@given(frames, st.sampled_from([2_000, 20_000]), st.sampled_from([1_000, 5_000]))
def test_what_all_logs_hold_is_counted_right(flushes: list[list[bytes]], total: int, each: int) -> None:
    house = House(Limits(retain_total_bytes=total, retain_bytes=each))
    link = house.link()
    for burst in flushes:
        link.session.receive_all(burst, house.clock.now, len(burst))
        house.flush()

        retention, classes = house.engine.topics.retention, dict[int, set[Topic]]()
        for topic in house.engine.topics.values():
            log = topic.log
            assert log.bytes == sum(len(s.data) + SECTION_OVERHEAD for s in log._sections[log._head :])
            if log.bytes:
                classes.setdefault(log.bytes.bit_length(), set()).add(topic)
        assert retention.bytes == sum(topic.log.bytes for topic in house.engine.topics.values()) <= total
        assert {size: set(topics) for size, topics in retention._by_size.items()} == classes


def test_tiny_messages_count_as_what_they_cost_until_they_are_sealed() -> None:
    house = House(Limits())
    link = house.link()
    burst = [encode(Publish(None, [Run(name, [b"x"])])) for name in ("a", "b")]
    link.session.receive_all(list(burst), house.clock.now, len(burst))
    house.flush()

    link.session.receive_all(burst * 500, house.clock.now, 1_000)

    assert link.peer.pending == house.engine.pending_bytes >= 1_000 * sys.getsizeof(b"x")


def test_nothing_leaks_and_the_collector_has_nothing_to_walk() -> None:
    assert native is not None
    single = [encode(Publish(None, [Run(f"t{n % 8}", [b"payload"])])) for n in range(32)]
    heads = {head_of(frame) or b"": n for n, frame in enumerate(single[:8])}

    def work() -> list[Section]:
        topics, runs, _, behind = apart(single, 0, 1_000, heads)
        assert (behind, topics) == (32, list(range(8)))
        return seal_short([f"t{n}" for n in topics], list(topics), [n + 4 for n in topics], runs, 5, 6, 0.5)

    kept = work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(500):
        work()
    grown = sys.getallocatedblocks() - before

    assert grown < 100
    assert [sys.getrefcount(section.data) for section in kept] == [2] * 8
    assert not any(map(gc.is_tracked, kept))
