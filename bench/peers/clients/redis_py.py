"""redis-py's asyncio client with hiredis: `pubsub.listen()`, and PUBLISH, alone or in a pipeline without a transaction.

https://redis.readthedocs.io/en/stable/examples/asyncio_examples.html
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from redis.asyncio import Redis

from peers.clients.pace import CREDIT_TOPIC, TOPIC, Pace, Reading


async def read(port: int, seconds: float) -> None:
    async with Redis(port=port) as client, client.pubsub(ignore_subscribe_messages=True) as subscription:
        reading = Reading(seconds, lambda count: client.publish(CREDIT_TOPIC, count))
        await subscription.subscribe(TOPIC)
        await subscription.get_message(timeout=5)
        print("ready", flush=True)
        async for message in subscription.listen():
            await reading.took(message["data"])
            if reading.done.is_set():
                return


async def publish(port: int, in_flight: int, piped: bool) -> None:
    pace = Pace(in_flight)
    async with Redis(port=port) as client, client.pubsub(ignore_subscribe_messages=True) as subscription:
        await subscription.subscribe(CREDIT_TOPIC)
        await subscription.get_message(timeout=5)

        async def listen() -> None:
            async for message in subscription.listen():
                pace.had(message["data"])

        async def one_by_one(payloads: list[bytes]) -> None:
            for payload in payloads:
                await client.publish(TOPIC, payload)

        async def in_a_pipeline(payloads: list[bytes]) -> None:
            async with client.pipeline(transaction=False) as pipeline:
                for payload in payloads:
                    pipeline.publish(TOPIC, payload)
                await pipeline.execute()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listen())
            await pace.publish(in_a_pipeline if piped else one_by_one)


if __name__ == "__main__":
    role, port, amount = sys.argv[1:]
    if role == "read":
        uvloop.run(read(int(port), float(amount)))
    else:
        uvloop.run(publish(int(port), int(amount), role == "publish-piped"))
