"""A connection that goes in the middle: publishes are sent again, subscriptions go on, work is handed out again."""

from __future__ import annotations

import asyncio

import pytest

from client.scripted import EPOCH, Peer, States, scripted
from tickwire.wire.messages import (
    Ack,
    Consumed,
    Delivery,
    End,
    Group,
    Groups,
    Hello,
    Join,
    List,
    Publish,
    Refusal,
    Run,
    Section,
    Subscribe,
    Subscribed,
    Window,
)
from tickwire.wire.messages import Gap as GapFrame
from tickwire_client import ConnectionLost, Gap, OutcomeUnknown, Refused, connect

pytestmark = pytest.mark.usefixtures("frames_either_way")


async def stay(peer: Peer) -> None:
    await peer.greet()
    await peer.until_gone()


async def swallow(peer: Peer) -> None:
    """Take a publish, and go."""
    await peer.greet()
    assert isinstance(await peer.hear(), Publish)


# Publishing.


async def test_a_publish_whose_answer_was_lost_is_sent_again_as_the_same() -> None:
    greeted: list[Hello] = []

    async def lose(peer: Peer) -> None:
        greeted.append(await peer.greet())
        assert await peer.hear() == Publish(1, [Run("a", [b"\x01"])], 1)

    async def acknowledge(peer: Peer) -> None:
        greeted.append(await peer.greet())
        assert await peer.hear() == Publish(2, [Run("a", [b"\x01"])], 1, True)
        assert await peer.hear() == Publish(3, [Run("a", [b"\x02"])], 2)
        await peer.say(Ack([[2, 5], [3, 6]]))
        await peer.until_gone()

    states = States()
    async with scripted(lose, acknowledge) as url, connect(url, publisher="me", on_state=states) as client:
        first = asyncio.create_task(client.publish("a", 1))
        await states.reach("reconnecting")
        second = asyncio.create_task(client.publish("a", 2))
        receipts = await asyncio.gather(first, second)

    assert [(receipt.epoch, receipt.offset) for receipt in receipts] == [(EPOCH, 5), (EPOCH, 6)]
    before, after = greeted
    assert before.publisher == after.publisher == "me"
    assert before.incarnation == after.incarnation is not None


async def test_a_client_without_a_name_gets_a_random_one() -> None:
    names: list[str | None] = []

    async def note(peer: Peer) -> None:
        names.append((await peer.greet()).publisher)
        await peer.until_gone()

    async with scripted(note, note) as url, connect(url), connect(url):
        pass

    assert len(set(names)) == 2
    assert all(name is not None and len(name) == 16 and int(name, 16) >= 0 for name in names)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\x00b"])
def test_a_name_that_cannot_be_is_told(name: str) -> None:
    with pytest.raises(ValueError, match="publisher must be 1 to 64 bytes without control characters"):
        connect(publisher=name)


async def test_another_epoch_leaves_the_outcome_unknown() -> None:
    async def another(peer: Peer) -> None:
        await peer.greet(EPOCH + 1)
        await peer.until_gone()

    async with scripted(swallow, another) as url, connect(url) as client:
        with pytest.raises(OutcomeUnknown, match="new epoch"):
            await client.publish("a", 1)


async def test_without_reconnect_the_outcome_is_unknown_at_once() -> None:
    async with scripted(swallow) as url, connect(url, reconnect=False) as client:
        with pytest.raises(OutcomeUnknown):
            await client.publish("a", 1)


async def test_what_finds_no_other_connection_in_time_has_an_unknown_outcome_and_goes_from_memory() -> None:
    async with scripted(swallow) as url, connect(url, timeout=0.3) as client:
        with pytest.raises(OutcomeUnknown, match=r"within 0\.3 s"):
            await client.publish("a", payload=bytes(1_000))
        assert not client._session.outbox


