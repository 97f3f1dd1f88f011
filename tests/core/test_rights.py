"""Rights, in a table: every operation, by every role, on every shape of topic; and what a change of them ends."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from house.link import House, Link, told
from tickwire.core.rights import Identity, fill
from tickwire.wire.encode import encode
from tickwire.wire.errors import BadPattern
from tickwire.wire.messages import (
    Ack,
    Consume,
    FromBroker,
    Groups,
    List,
    Message,
    Publish,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
)

ROLES: dict[str, Identity] = {
    "everything": Identity.of("root", publish=None, subscribe=None, consume=None),
    "nothing": Identity.of("none", publish=(), subscribe=(), consume=()),
    "reader": Identity.of("reader", publish=(), subscribe=["prices.>"], consume=()),
    "one level": Identity.of("level", publish=(), subscribe=["prices.*"], consume=()),
    "one topic": Identity.of("topic", publish=["prices.a"], subscribe=["prices.a"], consume=["prices.a"]),
    "writer": Identity.of("writer", publish=["prices.>", "chat"], subscribe=(), consume=()),
    "worker": Identity.of("worker", publish=(), subscribe=(), consume=["prices.>"]),
    "dead": Identity.of("dead", publish=(), subscribe=["$dead.x"], consume=()),
}
MAY, NOT, PART = "may", "not", "part"
# role -> what of (prices.a, prices.a.b, chat, prices.*, prices.>, >, $dead.x)
SHAPES = ("prices.a", "prices.a.b", "chat", "prices.*", "prices.>", ">", "$dead.x")
SUBSCRIBE = {
    "everything": (MAY, MAY, MAY, MAY, MAY, MAY, MAY),
    "nothing": (NOT, NOT, NOT, NOT, NOT, NOT, NOT),
    "reader": (MAY, MAY, NOT, MAY, MAY, PART, NOT),
    "one level": (MAY, NOT, NOT, MAY, PART, PART, NOT),
    "one topic": (MAY, NOT, NOT, PART, PART, PART, NOT),
    "writer": (NOT, NOT, NOT, NOT, NOT, NOT, NOT),
    "worker": (NOT, NOT, NOT, NOT, NOT, NOT, NOT),
    "dead": (NOT, NOT, NOT, NOT, NOT, NOT, MAY),
}
PUBLISH = {
    "everything": (MAY, MAY, MAY),
    "nothing": (NOT, NOT, NOT),
    "reader": (NOT, NOT, NOT),
    "one level": (NOT, NOT, NOT),
    "one topic": (MAY, NOT, NOT),
    "writer": (MAY, MAY, MAY),
    "worker": (NOT, NOT, NOT),
    "dead": (NOT, NOT, NOT),
}
CONSUME = {
    "everything": (MAY, MAY, MAY, MAY, MAY, MAY, MAY),
    "nothing": (NOT, NOT, NOT, NOT, NOT, NOT, NOT),
    "reader": (NOT, NOT, NOT, NOT, NOT, NOT, NOT),
    "one topic": (MAY, NOT, NOT, NOT, NOT, NOT, NOT),
    "worker": (MAY, MAY, NOT, MAY, MAY, NOT, NOT),
}


def rows(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str, str]]:
    return [(role, shape, may) for role, each in table.items() for shape, may in zip(SHAPES, each, strict=False)]


def come(house: House, role: str | Identity) -> Link:
    link = house.link()
    become(link, ROLES[role] if isinstance(role, str) else role)
    return link


def become(link: Link, identity: Identity) -> None:
    link.session.become(identity, link.house.clock.now)


def answer(link: Link, message: Message | bytes) -> FromBroker:
    link.send(message)
    link.house.flush()
    return link.take()[0]


def publish(house: House, *topics: str) -> None:
    writer = house.link()
    for topic in topics:
        writer.send(Publish(None, [Run(topic, [topic.encode()])]))
    house.settle()


def code_of(reply: FromBroker) -> str:
    return reply.code if isinstance(reply, Refusal) else ""


@pytest.mark.parametrize(("role", "pattern", "may"), rows(SUBSCRIBE))
@pytest.mark.parametrize("way", ["live", "earliest", "resume", "once"])
def test_one_reads_what_one_may(role: str, pattern: str, may: str, way: str) -> None:
    house = House()
    topics = [shape for shape in SHAPES if not {"*", ">"} & set(shape)][:3]
    stamp = house.engine.stamp
    if way != "live":
        publish(house, *topics)
    link = come(house, role)
    subscribe = {
        "live": Subscribe(1, pattern),
        "earliest": Subscribe(1, pattern, since=("earliest",)),
        "resume": Subscribe(1, pattern, seen=(house.engine.epoch, stamp), positions=[(topic, 0) for topic in topics]),
        "once": Subscribe(1, pattern, once=True),
    }[way]

    link.send(subscribe)
    house.flush()
    if way == "live":
        publish(house, *topics)
    house.settle()
    reply, *came = link.take()

    if may == NOT:
        assert (code_of(reply), told(came)) == ("forbidden", [])
        return
    rights = ROLES[role].rights.subscribe
    allowed = [t for t in topics if (rights is None or rights.allows(t)) and matches(pattern, t)]
    assert isinstance(reply, Subscribed)
    assert sorted(each[0] for each in told(came) if len(each) == 3) == sorted(allowed)


def matches(pattern: str, topic: str) -> bool:
    from tickwire.wire.topics import matches

    return matches(pattern, topic)


@pytest.mark.parametrize(("role", "topic", "may"), rows(PUBLISH))
@pytest.mark.parametrize("exists", [False, True])
def test_one_publishes_where_one_may(role: str, topic: str, may: str, exists: bool) -> None:
    house = House()
    if exists:
        publish(house, topic)
    link = come(house, role)

    alone = answer(link, Publish(1, [Run(topic, [b"x"])]))
    together = answer(link, Publish(2, [Run("prices.a", [b"x"]), Run(topic, [b"x"])]))

    assert isinstance(alone, Ack) is (may == MAY)
    assert code_of(alone) == ("" if may == MAY else "forbidden")
    both = may == MAY and PUBLISH[role][0] == MAY
    assert isinstance(together, Ack) is both
    if not exists and may == NOT:
        assert topic not in house.engine.topics


def test_what_another_may_publish_plainly_one_may_not() -> None:
    """Plain frames are known by their beginning once one was taken: from those who may."""
    house = House()
    frame = encode(Publish(None, [Run("chat", [b"x"])]))
    may, not_ = come(house, "writer"), come(house, "one topic")
    for _ in range(3):
        may.session.receive_all([frame] * 3, house.clock.now, 100)
    house.settle()
    before = house.engine.topics["chat"].end

    not_.session.receive_all([frame] * 50, house.clock.now, 100)
    house.settle()

    assert house.engine.topics["chat"].end == before
    assert {code_of(reply) for reply in not_.take()} == {"forbidden"}
    become(may, ROLES["nothing"])
    may.session.receive_all([frame] * 50, house.clock.now, 100)
    house.settle()
    assert house.engine.topics["chat"].end == before


@pytest.mark.parametrize(("role", "pattern", "may"), rows(CONSUME))
def test_one_consumes_only_what_is_covered_whole(role: str, pattern: str, may: str) -> None:
    link = come(House(), role)

    reply = answer(link, Consume(1, pattern, "work", 10))

    assert isinstance(reply, Subscribed) is (may == MAY)
    listed = answer(link, List(2))
    assert isinstance(listed, Groups)
    assert len(listed.groups) == (may == MAY)


@pytest.mark.parametrize(("role", "pattern", "may"), rows(SUBSCRIBE))
def test_work_is_shared_only_by_those_who_may_have_all_of_it(role: str, pattern: str, may: str) -> None:
    reply = answer(come(House(), role), Subscribe(1, pattern, group="work"))

    assert isinstance(reply, Subscribed) is (may == MAY)


def test_a_group_that_one_may_not_consume_is_not_listed() -> None:
    house = House()
    answer(come(house, "everything"), Consume(1, "secret.>", "plans", 10))

    listed = answer(come(house, "worker"), List(1))

    assert isinstance(listed, Groups)
    assert listed.groups == []


def test_a_position_of_a_topic_that_one_may_not_read_tells_nothing_of_it() -> None:
    house = House()
    publish(house, "prices.a", "chat")
    link = come(house, "reader")

    positions = [("chat", 10**6)]
    reply = answer(link, Subscribe(1, ">", seen=(house.engine.epoch, 0), positions=positions))

    assert isinstance(reply, Subscribed)


# What a change ends.


def ends(replies: Iterable[FromBroker]) -> list[tuple[int, int | None, str]]:
    return [(each.refused, each.id, each.code) for each in replies if isinstance(each, Refusal)]


def test_what_one_may_no_longer_read_ends_and_the_rest_goes_on() -> None:
    house = House()
    link = come(house, "everything")
    for id, pattern in ((1, "prices.a"), (2, "chat"), (3, ">")):
        answer(link, Subscribe(id, pattern))

    become(link, ROLES["reader"])
    publish(house, "prices.a", "prices.a.b", "chat")

    came = link.take()
    assert ends(came) == [(Subscribe.kind, 2, "forbidden")]
    assert sorted(each[0] for each in told(came)) == ["prices.a", "prices.a.b"]
    become(link, ROLES["everything"])
    publish(house, "chat")
    assert [each[0] for each in told(link.take())] == ["chat"]  # of the subscription to all
    become(link, ROLES["nothing"])
    publish(house, "prices.a", "chat")
    came = link.take()
    assert ends(came) == [(Subscribe.kind, 1, "forbidden"), (Subscribe.kind, 3, "forbidden")]
    assert told(came) == []


def test_who_is_behind_gets_nothing_more_of_what_it_may_not_read_and_all_of_the_rest() -> None:
    house = House()
    link = come(house, "everything")
    answer(link, Subscribe(1, ">"))
    link.reading = False
    for _ in range(3):
        writer = house.link()
        writer.send(Publish(None, [Run(topic, [bytes(200_000)]) for topic in ("prices.a", "chat")]))
        house.flush()
    assert link.peer.behind
    link.sent.clear()

    become(link, ROLES["reader"])
    publish(house, "prices.a", "chat")
    link.reading = True
    house.settle()
    publish(house, "prices.a", "chat")

    came = [each for each in told(link.take()) if len(each) == 3]
    assert {each[0] for each in came} == {"prices.a"}
    offsets = [each[1] for each in came]
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    assert offsets[-1] == house.engine.topics["prices.a"].end - 1


def test_a_subscription_that_catches_up_goes_on_with_what_is_left_of_it() -> None:
    house = House()
    publish(house, "prices.a", "prices.b", "chat")
    link = come(house, "everything")
    link.send(Subscribe(1, ">", since=("earliest",)))
    link.send(Subscribe(2, "chat", since=("earliest",)))

    become(link, ROLES["reader"])
    house.settle()
    publish(house, "prices.a", "chat")

    came = link.take()
    assert ends(came) == [(Subscribe.kind, 2, "forbidden")]
    assert sorted({each[0] for each in told(came) if len(each) == 3}) == ["prices.a", "prices.b"]


def test_a_consumer_that_may_no_longer_consume_is_sent_away_and_its_messages_go_to_others() -> None:
    house = House()
    mine, other = come(house, "everything"), come(house, "everything")
    answer(mine, Consume(1, "prices.>", "work", 10))
    publish(house, "prices.a")
    assert [each[0] for each in told(mine.take())] == ["prices.a"]
    answer(other, Consume(5, "prices.>", "work", 10))

    become(mine, ROLES["reader"])
    house.settle()

    assert ends(mine.take()) == [(Consume.kind, 1, "forbidden")]
    assert [each[0] for each in told(other.take())] == ["prices.a"]


def test_who_is_given_no_list_may_do_nothing() -> None:
    for identity in (Identity("alice"), Identity.of("alice")):
        link = come(House(), identity)

        for message in (Publish(1, [Run("a", [b""])]), Subscribe(1, "a"), Consume(1, "a", "group", 1)):
            assert code_of(answer(link, message)) == "forbidden"


@pytest.mark.parametrize("subject", ["*", ">", "a.b", "a b", "$x", ""])
def test_a_subject_is_no_wildcard_and_never_more_than_one_segment(subject: str) -> None:
    assert fill(["chat.{sub}", "open"], subject).patterns == ("open",)
    assert fill(["chat.{sub}.>"], "alice").patterns == ("chat.alice.>",)


def test_an_identity_that_is_none_is_told_so() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Identity.of("")
    with pytest.raises(TypeError, match="subject must be a str, not int"):
        Identity.of(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="publish must be a list of patterns, not a str"):
        Identity.of("alice", publish="chat.alice")
    with pytest.raises(BadPattern):
        Identity.of("alice", publish=["chat..{sub}"])
    assert Identity.of("alice", publish=["chat.{sub}"]).rights.publish == fill(["chat.alice"], None)
