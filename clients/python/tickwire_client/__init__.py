"""The Python client of Tickwire. `tickwire_client.sync` has the same verbs for scripts without asyncio.

from tickwire_client import connect

async with connect("ws://127.0.0.1:8765") as client:
    await client.publish("prices.AAPL", {"bid": 187.2})
    async with client.subscribe("prices.*") as prices:
        async for message in prices:
            print(message.topic, message.data)

    async for trade in client.history("trades.AAPL", since=timedelta(minutes=5)):
        print(trade.position, trade.data)
    async with client.consume("orders.>", group="billing") as orders:
        async for order in orders:
            await order.ack()
"""

from .batch import Batch
from .client import Client, connect
from .consumer import Consumer
from .errors import BufferFull, ConnectionLost, OutcomeUnknown, Refused, TickwireError, WireError
from .history import History
from .messages import Gap, Group, Message, Messages, Position, Receipt
from .subscription import Subscription
from .work import Delivered

__all__ = [
    "Batch",
    "BufferFull",
    "Client",
    "ConnectionLost",
    "Consumer",
    "Delivered",
    "Gap",
    "Group",
    "History",
    "Message",
    "Messages",
    "OutcomeUnknown",
    "Position",
    "Receipt",
    "Refused",
    "Subscription",
    "TickwireError",
    "WireError",
    "connect",
]
