"""The flush: who gets what in one write, and what becomes of who does not read."""

from __future__ import annotations

from house.link import House, Link
from tickwire.core.limits import Limits
from tickwire.fanout.frame import Deflater
from tickwire.wire.messages import (
    Ack,
    Delivery,
    Gap,
    Mark,
    Publish,
    Run,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)

KIB = 1 << 10


def reader(house: House, *patterns: str, inflates: bool = False) -> Link:
    link = house.link(inflates)
    for id, pattern in enumerate(patterns):
        link.send(Subscribe(id, pattern))
    house.flush()
    link.take()
    return link


def publish(link: Link, topic: str, *payloads: bytes, id: int | None = None) -> None:
    link.send(Publish(id, [Run(topic, list(payloads))]))


def test_what_is_published_before_a_flush_leaves_in_one_write_as_one_section() -> None:
    house = House()
    mine, writer = reader(house, "a"), house.link()

    for number in range(5):
        publish(writer, "a", b"%d" % number)
    house.flush()

    assert len(mine.sent) == 1
    (section,) = mine.sections()
    assert (section.first, section.payloads) == (0, [b"0", b"1", b"2", b"3", b"4"])


def test_topics_of_the_same_audience_share_one_frame_and_its_bytes() -> None:
    house = House()
    readers, writer = [reader(house, "p.*") for _ in range(3)], house.link()

    publish(writer, "p.a", b"1")
    publish(writer, "p.b", b"2")
    house.flush()

    assert readers[0].sent[0] is readers[1].sent[0] is readers[2].sent[0]
    (delivery,) = readers[0].take()
    assert isinstance(delivery, Delivery)
    assert [section.topic for section in delivery.sections] == ["p.a", "p.b"]


def test_a_peer_that_reads_by_two_patterns_gets_a_section_once() -> None:
    house = House()
    mine, writer = reader(house, "a.*", "a.b", ">"), house.link()

    publish(writer, "a.b", b"x")
    house.flush()

    assert mine.payloads() == [b"x"]


def test_an_acknowledgment_leaves_in_the_same_write_as_the_delivery_and_before_it() -> None:
    house = House()
    both = reader(house, "a")

    publish(both, "a", b"1", b"2", id=7)
    publish(both, "a", b"3", id=8)
    house.flush()

    assert len(both.sent) == 1
    ack, delivery = both.take()
    assert ack == Ack([[7, 0], [8, 2]])
    assert isinstance(delivery, Delivery)


def test_a_subscription_gets_the_run_that_was_pending_when_it_came() -> None:
    house = House()
    writer, late = house.link(), house.link()

    publish(writer, "a", b"flushed")
    house.flush()
    publish(writer, "a", b"pending")
    late.send(Subscribe(1, "a"))
    house.flush()

    subscribed, delivery = late.take()
    assert isinstance(subscribed, Subscribed)
    assert isinstance(delivery, Delivery)
    assert subscribed.offset == delivery.sections[0].first == 1


def test_nothing_comes_after_an_unsubscribe_unless_another_pattern_matches() -> None:
    house = House()
    mine, writer = reader(house, "a", "*"), house.link()

    mine.send(Unsubscribe(0))
    publish(writer, "a", b"1")
    house.flush()
    assert mine.payloads() == [b"1"]

    mine.send(Unsubscribe(1))
    publish(writer, "a", b"2")
    house.flush()
    assert mine.payloads() == []


def test_runs_of_another_format_close_the_section_and_keep_their_order() -> None:
    house = House()
    mine, writer = reader(house, "a"), house.link()

    for payload, format in ((b"1", 0), (b"2", 0), (b"3", 1), (b"4", 0)):
        writer.send(Publish(None, [Run("a", [payload], format)]))
    house.flush()

    sections = mine.sections()
    assert [(s.first, s.payloads, s.format) for s in sections] == [
        (0, [b"1", b"2"], 0),
        (2, [b"3"], 1),
        (3, [b"4"], 0),
    ]


def test_a_flush_deflates_a_frame_once_for_all_who_can_inflate_it() -> None:
    deflater = Deflater()
    house = House(deflater=deflater)
    readers = [reader(house, "a", inflates=True) for _ in range(4)]
    plain, writer = reader(house, "a"), house.link()

    publish(writer, "a", *[b"tick " * 20] * 50)
    house.flush()

    assert deflater.calls == 1
    assert len(readers[0].sent[0]) < len(plain.sent[0]) / 4
    assert readers[0].payloads() == plain.payloads() == [b"tick " * 20] * 50


