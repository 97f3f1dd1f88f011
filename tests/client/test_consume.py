"""Consumer groups, against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from client.scripted import States
from client.test_leaving import cut
from tickwire.server import Broker, Settings
from tickwire_client import Client, Consumer, Delivered, Group, OutcomeUnknown, Refused, connect
from tickwire_client import sync as scripts

pytestmark = pytest.mark.usefixtures("frames_either_way")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with Broker(Settings()).serving(port=0) as url:
        yield url


async def test_a_group_goes_on_where_it_was(url: str) -> None:
    async with connect(url) as client:
        for at in range(10):
            await client.publish("orders.a", at)
        async with client.consume("orders.>", group="billing") as work:
            for at in range(4):
                message = await anext(work)
                assert (message.data, message.attempt) == (at, 1)
                await message.ack()
        async with client.consume("orders.>", group="billing") as work:
            received = [await anext(work) for _ in range(6)]
            await work.ack(received)
            await client.flush()
            assert await client.consumers() == [Group("billing", "orders.>", 1, 0, 0)]

    assert [message.data for message in received] == [4, 5, 6, 7, 8, 9]


async def test_who_asks_for_no_other_terms_gets_those_of_the_broker() -> None:
    async with Broker(Settings(attempts=2, ack_timeout=0.2)).serving(port=0) as url, connect(url) as client:
        await client.publish("o", "left open")
        async with client.subscribe("$dead.g") as dead, client.consume("o", group="g") as work:
            handed = [(await anext(work)).attempt for _ in range(2)]
            letter = (await anext(dead)).data

    assert (handed, letter["attempts"]) == ([1, 2], 2)


async def test_members_share_the_work_and_each_message_goes_to_one(url: str) -> None:
    done: list[object] = []

    async def member() -> None:
        async with connect(url) as client, client.consume("o", group="g", max_unacked=10) as work:
            await ready.wait()
            async for message in work:
                done.append(message.data)
                await message.ack()
                if len(done) == 2_000:
                    everything.set()

    ready, everything = asyncio.Barrier(3), asyncio.Event()
    members = [asyncio.create_task(member()) for _ in range(2)]
    async with connect(url) as client:
        await ready.wait()
        assert [group.members for group in await client.consumers()] == [2]
        for at in range(2_000):
            client.publish_nowait("o", at)
        await client.flush()
        await asyncio.wait_for(everything.wait(), 10)
    for task in members:
        task.cancel()
    await asyncio.gather(*members, return_exceptions=True)

    assert sorted(done) == list(range(2_000))  # type: ignore[type-var]


async def test_what_a_member_had_when_its_connection_went_is_handed_out_again(url: str) -> None:
    states = States()
    async with connect(url, on_state=states) as client, client.consume("o", group="g") as work:
        for at in range(3):
            await client.publish("o", at)
        first = [await anext(work) for _ in range(3)]
        await first[0].ack()
        await client.flush()

        cut(client)
        await states.reach("connected", 2)
        again = [await anext(work) for _ in range(2)]
        await first[1].ack()
        await work.ack(again)
        with pytest.raises(OutcomeUnknown):  # of the acknowledgment that came too late
            await client.flush()
        await client.flush()
        (group,) = await client.consumers()

    assert [(message.data, message.attempt) for message in again] == [(1, 2), (2, 2)]
    assert work.stale_acks == 1
    assert (group.lag, group.unacked) == (0, 0)


async def test_what_is_given_back_comes_again_after_its_delay(url: str) -> None:
    async with connect(url) as client, client.consume("o", group="g") as work:
        await client.publish("o", 1)
        message = await anext(work)
        began = asyncio.get_running_loop().time()
        await message.nack(delay=0.3)
        again = await anext(work)

        assert (again.data, again.attempt) == (1, 2)
        assert asyncio.get_running_loop().time() - began >= 0.3


async def test_what_is_not_acknowledged_in_time_comes_again_and_in_the_end_goes_to_the_dead(url: str) -> None:
    async with (
        connect(url) as client,
        client.subscribe("$dead.g") as dead,
        client.consume("o", group="g", ack_timeout=0.2, attempts=2) as work,
    ):
        receipt = await client.publish("o", "poison")
        attempts = [(await anext(work)).attempt for _ in range(2)]
        letter = await asyncio.wait_for(anext(dead), 10)

    assert attempts == [1, 2]
    assert (letter.data["topic"], letter.data["offset"]) == ("o", receipt.offset)


async def test_the_window_holds_work_back(url: str) -> None:
    async with connect(url) as client, client.consume("o", group="g", max_unacked=3) as work:
        for at in range(5):
            await client.publish("o", at)
        had = [await anext(work) for _ in range(3)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                raise AssertionError(f"{await anext(work)} came beyond the window")
        await work.ack(had)
        assert [(await anext(work)).data for _ in range(2)] == [3, 4]


async def test_acknowledging_twice_is_refused_and_told(url: str) -> None:
    told: asyncio.Queue[Refused] = asyncio.Queue()
    async with connect(url, on_refused=told.put_nowait) as client, client.consume("o", group="g") as work:
        await client.publish("o", 1)
        message = await anext(work)
        await message.ack()
        await client.flush()
        await message.ack()

        assert (await asyncio.wait_for(told.get(), 5)).code == "ack_repeated"


async def test_a_group_has_one_pattern(url: str) -> None:
    async with connect(url) as client, client.consume("o", group="g"):
        with pytest.raises(Refused) as refused:
            await client.consume("other", group="g")

    assert refused.value.code == "group_conflict"


async def test_batches_are_acknowledged_as_a_whole(url: str) -> None:
    async with connect(url) as client, client.consume("o.*", group="g") as work:
        for at in range(500):
            client.publish_nowait(f"o.{at % 3}", at)
        await client.flush()
        received: list[Delivered] = []
        async for messages in work.batches():
            received += messages
            await work.ack(messages)
            if len(received) == 500:
                break
        await client.flush()
        (group,) = await client.consumers()

    assert sorted(message.data for message in received) == list(range(500))
    assert (group.lag, group.unacked) == (0, 0)


async def test_a_script_works_too(url: str) -> None:
    def script() -> None:
        with scripts.connect(url) as client:
            for at in range(6):
                client.publish("o", at)
            with client.consume("o", group="g") as work:
                first = next(work)
                first.nack()
                values = []
                for message in work:
                    values.append((message.data, message.attempt))
                    message.ack()
                    if len(values) == 6:
                        break
                client.flush()
                assert sorted(values) == [(0, 2), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]
                (group,) = client.consumers()
                assert (group.name, group.members, group.lag, group.unacked) == ("g", 1, 0, 0)
                with pytest.raises(ValueError, match="delay"):
                    message.nack(delay=-1)
                assert (work.group, work.stale_acks, repr(work)) == ("g", 0, "<Consumer of 'o' in group 'g'>")
                for at in range(3):
                    client.publish("o", at)
                batch = next(work.batches())
                work.ack(batch)
            assert isinstance(batch[0], scripts.Delivered)

    await asyncio.to_thread(script)


async def test_a_message_over_which_the_work_fails_again_and_again_goes_to_the_dead(url: str) -> None:
    attempts: list[tuple[object, int]] = []

    async def work_on(client: Client) -> None:
        async with client.consume("o", group="g", attempts=3) as work:
            async for message in work:
                attempts.append((message.data, message.attempt))
                if message.data == "bad":
                    raise ZeroDivisionError
                await message.ack()

    async with connect(url) as client, client.subscribe("$dead.g") as dead:
        for data in ("good", "bad", "good too"):
            await client.publish("o", data)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await work_on(client)
        buried = await anext(dead)
        async with client.consume("o", group="g") as work:
            last = await anext(work)

    assert attempts == [("good", 1), ("bad", 1), ("bad", 2), ("bad", 3)]
    assert (buried.data["offset"], buried.data["attempts"]) == (1, 3)
    assert (last.data, last.attempt) == ("good too", 1)


async def test_an_error_counts_for_the_first_of_a_list_that_is_not_acknowledged(url: str) -> None:
    async def work_on(client: Client) -> None:
        async with client.consume("o", group="g") as work:
            for _ in range(2):  # it has all of its window, and wants more
                await work.next_batch()
            first, _ = await work.next_batch()
            await first.ack()
            raise ZeroDivisionError

    async with connect(url) as client:
        async with client.batch() as batch:
            for at in range(4):
                batch.add("o", at)
        with pytest.raises(ZeroDivisionError):
            await work_on(client)
        async with client.consume("o", group="g") as work:
            rest = [await anext(work) for _ in range(3)]

    assert [(message.data, message.attempt) for message in rest] == [(0, 1), (1, 1), (3, 2)]


async def test_an_error_in_a_script_counts_too(url: str) -> None:
    def work_on(client: scripts.Client) -> None:
        with client.consume("o", group="g") as work:
            next(work)
            raise ZeroDivisionError

    def script() -> None:
        with scripts.connect(url) as client:
            client.publish("o", 1)
            with pytest.raises(ZeroDivisionError):
                work_on(client)
            with client.consume("o", group="g") as work:
                assert next(work).attempt == 2

    await asyncio.to_thread(script)


# Work that is slow.


async def test_what_waits_for_slow_work_is_neither_handed_out_again_nor_given_up(url: str) -> None:
    """The ack timeout is that of a message in the application's hands: four of them pass while the rest waits."""
    attempts: list[int] = []
    async with connect(url) as client, client.consume("o", group="g", ack_timeout=0.6, attempts=1) as work:
        async with client.batch() as batch:
            for at in range(12):
                batch.add("o", at)
        for _ in range(12):
            message = await anext(work)
            attempts.append(message.attempt)
            await asyncio.sleep(0.2)  # the work
            await message.ack()
        await client.flush()
        (group,) = await client.consumers()
        letters = [letter async for letter in client.history("$dead.g")]

    assert (attempts, group.lag, letters) == ([1] * 12, 0, [])


