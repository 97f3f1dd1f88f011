"""The demo's broker: a process that serves until the main one is done with it."""

from __future__ import annotations

import sys

import uvloop

from ..broker import Broker
from ..configuration.settings import Settings
from .child import say, told


async def main(port: int, readers: int) -> None:
    # All come from one address. Beside the readers there are the publisher and whoever looks in with `tickwire sub`.
    crowd = readers + 256
    broker = Broker(Settings(port=port, connections_per_ip=crowd, unauthenticated_per_ip=crowd))
    try:
        async with broker.serving() as url:
            say(url=url)
            async for _ in told():
                pass
    except OSError as error:
        say(error=f"cannot listen on port {port}: {error.strerror or error}; choose another with --port")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