async def test_a_flush_says_that_what_publish_nowait_had_sent_may_be_lost() -> None:
    async def acknowledge(peer: Peer) -> None:
        await peer.greet()
        while (message := await peer.hear()) is not None:
            if isinstance(message, Publish):
                await peer.say(Ack([[message.id or 0]]))

    states = States()
    async with scripted(swallow, acknowledge) as url, connect(url, on_state=states) as client:
        client.publish_nowait("a", 1)
        await states.reach("connected", 2)
        with pytest.raises(OutcomeUnknown, match="publish_nowait"):
            await client.flush()
        await client.flush()


# Reading.


def one(offset: int, stamp: int, topic: str = "a.b", count: int = 1) -> Section:
    return Section(topic, offset, stamp, 1, [b"%c" % (offset + at) for at in range(count)])


async def test_what_was_missed_meanwhile_is_handed_out_before_what_follows() -> None:
    async def first(peer: Peer) -> None:
        await peer.greet()
        await peer.confirm(stamp=2)
        await peer.say(Delivery(0, [one(0, 3)]))

    async def second(peer: Peer) -> None:
        (request,) = (await peer.greet()).subscriptions
        assert request == Subscribe(request.id, "a.*", (EPOCH, 2), [("a.b", 1)])
        await peer.say(Subscribed(request.id, 1, 5), GapFrame(1, "a.b", 1, 3, "evicted"))
        await peer.say(Delivery(1, [one(3, 4)]), Join(request.id, 5), Delivery(0, [one(4, 6)]))
        await peer.until_gone()

    told: list[object] = []
    async with (
        scripted(first, second) as url,
        connect(url) as client,
        client.subscribe("a.*", on_gap=told.append) as subscription,
    ):
        async for message in subscription:
            told.append(message.offset)
            if message.offset == 4:
                break
        assert subscription.lost == 2

    assert told == [0, Gap("a.b", EPOCH, 1, 3, "evicted"), 3, 4]


async def test_a_history_goes_on_over_another_connection_and_ends_by_itself() -> None:
    async def first(peer: Peer) -> None:
        await peer.greet()
        await peer.confirm(stream=1, stamp=9)
        await peer.say(Delivery(1, [one(0, 3, count=2)]))

    async def second(peer: Peer) -> None:
        (request,) = (await peer.greet()).subscriptions
        assert request == Subscribe(request.id, "a.b", (EPOCH, 9), [("a.b", 2)], ("earliest",), True)
        await peer.say(Subscribed(request.id, 1, 9), Delivery(1, [one(1, 4, count=3)]), End(request.id))
        await peer.until_gone()

    async with scripted(first, second) as url, connect(url) as client:
        assert [message.offset async for message in client.history("a.b")] == [0, 1, 2, 3]


async def test_a_history_that_is_left_early_is_given_up() -> None:
    given_up = asyncio.Event()

    async def listen(peer: Peer) -> None:
        await peer.greet()
        await peer.confirm(stream=1, stamp=9)
        await peer.say(Delivery(1, [one(0, 3, count=2)]))
        assert type(await peer.hear()).__name__ == "Unsubscribe"
        given_up.set()
        await peer.until_gone()

    async with scripted(listen) as url, connect(url) as client:
        async for message in client.history("a.b"):
            assert message.offset == 0
            break
        await asyncio.wait_for(given_up.wait(), 5)


async def test_a_history_may_be_limited_and_the_gaps_in_it_are_not_counted() -> None:
    async def answer(peer: Peer) -> None:
        await peer.greet()
        for stream in (1, 2):
            await peer.confirm(stream=stream, stamp=9)
            await peer.say(Delivery(stream, [one(0, 3, count=2)]), GapFrame(stream, "a.b", 2, 5, "corrupt"))
            await peer.say(Delivery(stream, [one(5, 4, count=3)]))
            assert type(await peer.hear()).__name__ == "Unsubscribe"
        await peer.until_gone()

    async with scripted(answer) as url, connect(url) as client:
        async with client.history("a.b", limit=3, gaps=True) as history:
            items = [item async for batch in history.batches() for item in batch]
        assert [item.offset if not isinstance(item, Gap) else item.reason for item in items] == [0, 1, "corrupt", 5]
        told: list[Gap] = []
        assert [message.offset async for message in client.history("a.b", limit=3, on_gap=told.append)] == [0, 1, 5]
        assert [gap.count for gap in told] == [3]
        assert [message async for message in client.history("a.b", limit=0)] == []