async def test_who_joins_later_gets_a_share_while_the_others_are_at_work(url: str) -> None:
    async with connect(url) as client:
        async with client.batch() as batch:
            for at in range(800):
                batch.add("o", at)
        async with contextlib.AsyncExitStack() as stack:
            members = [await stack.enter_async_context(client.consume("o", group="g")) for _ in range(3)]
            firsts = [await asyncio.wait_for(anext(member), 10) for member in members]

    assert len({message.offset for message in firsts}) == 3


async def test_who_collects_before_it_acknowledges_gets_as_many_as_it_may(url: str) -> None:
    async with connect(url) as client, client.consume("o", group="g", max_unacked=500) as work:
        async with client.batch() as batch:
            for at in range(501):
                batch.add("o", at)
        collected = [await asyncio.wait_for(anext(work), 10) for _ in range(500)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(work), 0.1)
        await work.ack(collected)
        last = await asyncio.wait_for(anext(work), 10)

    assert [message.data for message in (*collected, last)] == list(range(501))


async def test_what_an_application_that_hangs_has_not_seen_goes_to_another_uncounted(url: str) -> None:
    async with connect(url) as client, client.consume("o", group="g", ack_timeout=0.4) as hanging:
        async with client.batch() as batch:
            for at in range(3):
                batch.add("o", at)
        assert (await anext(hanging)).data == 0
        async with client.consume("o", group="g") as other:
            messages = [await anext(other) for _ in range(3)]
            await other.ack(messages)
        await client.publish("o", 3)
        following = await anext(hanging)

    assert sorted([(message.data, message.attempt) for message in messages]) == [(0, 2), (1, 1), (2, 1)]
    assert following.data == 3


