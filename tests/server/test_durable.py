"""A broker with a data directory, as its users meet it: restarts, kills, full and failing disks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from house.process import BrokerProcess, broker_process
from tickwire.server import Broker, Settings
from tickwire.server.configuration.topic_rules import read_rules
from tickwire.store.disk import StoreError
from tickwire.store.disk.place import DATABASE, JOURNAL, WAL
from tickwire_client import Client, Gap, Message, OutcomeUnknown, Position, Receipt, Refused, TickwireError, connect

MIB = 1 << 20


@contextlib.asynccontextmanager
async def in_process(data: Path, **settings: object) -> AsyncIterator[Client]:
    """A client of a broker that lives as long as the block."""
    made = Settings(data=str(data), **settings)  # type: ignore[arg-type]
    async with Broker(made).serving(port=0) as url, connect(url) as client:
        yield client


@contextlib.asynccontextmanager
async def killed(data: Path, *flags: str) -> AsyncIterator[tuple[BrokerProcess, Client]]:
    """A broker in a process of its own, and a client of it that does not come back."""
    async with (
        broker_process("--data", str(data), *flags) as broker,
        connect(broker.url, reconnect=False, timeout=10) as client,
    ):
        yield broker, client


async def kept(client: Client, pattern: str) -> list[tuple[int, object]]:
    """What the broker has of it: offsets and data."""
    return [(message.offset, message.data) async for message in client.history(pattern)]


async def health(broker: BrokerProcess) -> tuple[int, str]:
    url = broker.url.replace("ws://", "http://").replace("/ws", "/health")
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, json.loads(await answer.text())["status"]


async def metric(broker: BrokerProcess, name: str) -> float:
    url = broker.url.replace("ws://", "http://").replace("/ws", "/metrics")
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


async def received(broker: BrokerProcess, frames: int) -> bool:
    return await metric(broker, "tickwire_frames_in_total") >= frames


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what nobody announces, within bounded time."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def fill(client: Client, topic: str) -> tuple[list[int], str]:
    """Publish until it is refused: the offsets that were taken, and the code."""
    offsets: list[int] = []
    for _ in range(1_000):
        try:
            offsets.append((await client.publish(topic, payload=os.urandom(500_000))).offset)
        except Refused as refused:
            return offsets, refused.code
    raise AssertionError("it was never full")


async def publish_until_unknown(client: Client, topic: str) -> tuple[list[int], OutcomeUnknown | None]:
    """Publish until nobody knows what became of it: the offsets that were taken."""
    offsets: list[int] = []
    for _ in range(200):
        try:
            offsets.append((await client.publish(topic, payload=os.urandom(500_000))).offset)
        except OutcomeUnknown as unknown:
            return offsets, unknown
    return offsets, None


async def until_published(client: Client, topic: str) -> Receipt:
    """Publish until it is taken: within bounded time."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(Refused):
                return await client.publish(topic, "at last")
            await asyncio.sleep(0.1)


