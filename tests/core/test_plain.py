"""Plain frames are taken many at once. That must come to the same as taking each by itself."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from house.link import House, Link
from tickwire.core.errors import Goodbye
from tickwire.core.limits import Limits
from tickwire.native import native
from tickwire.wire.encode import encode
from tickwire.wire.messages import Ack, Delivery, Hello, Publish, Run, Subscribe, Subscribed
from tickwire.wire.plain import Apart, apart, apart_in_python, head_of, payloads_behind, payloads_in_python

LIMITS = Limits(payload_bytes=700, frame_bytes=1_500, frame_messages=4, topics=3, pending_peer_bytes=2_000)


def single(topic: bytes, payload: bytes, array: bytes = b"\x91", text: bytes = b"", header: bytes = b"") -> bytes:
    """A PUBLISH of one message without an id; the encodings of its tokens may be others than the shortest."""
    text = text or (bytes((0xA0 | len(topic),)) if len(topic) < 32 else bytes((0xD9, len(topic))))
    size = len(payload)
    header = header or (bytes((0xC4, size)) if size < 256 else b"\xc5" + size.to_bytes(2, "big"))
    return b"\x93\x04\xc0\x91\x92" + text + topic + array + header + payload


def frame_with(at: int) -> st.SearchStrategy[bytes]:
    """A single message, one byte of which is another."""

    def changed(topic: bytes, payload: bytes, other: int) -> bytes:
        return bytes(other if number == at else byte for number, byte in enumerate(single(topic, payload)))

    others = st.sampled_from([0x90, 0x91, 0x92, 0xC4, 0xC5, 0xA1, 0xD9, 1, 2])
    return st.builds(changed, st.sampled_from([b"a", b"bc"]), st.sampled_from([b"", b"x", b"xy"]), others)


def plain(elements: list[object]) -> bytes:
    """A plain PUBLISH of whatever is given for its payloads."""
    frame: bytes = msgpack.packb([4, None, [["a", elements]]])
    return frame


payloads = st.one_of(
    st.binary(max_size=4), st.sampled_from([b"", b"x", b"\xc4\x01x", bytes(255), bytes(256), bytes(700), bytes(701)])
)
topics = st.sampled_from(
    [b"a", b"b", b"c", b"d", b"a.b", b"a..b", b"$sys", b"\xff", b"a" * 31, b"a" * 32, b"a" * 40, b""]
)
arrays = st.sampled_from([b"\x91", b"\xdc\x00\x01", b"\x90", b"\x92", b"\xdd\x00\x00\x00\x01"])
texts = st.sampled_from([b"\xd9\x01", b"\xda\x00\x01", b"\xa2", b"\xc4\x01"])
headers = st.sampled_from([b"\xc5\x00\x01", b"\xc6\0\0\0\1", b"\xc4\x02", b"\xa1"])
odd = st.one_of(st.just(b"x"), st.just(bytes(280)), st.sampled_from(["x", 1, None, [], {}, [b"x"], 1.5]))
usual = st.builds(single, st.just(b"a"), payloads)
frames = st.one_of(
    usual,
    usual,  # so many that there are runs
    st.builds(single, topics, payloads, arrays),
    st.builds(single, st.just(b"a"), payloads, text=texts),
    st.builds(single, st.just(b"a"), st.just(b"x"), header=headers),
    st.builds(lambda frame, more: frame + more, usual, st.binary(min_size=1, max_size=3)),
    st.builds(lambda frame, size: frame[:size], usual, st.integers(0, 20)),
    st.builds(lambda id, data: encode(Publish(id, [Run("a", [data])])), st.integers(0, 9), payloads),
    st.builds(lambda data: encode(Publish(None, [Run("a", data)])), st.lists(payloads, min_size=1, max_size=5)),
    st.builds(plain, st.lists(odd, max_size=3)),
    st.builds(lambda data: encode(Publish(None, [Run("a", [data], 1)])), payloads),
    st.builds(lambda data: msgpack.packb([4, None, [["a", [data]]], {}]), payloads),
    st.builds(lambda data: msgpack.packb([4, None, [["a", [data], {}]]]), payloads),
    st.builds(lambda data: msgpack.packb([4, None, [["a", [data]], ["b", [data]]]]), payloads),
    st.builds(lambda id: encode(Subscribe(id, "a")), st.integers(0, 3)),
)


@dataclass
class Came:
    """What became of frames."""

    messages: dict[tuple[str, int], bytes] = field(default_factory=dict)
    said: list[object] = field(default_factory=list)
    ended: str | None = None
    frames_in: int = 0
    waited: bool = field(default=False, compare=False)  # there was a flush between, for want of room


def outcome(frames: list[bytes], together: bool, reads: list[int]) -> Came:
    """Send frames to a broker, in reads of those sizes, with a flush behind each."""
    house = House(LIMITS)
    link, came, at = house.link(), Came(), 0
    for size in [*reads, len(frames)]:
        part = frames[at : at + size]
        at += size
        try:
            if together:
                came.waited |= _take(link, part)
            else:
                for frame in part:
                    link.send(frame)
                    if link.session.must_wait:
                        came.waited = True
                        house.flush()
        except Goodbye as goodbye:
            came.ended = goodbye.code
            break
        house.flush()
    house.flush()
    came.said = [message for message in link.take() if not isinstance(message, Delivery)]
    came.messages, came.frames_in = house.store.messages, house.engine.stats.frames_in
    return came


def _at_any_time(said: list[object]) -> list[object]:
    """Answers, but for when they were given: frames that are taken together count less until the flush."""
    receipts = [receipt for message in said if isinstance(message, Ack) for receipt in message.receipts]
    others = [message for message in said if not isinstance(message, Ack)]
    return [receipts, *((each.id, each.stream) if isinstance(each, Subscribed) else each for each in others)]


def _take(link: Link, frames: list[bytes]) -> bool:
    """Returns whether it had to wait."""
    house, waited = link.house, False
    while frames:
        taken, _ = link.session.receive_all(frames, house.clock.now, 5)
        frames = frames[taken:]
        if link.session.must_wait:
            waited = True
            house.flush()
    return waited


@given(st.lists(frames, max_size=30), st.lists(st.integers(1, 12), max_size=6))
@example([single(b"a", b"1"), single(b"a", b"2"), single(b"a", b"3")[:7]], [1])
@example(
    [*[single(b"a", b"")] * 4, single(b"a", bytes(700), text=b"\xd9\x01"), encode(Publish(0, [Run("a", [bytes(700)])])),
     single(b"a", b"x", header=b"\xa1")],
    [],
)  # fmt: skip
@example([single(b"a", bytes(20) + b"\x91\xc4\x01y", text=b"\xda\x00\x01")] * 3, [1])
@example([encode(Publish(None, [Run("a", [b"x"] * count)])) for count in (3, 4, 5)], [1])
@example([single(b"a", bytes(660)), single(b"a", bytes(700)), single(b"a", bytes(701))], [1])
@example([single(b"a", b"1"), single(b"a", b"2"), single(b"a", b"", b"\xdc\x00\x00")[:-2]], [1])
@example([single(b"a", b"1"), single(b"a", b"2"), plain(["x" * 600])], [1])
@example([single(b"a", b"1"), single(b"a", b"2") + b"\xc0", single(b"a", b"3")], [1])
def test_frames_taken_together_come_to_the_same_as_frames_taken_one_by_one(
    frames: list[bytes], reads: list[int]
) -> None:
    together, one_by_one = outcome(frames, True, reads), outcome(frames, False, reads)
    if together.waited or one_by_one.waited:
        for came in (together, one_by_one):
            came.said = _at_any_time(came.said)

    assert together == one_by_one


def test_frames_of_one_message_are_taken_without_being_decoded_once_one_was() -> None:
    house = House(LIMITS)
    link = house.link()

    first = link.session.receive_all([single(b"a", b"0")], 0, 9)
    others = link.session.receive_all([single(b"a", bytes(size)) for size in range(200)], 0, 9)

    assert (first, others) == ((1, 1), (200, 0))


def test_who_has_not_said_hello_takes_no_short_way() -> None:
    house = House(LIMITS)
    house.link().send(single(b"a", b"0"))
    stranger = house.link(greet=False)

    with pytest.raises(Goodbye) as refusal:
        stranger.session.receive_all([single(b"a", b"1")] * 2, 0, 9)

    assert refusal.value.code == "hello_expected"


def test_a_connection_that_was_taken_over_takes_no_short_way() -> None:
    house = House(LIMITS)
    older, newer = house.link(greet=False), house.link(greet=False)
    older.send(Hello(publisher="p", incarnation=1))
    older.send(single(b"a", b"0"))
    newer.send(Hello(publisher="p", incarnation=1))

    with pytest.raises(Goodbye) as refusal:
        older.session.receive_all([single(b"a", b"1")] * 2, 0, 9)

    assert refusal.value.code == "taken_over"


def test_a_topic_that_was_freed_is_made_anew_with_offsets_of_its_own() -> None:
    house = House(Limits(free_topic_after=1.0, retain_seconds=1.0))
    link = house.link()
    link.session.receive_all([single(b"a", b"0")] * 3, house.clock.now, 9)
    house.flush()
    for _ in range(5):
        house.wait(2.0)
        house.flush()
    assert "a" not in house.engine.topics

    reader = house.link()
    reader.send(Subscribe(1, "*"))
    link.session.receive_all([single(b"a", b"1")] * 3, house.clock.now, 9)
    house.flush()

    assert "a" in house.engine.topics
    assert sorted(offset for _, offset in house.store.messages) == [0, 1, 2, 3, 4, 5]
    deliveries = [message for message in reader.take() if isinstance(message, Delivery)]
    assert [section.payloads for delivery in deliveries for section in delivery.sections] == [[b"1"] * 3]


def test_batches_are_taken_without_being_decoded_too() -> None:
    house = House(LIMITS)
    link = house.link()
    batches = [encode(Publish(None, [Run("a", [bytes(size)] * count)])) for size in (0, 40, 60) for count in (2, 3, 4)]

    first = link.session.receive_all(batches[:1], 0, 9)
    others = link.session.receive_all(batches, 0, 9)

    assert (first, others) == ((1, 1), (9, 0))


def test_a_head_ends_where_the_payloads_begin() -> None:
    assert head_of(single(b"a", b"abc")) == single(b"a", b"abc")[:7]
    assert head_of(single(b"a" * 40, b"abc")) == single(b"a" * 40, b"abc")[:47]
    assert head_of(encode(Publish(1, [Run("a", [b"abc"])]))) is None
    assert head_of(b"") is None


@given(st.lists(frames, min_size=1, max_size=12), st.integers(0, 11), st.integers(1, 1_500), st.integers(1, 5))
@example([single(b"a", b"")] * 3, 0, 1_500, 5)
@example([single(b"a", b"1"), single(b"a", b"2", b"\xdd\x00\x00\x00\x01"), single(b"a", b"3")], 1, 1_500, 1)
@example([single(b"a", b"1"), single(b"a", b"2")[:-1], single(b"a", b"3")], 0, 1_500, 5)
@example([single(b"a", b"1"), single(b"a", b"2", b"\xdd\xff\xff\xff\xff"), single(b"a", b"3")], 0, 1_500, 5)
@example([single(b"a", b"1", b"\xdc")[:-3]] * 2, 0, 1_500, 5)
def test_the_library_takes_what_its_reference_takes_and_leaves_longer_headers_to_be_decoded(
    frames: list[bytes], start: int, longest: int, most: int
) -> None:
    if native is None:
        pytest.skip("without a compiler there is no library")
    start = min(start, len(frames))
    head = single(b"a", b"")[:7]
    wanted, _, last = payloads_in_python(head, frames, start, longest, most)

    payloads, size, behind = payloads_behind(head, frames, start, longest, most)

    taken = list(payloads)
    assert taken == wanted[: len(taken)]
    assert size == sum(map(len, taken))
    assert start <= behind <= last
    if behind < last:  # of what the reference took, it has left one that a publisher would not write so
        assert msgpack.packb(msgpack.unpackb(frames[behind])) != frames[behind]


few = st.sampled_from([b"a", b"b", b"c.d", b"e" * 31])
small = st.sampled_from([b"", b"", b"x", b"\xc4\x01x", bytes(255)])
usual_singles = st.lists(st.builds(single, few, small), max_size=12)
unusual = st.one_of(frames, *(frame_with(byte) for byte in range(14)))


@settings(max_examples=500)
@given(usual_singles, st.one_of(st.just([]), unusual.map(lambda frame: [frame])), usual_singles, st.data())
def test_the_library_takes_single_messages_apart_as_python_does(
    before: list[bytes], odd: list[bytes], behind: list[bytes], data: st.DataObject
) -> None:
    if native is None:
        pytest.skip("without a compiler there is no library")
    frames = before + odd + behind
    start = data.draw(st.integers(0, min(3, len(frames))))
    longest = data.draw(st.one_of(st.just(1_000), st.sampled_from([len(each) for each in frames] or [0])))
    heads = {head: head[5:] for each in frames if (head := head_of(each)) is not None}
    if heads and data.draw(st.integers(0, 4)) == 0:
        del heads[data.draw(st.sampled_from(sorted(heads)))]

    assert _listed(apart(frames, start, longest, heads)) == _listed(apart_in_python(frames, start, longest, heads))


def test_thousands_of_topics_in_one_call_are_told_apart() -> None:
    names = [b"t%d" % number for number in range(3_000)]
    frames = [single(name, b"%d" % turn) for turn in range(2) for name in names]
    heads = {head_of(frame): name for frame, name in zip(frames, names, strict=False)}
    found: dict[bytes, list[bytes]] = {}
    behind = 0
    while behind < len(frames):
        topics, runs, sizes, behind = apart(frames, behind, 1_000, heads)
        assert list(sizes) == [sum(map(len, run)) for run in runs]
        assert len(set(topics)) == len(topics)
        for topic, run in zip(topics, runs, strict=True):
            found.setdefault(topic, []).extend(run)

    assert found == {name: [b"0", b"1"] for name in names}


def _listed(found: Apart[bytes]) -> tuple[list[bytes], list[list[bytes]], list[int], int]:
    topics, runs, sizes, behind = found
    return topics, runs, list(sizes), behind