def test_who_does_not_read_falls_behind_and_is_written_nothing_until_it_does() -> None:
    house = House(Limits(unsent_bytes=64 * KIB))
    slow, other, writer = reader(house, "a"), reader(house, "a"), house.link()

    slow.reading = False
    for _ in range(20):
        publish(writer, "a", bytes(10 * KIB))
        house.flush()

    assert len(slow.sent) == 7  # the last of them crossed the limit
    assert len(other.payloads()) == 20


def test_a_slow_reader_catches_up_from_the_log_without_a_hole_and_is_told_that_it_is_level() -> None:
    house = House(Limits(unsent_bytes=64 * KIB))
    slow, writer = reader(house, "a"), house.link()

    slow.reading = False
    for _ in range(20):
        publish(writer, "a", bytes(10 * KIB))
        house.flush()
    slow.reading = True
    house.engine.sweep()
    publish(writer, "a", b"live")
    house.flush()

    messages = slow.take()
    sections = [s for m in messages if isinstance(m, Delivery) for s in m.sections]
    assert [s.first for s in sections] == list(range(21))
    assert messages[-2] == Mark(20)


def test_what_the_log_has_dropped_meanwhile_is_a_gap_right_before_what_follows() -> None:
    house = House(Limits(unsent_bytes=1 * KIB, retain_bytes=32 * KIB))
    slow, writer = reader(house, "a"), house.link()

    slow.reading = False
    for _ in range(100):
        publish(writer, "a", bytes(2 * KIB))
        house.flush()
    slow.reading = True
    house.engine.sweep()

    first, gap, *rest = slow.take()
    assert isinstance(first, Delivery)
    assert isinstance(gap, Gap)
    assert (gap.topic, gap.start, gap.reason) == ("a", 1, "evicted")
    sections = [s for m in rest if isinstance(m, Delivery) for s in m.sections]
    assert [s.first for s in sections] == list(range(gap.end, 100))


def test_a_topic_that_went_quiet_in_a_catch_up_and_speaks_again_is_not_missed() -> None:
    """Its cursor has reached the end of its log while another topic's has not."""
    house = House(Limits(unsent_bytes=1 * KIB))
    slow, writer = reader(house, "*"), house.link()

    slow.reading = False
    for topic, size in (("big", 2 * KIB), ("small", 10), ("small", 10), *[("big", 100 * KIB)] * 6):
        publish(writer, topic, bytes(size))
        house.flush()
    slow.reading = True
    house.engine.sweep()
    assert slow.peer.behind
    publish(writer, "small", b"again")
    house.flush()

    for _ in range(10):
        house.engine.sweep()
    offsets = [(s.topic, s.first) for s in slow.sections()]
    assert sorted(offsets) == [*[("big", offset) for offset in range(7)], *[("small", offset) for offset in range(3)]]


def test_falling_behind_a_second_time_misses_nothing_of_any_topic() -> None:
    house = House(Limits(unsent_bytes=1 * KIB))
    slow, writer = reader(house, "*"), house.link()

    for _ in range(3):
        slow.reading = False
        for topic in ("a", "a", "b", "b", "a"):
            publish(writer, topic, bytes(2 * KIB))
            house.flush()
        slow.reading = True
        house.engine.sweep()
        assert not slow.peer.behind

    sections = slow.sections()
    assert [s.first for s in sections if s.topic == "a"] == list(range(9))
    assert [s.first for s in sections if s.topic == "b"] == list(range(6))


def test_a_subscription_made_while_behind_starts_where_its_reply_says() -> None:
    house = House(Limits(unsent_bytes=1 * KIB))
    slow, another, writer = reader(house, "a"), reader(house, "*"), house.link()

    slow.reading = another.reading = False
    for _ in range(3):
        publish(writer, "a", bytes(2 * KIB))
        house.flush()
    publish(writer, "b", b"before")
    house.flush()
    slow.send(Subscribe(9, "b"))
    publish(writer, "b", b"after")
    house.flush()
    slow.reading = True
    house.engine.sweep()

    messages = slow.take()
    subscribed = next(m for m in messages if isinstance(m, Subscribed))
    sections = [s for m in messages if isinstance(m, Delivery) for s in m.sections if s.topic == "b"]
    assert [s.first for s in sections] == [subscribed.offset] == [1]


