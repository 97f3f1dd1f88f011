"""Publishes prices that wander, ten batches a second, until Ctrl-C: python examples/producer.py [URL]"""

import asyncio
import contextlib
import random
import sys

from tickwire_client import ConnectionLost, OutcomeUnknown, connect

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765"
prices = {"AAPL": 187.2, "MSFT": 410.0, "NVDA": 131.5}


async def main() -> None:
    async with connect(URL, name="producer") as client:
        while True:
            try:
                async with client.batch() as batch:  # one frame, accepted or refused as a whole
                    for symbol, bid in wander().items():
                        batch.add(f"prices.{symbol}", {"bid": bid})
                print("published", *(f"{receipt.topic}@{receipt.offset}" for receipt in batch.receipts), flush=True)
            except (ConnectionLost, OutcomeUnknown) as error:
                # The client comes back by itself; prices that are old by then are worth nothing.
                print(f"not acknowledged: {error}", file=sys.stderr)
            await asyncio.sleep(0.1)


def wander() -> dict[str, float]:
    for symbol, bid in prices.items():
        prices[symbol] = round(bid * random.uniform(0.999, 1.001), 2)
    return prices


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
