"""What can go wrong for a client, by whose fault it was. The first three are the wire's own, shown here again."""

from __future__ import annotations

from tickwire.wire.errors import Refused, TickwireError, WireError

__all__ = ["BufferFull", "ConnectionLost", "OutcomeUnknown", "Refused", "TickwireError", "WireError"]

CLOSED = "the client is closed; connect() makes another one"  # what a ConnectionLost says then


class ConnectionLost(TickwireError):
    """There is no connection, or none came in time. What raised this was certainly not sent."""


class OutcomeUnknown(TickwireError):
    """It was sent, and nobody can say what became of it: it may have been stored or not."""


class BufferFull(TickwireError):
    """`publish_nowait` was called faster than the connection takes. Nothing of this call was kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{limit} bytes wait to be sent, the limit: await client.flush() from time to time")