def test_what_was_unsubscribed_while_behind_does_not_come_any_more() -> None:
    house = House(Limits(unsent_bytes=1 * KIB))
    slow, writer = reader(house, "a", "b"), house.link()

    slow.reading = False
    for topic in ("a", "a", "b", "a"):
        publish(writer, topic, bytes(2 * KIB))
        house.flush()
    slow.send(Unsubscribe(0))
    publish(writer, "a", b"x")
    house.flush()
    slow.reading = True
    house.engine.sweep()

    messages = slow.take()
    after = messages[messages.index(Unsubscribed(0)) :]
    assert [s.topic for m in after if isinstance(m, Delivery) for s in m.sections] == ["b"]


def test_what_was_unsubscribed_and_subscribed_again_while_behind_starts_anew() -> None:
    house = House(Limits(unsent_bytes=1 * KIB))
    slow, writer = reader(house, "a", "b"), house.link()

    slow.reading = False
    for _ in range(3):
        publish(writer, "a", bytes(2 * KIB))
        house.flush()
    slow.send(Unsubscribe(0))
    publish(writer, "a", b"not for me")
    house.flush()
    slow.send(Subscribe(7, "a"))
    publish(writer, "a", b"for me")
    house.flush()
    slow.reading = True
    house.engine.sweep()

    messages = slow.take()
    subscribed = next(m for m in messages if isinstance(m, Subscribed))
    after = messages[messages.index(subscribed) :]
    sections = [s for m in after if isinstance(m, Delivery) for s in m.sections]
    assert [(s.first, s.payloads) for s in sections] == [(subscribed.offset, [b"for me"])]


def test_a_topic_handed_from_one_subscription_to_another_while_behind_goes_on_without_a_break() -> None:
    house = House(Limits(unsent_bytes=1 * KIB))
    slow, writer = reader(house, "a"), house.link()

    slow.reading = False
    for _ in range(3):
        publish(writer, "a", bytes(2 * KIB))
        house.flush()
    slow.send(Subscribe(7, "*"))
    slow.send(Unsubscribe(0))
    publish(writer, "a", b"x")
    house.flush()
    slow.reading = True
    house.engine.sweep()

    assert [s.first for s in slow.sections()] == [0, 1, 2, 3]


def test_a_topic_that_was_freed_while_a_peer_was_behind_and_away_from_it_is_not_told_of() -> None:
    house = House(Limits(unsent_bytes=1 * KIB, retain_seconds=5, free_topic_after=5))
    slow, writer = reader(house, "a", "b"), house.link()

    slow.reading = False
    for topic in ("b", "b", "a"):
        publish(writer, topic, bytes(2 * KIB))
        house.flush()
    slow.send(Unsubscribe(0))
    house.wait(6)
    house.wait(6)
    assert "a" not in house.engine.topics
    slow.send(Subscribe(7, "a"))
    publish(writer, "a", b"x")
    house.flush()
    slow.reading = True
    house.engine.sweep()

    messages = slow.take()
    assert [m for m in messages if isinstance(m, Gap) and m.topic == "a"] == []
    subscribed = next(m for m in messages if isinstance(m, Subscribed))
    sections = [s for m in messages if isinstance(m, Delivery) for s in m.sections if s.topic == "a"]
    assert [s.first for s in sections] == [subscribed.offset]


def test_when_all_unsent_bytes_are_too_many_the_worst_falls_behind_first() -> None:
    house = House(Limits(unsent_bytes=100 * KIB, unsent_total_bytes=60 * KIB))
    worst, bad = reader(house, "*"), reader(house, "a")
    writer = house.link()

    worst.reading = bad.reading = False
    publish(writer, "b", bytes(30 * KIB))
    publish(writer, "a", bytes(20 * KIB))
    house.flush()
    publish(writer, "a", b"x")
    house.flush()

    assert (worst.peer.behind, bad.peer.behind) == (True, False)


