"""Prints the newest price of each symbol, once for each batch that comes: python examples/consumer.py [URL]"""

import asyncio
import contextlib
import sys

from tickwire_client import Gap, connect

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765"


async def main() -> None:
    async with (
        connect(URL, name="consumer", on_state=say) as client,
        client.subscribe("prices.*", on_gap=missed) as prices,  # the topics that match, from now on
    ):
        print("subscribed", flush=True)
        async for messages in prices.batches():  # a list at a time: the fast way
            newest = {message.topic: message.data["bid"] for message in messages}
            print(f"{len(messages)} new:", *(f"{topic} {bid}" for topic, bid in newest.items()), flush=True)


def say(state: str, detail: str) -> None:
    print(f"{state}: {detail}", file=sys.stderr)


def missed(gap: Gap) -> None:
    """Called in the place where the messages are missing, before the next ones are handed out."""
    if gap.start is None or gap.end is None:
        print(f"perhaps missed messages of {gap.topic}, how many is not known ({gap.reason})", file=sys.stderr)
    else:
        print(f"missed the messages {gap.start} to {gap.end - 1} of {gap.topic} ({gap.reason})", file=sys.stderr)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
