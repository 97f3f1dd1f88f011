"""Whatever a client says, the session answers, refuses or says goodbye, and others notice nothing."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from house.link import House, Link
from tickwire.core.errors import Goodbye
from tickwire.core.limits import Limits
from tickwire.core.rates import Rates
from tickwire.core.rights import Identity
from tickwire.wire.codes import CODES
from tickwire.wire.messages import Ack, FromBroker, Publish, Refusal, Run, Subscribe

names = st.sampled_from(["a", "a.b", "prices.>", "*", ">", "$dead.g", "", "a..b", "x" * 300, "g"])
numbers = st.integers(-1, 5) | st.sampled_from([2**32, 2**53 - 1, 2**53, 2**64 - 1])
scalars = st.none() | st.booleans() | numbers | st.floats() | names | st.binary(max_size=20)
KEYS = """since seen positions once group sequence retry format ack_timeout_ms attempts waiting token client publisher
incarnation subscriptions"""
keys = st.sampled_from(KEYS.split())
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | names, inner, max_size=4), max_leaves=12
)
runs = st.lists(st.tuples(names, st.lists(st.binary(max_size=9), max_size=3)).map(list), max_size=3)
ranges = st.lists(st.tuples(names, numbers, numbers).map(list), max_size=3)
likely = st.one_of(
    st.tuples(st.just(2), numbers, names, st.dictionaries(keys, values, max_size=3)),
    st.tuples(st.just(2), numbers, names),
    st.tuples(st.just(3), numbers),
    st.tuples(st.just(4), st.none() | numbers, runs),
    st.tuples(st.just(4), numbers, runs, st.dictionaries(keys, values, max_size=2)),
    st.tuples(st.just(7), numbers, names, names, numbers),
    st.tuples(st.sampled_from([8, 9, 12]), numbers, ranges),
    st.tuples(st.just(13), numbers, names),
).map(list)
frames = st.one_of(
    likely.map(msgpack.packb),
    likely.map(msgpack.packb),
    st.tuples(st.integers(0, 30), values, values, values).map(list).map(msgpack.packb),
    st.binary(max_size=40),
)
ROOT = Identity.of("root", publish=None, subscribe=None, consume=None)
identities = st.sampled_from([ROOT, Identity.of("some", publish=["a.*"], subscribe=["prices.>", "a"], consume=["a"])])
ALLOWED = {*CODES} - {"internal_error"}

ROOT = Identity.of("root", publish=None, subscribe=None, consume=None)


def answers(link: Link) -> list[FromBroker]:
    link.house.settle()
    return link.take()


@settings(max_examples=300)
@given(
    st.lists(frames, max_size=12),
    st.booleans(),
    identities,
    st.sampled_from([Rates(), Rates(messages=5, subscriptions=5)]),
)
def test_whatever_is_said(said: list[bytes], greeted: bool, identity: Identity, rates: Rates) -> None:
    house = House(Limits(rates=rates, topics=20, groups=3))
    honest = house.link()
    honest.send(Subscribe(1, "honest"))
    answers(honest)
    link = house.link(greet=greeted)
    if greeted:
        link.session.become(identity, house.clock.now)

    try:
        for at, frame in enumerate(said):
            if at % 3:
                link.session.receive_all([frame] * 2, house.clock.now, 100)
            else:
                link.send(frame)
            link.session.become(ROOT if at % 2 else identity, house.clock.now) if greeted else None
    except Goodbye as goodbye:
        assert goodbye.code in ALLOWED  # noqa: PT017 - there may be one, or none
        link.session.leave()
    else:
        refused = [answer for answer in answers(link) if isinstance(answer, Refusal)]
        assert all(refusal.code in ALLOWED and "\n" not in refusal.text for refusal in refused)
        link.session.leave()

    honest.send(Publish(2, [Run("honest", [b"x"])]))
    came = answers(honest)
    assert any(isinstance(answer, Ack) for answer in came) or len(house.engine.topics) == 20
    assert _is_consistent(house)


def _is_consistent(house: House) -> Any:
    """Nothing is left of who went."""
    engine = house.engine
    peers = {peer for interest in engine.readership.index._interests.values() for peer in interest.peers}
    return len(peers) <= 1 and not engine.catch_up.trailing and len(engine.groups._members) == 0