def test_a_connection_that_is_gone_costs_the_others_nothing() -> None:
    house = House(Limits(unsent_bytes=1 * KIB))
    gone, slow, mine, writer = (reader(house, "*") for _ in range(4))
    gone_publisher = house.link()

    slow.reading = False
    publish(writer, "a", bytes(2 * KIB))
    house.flush()
    gone.gone = gone_publisher.gone = True
    publish(gone_publisher, "a", b"1", id=1)
    publish(writer, "a", b"2", id=2)
    publish(writer, "b", b"3", id=3)
    house.flush()
    slow.reading = True
    house.engine.sweep()

    assert [(s.topic, s.first) for s in mine.sections()] == [("a", 0), ("a", 1), ("b", 0)]
    assert [(s.topic, s.first) for s in slow.sections()] == [("a", 0), ("a", 1), ("b", 0)]
    assert Ack([[2, 2], [3, 0]]) in writer.take()
    assert not slow.peer.behind
    assert house.engine.pending_bytes == writer.peer.pending == 0


def test_the_time_of_a_topic_never_decreases_though_the_clock_does() -> None:
    house = House()
    mine, writer = reader(house, "a"), house.link()

    for time_us in (5_000, 3_000, 4_000, 6_000):
        publish(writer, "a", b"x")
        house.engine.flush(house.clock.now, time_us)

    times = [s.time_us for s in mine.sections()]
    assert times == sorted(times)
    assert times[-1] >= 6_000


def test_a_topic_that_was_freed_and_came_back_is_not_freed_for_the_old_one() -> None:
    house = House(Limits(retain_total_bytes=0, retain_seconds=50, free_topic_after=10))
    writer = house.link()
    for _ in range(3):
        publish(writer, "a", b"x")
        house.flush()
    for _ in range(4):
        house.wait(12)
        publish(writer, "a", b"x")
        house.flush()
        house.wait(12)

    offsets = [offset for topic, offset in house.store.messages if topic == "a"]
    assert offsets == sorted(set(offsets))


def test_a_peer_that_left_is_in_nothing_any_more() -> None:
    house = House(Limits(unsent_bytes=1 * KIB))
    gone, writer = reader(house, "a", "a.*", ">"), house.link()
    gone.reading = False
    publish(writer, "a", bytes(4 * KIB), id=1)
    house.flush()
    publish(writer, "a", b"x")
    house.flush()
    written = len(gone.sent)

    gone.session.leave()
    publish(writer, "a", b"y")
    house.flush()

    assert len(gone.sent) == written
    assert len(house.engine.readership.index) == 0
    assert not house.engine.catch_up.behind


def test_history_is_dropped_by_age_and_a_topic_without_readers_is_freed() -> None:
    house = House(Limits(retain_seconds=10, free_topic_after=20))
    writer = house.link()
    publish(writer, "a", b"1", b"2", b"3")
    house.flush()

    house.wait(11)
    assert house.engine.topics.retention.bytes == 0
    assert "a" in house.engine.topics
    house.wait(21)
    assert "a" not in house.engine.topics


def test_offsets_are_not_given_twice_when_a_freed_topic_comes_back() -> None:
    house = House(Limits(retain_seconds=10, free_topic_after=20))
    writer = house.link()
    publish(writer, "a", b"1", b"2", b"3")
    house.flush()
    house.wait(11)
    house.wait(21)

    publish(writer, "a", b"4", id=1)
    publish(writer, "other", b"4", id=2)
    house.flush()

    assert writer.take() == [Ack([[1, 3], [2, 3]])]


def test_a_topic_with_readers_is_not_freed() -> None:
    house = House(Limits(retain_seconds=10, free_topic_after=20))
    reader(house, "a")

    for _ in range(10):
        house.wait(15)

    assert "a" in house.engine.topics


def test_a_log_that_is_emptied_again_and_again_leaves_nothing_behind() -> None:
    house = House(Limits(retain_total_bytes=0, retain_seconds=10, free_topic_after=20))
    writer = house.link()

    for _ in range(100):
        publish(writer, "a", b"x")
        house.flush()

    assert len(house.engine.topics.retention._oldest) == 1
    house.wait(11)
    house.wait(21)
    assert not house.engine.topics


def test_all_logs_together_stay_within_their_bound_at_the_cost_of_the_largest() -> None:
    house = House(Limits(retain_total_bytes=100 * KIB, unsent_bytes=1 << 30))
    writer = house.link()
    publish(writer, "small", bytes(1 * KIB))
    house.flush()

    for _ in range(50):
        publish(writer, "large", bytes(10 * KIB))
        house.flush()
        assert house.engine.topics.retention.bytes <= 100 * KIB

    assert house.engine.topics["small"].log.start == 0
    assert house.engine.topics["large"].log.start > 0