async def test_what_cannot_be_asked_for_is_told_before_it_is_asked() -> None:
    async with scripted(stay) as url, connect(url) as client:
        with pytest.raises(ValueError, match="a history ends now"):
            client.history("a", since="now")
        with pytest.raises(ValueError, match="limit is a number"):
            client.history("a", limit=-1)
        with pytest.raises(ValueError, match="none of"):
            client.subscribe("a", since="newest")  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="since= goes without group="):
            client.subscribe("a", since="earliest", group="workers")
        with pytest.raises(Refused, match="empty segment"):
            client.consume("a..b", group="g")
        with pytest.raises(ValueError, match="max_unacked"):
            client.consume("a", group="g", max_unacked=0)


# Working.


async def test_work_is_asked_for_again_and_old_acknowledgments_are_counted() -> None:
    async def first(peer: Peer) -> None:
        await peer.greet()
        id = await peer.confirm(stream=1)
        await peer.say(Delivery(1, [one(0, 3, count=3)]))
        assert await peer.hear() == Consumed(id, [("a.b", 0, 2)])

    async def second(peer: Peer) -> None:
        await peer.greet()
        id = await peer.confirm(stream=1)
        await peer.say(Delivery(1, [Section("a.b", 2, 3, 1, [b"\x02"], attempt=2)]))
        assert await peer.hear() == Window(id, 2)  # it has had three in no time, and wants more
        assert await peer.hear() == Consumed(id, [("a.b", 2, 3)])
        await peer.until_gone()

    states = States()
    async with (
        scripted(first, second) as url,
        connect(url, on_state=states) as client,
        client.consume("a.*", group="g") as work,
    ):
        messages = [await anext(work) for _ in range(3)]
        await work.ack(messages[:2])
        await states.reach("connected", 2)
        await messages[2].ack()
        again = await anext(work)
        await again.ack()
        assert (again.offset, again.attempt, work.stale_acks, work.group) == (2, 2, 1, "g")
        assert repr(work) == "<Consumer of 'a.*' in group 'g'>"


async def test_an_acknowledgment_that_is_refused_is_logged_once_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.greet()
        id = await peer.confirm(stream=1)
        await peer.say(Delivery(1, [one(0, 3, count=2)]))
        for _ in range(2):
            assert isinstance(await peer.hear(), Consumed)
            await peer.say(Refusal(Consumed.kind, id, "ack_repeated", "offset 0 of 'a.b' is settled already"))
        await peer.until_gone()

    told: asyncio.Queue[Refused] = asyncio.Queue()
    async with (
        scripted(refuse) as url,
        connect(url, on_refused=told.put_nowait) as client,
        client.consume("a.*", group="g") as work,
    ):
        for _ in range(2):
            await (await anext(work)).ack()
            assert (await asyncio.wait_for(told.get(), 5)).code == "ack_repeated"

    assert [record.message for record in caplog.records if "refused" in record.message] == [
        "the broker refused an acknowledgment: offset 0 of 'a.b' is settled already [ack_repeated] "
        "(said once for each code)"
    ]


async def test_the_groups_are_listed_or_it_is_said_that_nobody_answered() -> None:
    async def answer(peer: Peer) -> None:
        await peer.greet()
        asked = await peer.hear()
        assert isinstance(asked, List)
        await peer.say(Groups(asked.id, [Group("billing", "orders.>", 2, 10, 3)]))
        await peer.until_gone()

    async with scripted(answer) as url, connect(url, timeout=0.2) as client:
        (group,) = await client.consumers()
        assert (group.name, group.pattern, group.members, group.lag, group.unacked) == ("billing", "orders.>", 2, 10, 3)
        with pytest.raises(ConnectionLost, match="no answer to the list of consumer groups"):
            await client.consumers()