@contextlib.contextmanager
def injected(
    broker: BrokerProcess, data: Path, how: str, *files: str, calls: str = "fdatasync,fsync,pwrite64"
) -> Iterator[None]:
    """What the kernel answers where the broker's files, or only those, are written or synced."""
    command = ["strace", "-f", "-p", str(broker.pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{how}"]
    for name in files or (JOURNAL, DATABASE, WAL):
        command += ["-P", str(data / name)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as strace:
        try:
            assert strace.stderr is not None
            assert b"attached" in strace.stderr.readline()
            yield
        finally:
            strace.terminate()


@contextlib.contextmanager
def disk_of(size: int, where: Path) -> Iterator[Path]:
    """A small disk of its own."""
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tickwire", str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


# Restarts.


async def test_a_restart_keeps_messages_and_goes_on_with_their_offsets(tmp_path: Path) -> None:
    async with in_process(tmp_path / "data") as client:
        first = await client.publish("a.b", {"n": 1})
        await client.publish("a.c", payload=b"\x00")

    async with in_process(tmp_path / "data") as client:
        again = await client.publish("a.b", {"n": 2})
        found = await kept(client, "a.b"), await kept(client, "a.c")

    assert (again.epoch, again.offset) == (first.epoch, first.offset + 1)
    assert found == ([(0, {"n": 1}), (1, {"n": 2})], [(0, b"\x00")])


async def test_nothing_acknowledged_is_lost_by_kill_9_under_load(tmp_path: Path) -> None:
    acknowledged: dict[int, int] = {}

    async def publish(client: Client, start: int, many: asyncio.Event) -> None:
        with contextlib.suppress(TickwireError):
            for n in range(start, start + 1_000_000):
                acknowledged[(await client.publish("t", n)).offset] = n
                if n == start + 50:
                    many.set()

    for life in range(3):
        async with killed(tmp_path / "data") as (broker, client):
            many = asyncio.Event()
            starts = [(8 * life + i) * 1_000_000 for i in range(8)]
            publishers = [asyncio.create_task(publish(client, start, many)) for start in starts]
            await asyncio.wait_for(many.wait(), 20)
            broker.process.kill()
            await asyncio.gather(*publishers)

    async with in_process(tmp_path / "data") as client:
        found = await kept(client, "t")
    assert [offset for offset, _ in found] == list(range(len(found)))
    assert len(acknowledged) > 150
    assert acknowledged.items() <= dict(found).items()


async def test_a_stop_lets_those_who_publish_have_their_acknowledgments(tmp_path: Path) -> None:
    async with killed(tmp_path / "data") as (broker, client):
        with injected(broker, tmp_path / "data", "delay_exit=300000"):
            publishes = [asyncio.create_task(client.publish("t", n)) for n in range(10)]
            await until(lambda: received(broker, 2))
            broker.process.send_signal(signal.SIGTERM)
            receipts = await asyncio.gather(*publishes)
            code = await asyncio.wait_for(broker.process.wait(), 20)

    assert code == 0
    assert [receipt.offset for receipt in receipts] == list(range(10))


async def test_what_some_topics_keep_follows_their_rules(tmp_path: Path) -> None:
    rules = [{"pattern": "short.*", "retain_messages": 10}, {"pattern": "volatile.*", "durable": False}]

    async with in_process(tmp_path / "data", topics=rules) as client:
        for n in range(30):
            await client.publish("short.a", n)
            await client.publish("long.a", n)
            await client.publish("volatile.a", n)
    # Memory had them all until here, for those who come late.
    async with in_process(tmp_path / "data", topics=rules) as client:

        async def dropped() -> bool:
            return len(await kept(client, "short.a")) <= 10

        await until(dropped)
        found = {topic: [n for _, n in await kept(client, topic)] for topic in ("short.a", "long.a", "volatile.a")}

    assert found == {"short.a": list(range(20, 30)), "long.a": list(range(30)), "volatile.a": []}


# A disk that is slow.


async def test_the_loop_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    async with killed(tmp_path / "data") as (broker, client):
        await client.publish("t", "before")
        with injected(broker, tmp_path / "data", "delay_exit=1000000"):
            publish = asyncio.create_task(client.publish("t", "slow"))
            await until(lambda: received(broker, 3))

            async with asyncio.timeout(0.5):
                async with client.subscribe("other"):
                    found = await kept(client, "t")

            assert not publish.done()
            assert found == [(0, "before")]
            assert (await publish).offset == 1


# A directory that cannot be used.


async def test_a_second_broker_on_the_directory_is_refused(tmp_path: Path) -> None:
    async with in_process(tmp_path / "data") as client:
        with pytest.raises(StoreError, match="is in use by process"):
            async with in_process(tmp_path / "data"):
                pass

        assert (await client.publish("t", 1)).offset == 0


async def test_how_much_of_a_topic_in_memory_went_with_the_broker_is_not_known(tmp_path: Path) -> None:
    rules = {"topics": read_rules([{"pattern": "m.>", "durable": False}])}
    async with in_process(tmp_path / "data", **rules) as client:
        first = await client.publish("m.a", 1)
    async with in_process(tmp_path / "data", **rules) as client:
        again = await client.publish("m.a", 2)
        since = Position("m.a", first.epoch, first.offset)
        found = [each async for each in client.history("m.a", since=since, gaps=True)]

    (gap, message) = found
    assert isinstance(gap, Gap)
    assert (gap.start, gap.end, gap.reason, gap.count) == (first.offset, again.offset, "freed", None)
    assert str(gap) == "messages of m.a may be missing, how many is not known (freed)"
    assert isinstance(message, Message)
    assert message.data == 2


# A disk that is full.


async def test_a_full_disk_refuses_and_goes_on_by_itself_when_there_is_room(tmp_path: Path) -> None:
    with disk_of(112 * MIB, tmp_path / "disk") as disk:
        async with killed(disk / "data") as (broker, client):
            ballast = disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(bytes(64 << 10))
                    file.flush()
            stored, code = await fill(client, "t")
            told = await health(broker)
            read = len(await kept(client, "t"))
            ballast.unlink()
            last = await until_published(client, "t")

            assert code == "no_space"
            assert told == (503, "no_space")
            assert read == len(stored)
            assert last.offset == len(stored)
            assert await health(broker) == (200, "ok")
        async with in_process(disk / "data") as client:
            assert [offset for offset, _ in await kept(client, "t")] == [*stored, last.offset]


async def test_retention_makes_room_on_a_full_disk(tmp_path: Path) -> None:
    with disk_of(112 * MIB, tmp_path / "disk") as disk:
        async with killed(disk / "data", "--disk-retain-seconds", "2") as (_, client):
            _, code = await fill(client, "t")
            last = await until_published(client, "t")

            assert code == "no_space"
            assert (last.offset, "at last") in await kept(client, "t")


# A disk that fails.


async def test_a_failed_fsync_leaves_one_outcome_unknown_and_ends_all_writing(tmp_path: Path) -> None:
    async with killed(tmp_path / "data") as (broker, client), client.subscribe("t") as reader:
        for n in range(3):
            await client.publish("t", n)
        with injected(broker, tmp_path / "data", "error=EIO"), pytest.raises(OutcomeUnknown):
            await client.publish("t", "lost?")
        with pytest.raises(Refused) as refused:
            await client.publish("t", "after")

        assert refused.value.code == "store_failed"
        assert await health(broker) == (503, "store_failed")
        assert await metric(broker, "tickwire_store_failed") == 1
        assert await kept(client, "t") == [(0, 0), (1, 1), (2, 2)]
        assert [(await anext(reader)).data for _ in range(3)] == [0, 1, 2]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(reader), 0.3)


async def test_a_failed_fsync_beside_the_commits_ends_all_writing_too(tmp_path: Path) -> None:
    async with killed(tmp_path / "data") as (broker, client):
        with injected(broker, tmp_path / "data", "error=EIO:when=1", DATABASE, calls="fdatasync,fsync"):
            stored, outcome = await publish_until_unknown(client, "t")
        with pytest.raises(Refused) as refused:
            await client.publish("t", "after")

        assert isinstance(outcome, OutcomeUnknown)
        assert len(stored) > 20  # it was no commit that met it
        assert refused.value.code == "store_failed"
        assert await health(broker) == (503, "store_failed")
        assert [offset for offset, _ in await kept(client, "t")] == stored


async def test_an_error_on_the_way_from_the_journal_to_the_database_ends_all_writing_too(tmp_path: Path) -> None:
    async with killed(tmp_path / "data") as (broker, client):

        async def is_red() -> bool:
            return await health(broker) == (503, "store_failed")

        stored: list[int] = []
        with injected(broker, tmp_path / "data", "error=EIO", WAL):
            # So many go home together, and the last of them may not be acknowledged before that fails.
            with contextlib.suppress(OutcomeUnknown):
                stored += [(await client.publish("t", n)).offset for n in range(63)]
                stored.append((await client.publish("t", 63)).offset)
            await until(is_red)
        if len(stored) == 64:
            with pytest.raises(OutcomeUnknown):
                await client.publish("t", "lost?")
        with pytest.raises(Refused, match="store_failed"):
            await client.publish("t", "after")

        assert len(stored) >= 63
        assert [offset for offset, _ in await kept(client, "t")][: len(stored)] == stored


async def test_an_error_that_retention_meets_makes_health_red_before_anybody_publishes(tmp_path: Path) -> None:
    async with killed(tmp_path / "data", "--disk-retain-seconds", "1") as (broker, client):
        await client.publish("t", 1)

        async def is_red() -> bool:
            return await health(broker) == (503, "store_failed")

        with injected(broker, tmp_path / "data", "error=EIO"):
            await until(is_red)
        with pytest.raises(OutcomeUnknown):
            await client.publish("t", 2)
        with pytest.raises(Refused, match="store_failed"):
            await client.publish("t", 3)


async def test_a_broker_that_is_told_to_exits_when_its_disk_fails(tmp_path: Path) -> None:
    async with killed(tmp_path / "data", "--exit-on-store-failure") as (broker, client):
        await client.publish("t", 1)
        with injected(broker, tmp_path / "data", "error=EIO"):
            with pytest.raises(OutcomeUnknown):
                await client.publish("t", 2)
            code = await asyncio.wait_for(broker.process.wait(), 20)

    assert code == 1
    async with in_process(tmp_path / "data") as client:
        assert (await kept(client, "t"))[0] == (0, 1)