async def test_work_in_progress_keeps_its_message(url: str) -> None:
    async with connect(url) as client, client.consume("o", group="g", ack_timeout=0.4) as work:
        await client.publish("o", "long")
        message = await anext(work)
        async with client.consume("o", group="g") as other:
            for _ in range(10):
                await asyncio.sleep(0.1)
                await message.in_progress()
            await message.ack()
            await client.publish("o", "next")
            following = await asyncio.wait_for(anext(other), 10)
            (group,) = await client.consumers()

    assert (following.data, following.attempt) == ("next", 1)
    assert group.unacked == 1


async def test_slow_work_of_a_script_keeps_what_waits_too(url: str) -> None:
    attempts: list[int] = []

    def script() -> None:
        with scripts.connect(url) as client, client.consume("o", group="g", ack_timeout=0.6, attempts=1) as work:
            with client.batch() as batch:
                for at in range(9):
                    batch.add("o", at)
            for message in work:
                attempts.append(message.attempt)
                time.sleep(0.2)  # the work
                if message.data == 8:
                    for _ in range(5):
                        time.sleep(0.2)
                        message.in_progress()
                message.ack()
                if message.data == 8:
                    break
            client.flush()
            (group,) = client.consumers()
            assert (group.lag, group.unacked) == (0, 0)
            assert list(client.history("$dead.g")) == []

    await asyncio.to_thread(script)

    assert attempts == [1] * 9


async def test_tasks_share_a_consumer_and_nothing_is_lost_between_them(url: str) -> None:
    """One waits for a batch while another is in the middle of its own."""
    done: list[object] = []

    async def worker(work: Consumer) -> None:
        async for message in work:
            await asyncio.sleep(0.01)  # the work
            done.append(message.data)
            await message.ack()
            if len(done) == 60:
                everything.set()

    everything = asyncio.Event()
    async with connect(url) as client, client.consume("o", group="g") as work:
        tasks = [asyncio.create_task(worker(work)) for _ in range(4)]
        async with client.batch() as batch:
            for at in range(60):
                batch.add("o", at)
        await asyncio.wait_for(everything.wait(), 20)
        for task in tasks:
            task.cancel()

    assert sorted(done) == list(range(60))  # type: ignore[type-var]


async def test_a_loop_that_is_blocked_gives_nothing_to_the_dead_that_was_not_seen(url: str) -> None:
    seen: list[object] = []
    async with connect(url) as client, client.consume("o", group="g", ack_timeout=0.3, attempts=3) as work:
        async with client.batch() as batch:
            for at in range(6):
                batch.add("o", at)
        while len(set(seen)) < 6:
            message = await asyncio.wait_for(anext(work), 10)
            seen.append(message.data)
            time.sleep(0.2 if message.data else 0.4)  # noqa: ASYNC251 - as handlers do that know no better
            await message.ack()
        await client.flush()
        letters = [letter async for letter in client.history("$dead.g")]

    assert letters == []


async def test_closed_consumers_leave_no_timer(url: str) -> None:
    async with connect(url) as client:
        work = await client.consume("o", group="g", ack_timeout=3_600)
        timer = work._timer
        await work.close()

    assert timer.cancelled()
