"""One publisher of each server, through its own Python client: a message or a hundred, and their acknowledgment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any, Protocol
from uuid import uuid4

import nats
from nats.aio.client import Client as NATS
from nats.js.api import StorageType, StreamConfig
from redis.asyncio import Redis

from durable.workloads import BATCH
from tickwire_client import Client, connect

TOPIC = "bench."  # and the number of the publisher: a topic, subject or stream for each


class Sender(Protocol):
    """A connection that publishes. Both methods return when the server has said that all of it is safe."""

    async def single(self) -> None: ...

    async def batch(self) -> None: ...

    async def close(self) -> None: ...


class Tickwire:
    """The SDK: `client.publish`, and for a hundred `client.batch`, which takes them as a list."""

    def __init__(self, client: Client, topic: str, payloads: list[bytes]) -> None:
        self._client, self._topic, self._payloads = client, topic, cycle(payloads)

    @classmethod
    async def open(cls, port: int, number: int, payloads: list[bytes]) -> Tickwire:
        client = await connect(f"ws://127.0.0.1:{port}", compress=False)
        return cls(client, f"{TOPIC}{number}", payloads)

    async def single(self) -> None:
        await self._client.publish(self._topic, payload=next(self._payloads))

    async def batch(self) -> None:
        async with self._client.batch() as batch:
            batch.extend(self._topic, payloads=islice(self._payloads, BATCH))

    async def close(self) -> None:
        await self._client.close()


class JetStream:
    """nats-py: `publish`, and for a hundred `publish_async`, all in flight at once."""

    def __init__(self, connection: NATS, subject: str, payloads: list[bytes]) -> None:
        self._connection, self._subject, self._payloads = connection, subject, cycle(payloads)
        self._stream = connection.jetstream(timeout=30)

    @classmethod
    async def open(cls, port: int, number: int, payloads: list[bytes]) -> JetStream:
        return cls(await _nats(port), f"{TOPIC}{number}", payloads)

    async def single(self) -> None:
        await self._stream.publish(self._subject, next(self._payloads))

    async def batch(self) -> None:
        publish = self._stream.publish_async
        await asyncio.gather(*[await publish(self._subject, payload) for payload in islice(self._payloads, BATCH)])

    async def close(self) -> None:
        await self._connection.close()


class JetStreamAtomic(JetStream):
    """The same with a hundred as one atomic batch (NATS 2.12): the last message commits, and its answer is for all."""

    async def batch(self) -> None:
        name = uuid4().hex
        for sequence in range(1, BATCH):
            headers = {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(sequence)}
            await self._connection.publish(self._subject, next(self._payloads), headers=headers)
        headers = {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(BATCH), "Nats-Batch-Commit": "1"}
        await self._stream.publish(self._subject, next(self._payloads), headers=headers)


class RedisStreams:
    """redis-py with hiredis: `xadd`, and a pipeline of a hundred."""

    def __init__(self, redis: Redis, stream: str, payloads: list[bytes]) -> None:
        self._redis, self._stream, self._payloads = redis, stream, cycle(payloads)

    @classmethod
    async def open(cls, port: int, number: int, payloads: list[bytes]) -> RedisStreams:
        return cls(Redis(port=port, single_connection_client=True), f"{TOPIC}{number}", payloads)

    async def single(self) -> None:
        await self._redis.xadd(self._stream, {"d": next(self._payloads)})

    async def batch(self) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for payload in islice(self._payloads, BATCH):
                pipeline.xadd(self._stream, {"d": payload})
            await pipeline.execute()

    async def close(self) -> None:
        await self._redis.aclose()


Open = Callable[[int, int, list[bytes]], Any]  # (port, number, payloads) -> awaitable Sender

SENDERS: dict[str, Open] = {
    "tickwire": Tickwire.open,
    "jetstream": JetStream.open,
    "jetstream-atomic": JetStreamAtomic.open,
    "redis": RedisStreams.open,
    "floor": Tickwire.open,
}
ONE_AT_A_TIME = {"redis"}  # on a connection of its client: several in flight need as many


async def prepare_jetstream(port: int) -> None:
    """The stream that holds all publishers' subjects, in files."""
    connection = await _nats(port)
    stream = StreamConfig(name="bench", subjects=[f"{TOPIC}*"], storage=StorageType.FILE, allow_atomic=True)
    await connection.jetstream().add_stream(stream)
    await connection.close()


async def stored_in_jetstream(port: int) -> int:
    """Messages in the stream."""
    connection = await _nats(port)
    info = await connection.jetstream().stream_info("bench")
    await connection.close()
    return int(info.state.messages)


async def stored_in_redis(port: int) -> int:
    """Entries in the publishers' streams."""
    async with Redis(port=port) as redis:
        return sum([await redis.xlen(key) for key in await redis.keys(f"{TOPIC}*")])


async def stored_in_tickwire(port: int) -> int:
    """Messages that a reader of the publishers' topics is given, from the earliest to the newest."""
    count = 0
    async with connect(f"ws://127.0.0.1:{port}", compress=False) as client:
        async for batch in client.history(f"{TOPIC}*").batches():
            count += len(batch)
    return count


async def _nats(port: int) -> NATS:
    return await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, connect_timeout=5)
