"""nats-py: a subscription with a callback, and `await nc.publish(...)`. https://github.com/nats-io/nats.py#basic-usage

The callback is its faster way: `async for` over a subscription has about half of that. Its limits on what waits for a
callback are off: it would drop messages there.
"""

from __future__ import annotations

import sys

import nats
import uvloop
from nats.aio.msg import Msg

from peers.clients.pace import CREDIT_TOPIC, TOPIC, Pace, Reading


async def read(port: int, seconds: float) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    reading = Reading(seconds, lambda count: client.publish(CREDIT_TOPIC, str(count).encode()))

    async def on_message(message: Msg) -> None:
        await reading.took(message.data)

    await client.subscribe(TOPIC, cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)
    await client.flush()
    print("ready", flush=True)
    await reading.done.wait()
    await client.close()


async def publish(port: int, in_flight: int) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    pace = Pace(in_flight)

    async def on_credit(message: Msg) -> None:
        pace.had(message.data)

    async def send(payloads: list[bytes]) -> None:
        for payload in payloads:
            await client.publish(TOPIC, payload)

    await client.subscribe(CREDIT_TOPIC, cb=on_credit)
    await client.flush()
    await pace.publish(send)


if __name__ == "__main__":
    role, port, amount = sys.argv[1:]
    uvloop.run(read(int(port), float(amount)) if role == "read" else publish(int(port), int(amount)))
