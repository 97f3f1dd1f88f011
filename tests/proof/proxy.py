"""A TCP proxy that breaks what goes through it, on 127.0.0.1. Its choices come from a seed."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

_BLOCK = 16 << 10


class Proxy:
    """Listens while the block runs: `async with Proxy(port, seed) as proxy`, and clients connect to `proxy.port`."""

    def __init__(self, target: int, seed: int = 0) -> None:
        self.target, self.port = target, 0
        self.delay = 0.0  # seconds that each block waits
        self.rate = 0.0  # bytes a second of one direction of one connection; 0 is no bound
        self.links: dict[Link, None] = {}
        self._random = Random(seed)
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()
        await asyncio.gather(*(link.ended.wait() for link in self.links))

    def cut_all(self) -> int:
        """Reset every connection. Returns how many there were."""
        for link in list(self.links):
            link.abort()
        return len(self.links)

    def cut_one_at(self, low: int, high: int) -> bool:
        """Cut one connection in the middle of what it carries: so many bytes from now, one way or the other."""
        if link := self._one():
            link.cut_in(self._random.randint(low, high), self._random.random() < 0.5)
        return link is not None

    def freeze_one(self) -> Link | None:
        """Forward nothing of one connection any more, without closing it: each side thinks that the other is silent."""
        if link := self._one():
            link.open.clear()
        return link

    def heal(self) -> None:
        """No delay and no bound any more, and what was frozen goes on."""
        self.delay = self.rate = 0.0
        for link in self.links:
            link.open.set()

    def _one(self) -> Link | None:
        return self._random.choice(list(self.links)) if self.links else None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            beyond = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(self, (reader, writer), beyond)
        self.links[link] = None
        try:
            await link.run()
        finally:
            del self.links[link]
            link.ended.set()


Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Link:
    """One connection through the proxy, with its two sides."""

    def __init__(self, proxy: Proxy, client: Side, broker: Side) -> None:
        self.open, self.ended = asyncio.Event(), asyncio.Event()
        self.open.set()
        self._proxy, self._client, self._broker = proxy, client, broker
        self._left: dict[bool, int] = {}  # whether to the broker -> bytes until the cut

    def cut_in(self, count: int, to_broker: bool) -> None:
        self._left = {to_broker: count}

    def abort(self) -> None:
        for _, writer in (self._client, self._broker):
            writer.transport.abort()
        self.open.set()

    async def run(self) -> None:
        """Forward both ways until one side ends."""
        ways = [
            asyncio.create_task(self._forward(self._client[0], self._broker[1], True)),
            asyncio.create_task(self._forward(self._broker[0], self._client[1], False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await self._close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_broker: bool) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(_BLOCK):
                await self._hold_up(len(block))
                left = self._left.get(to_broker)
                if left is not None:
                    block, whole = block[:left], block
                    self._left[to_broker] = left - len(block)
                    if len(block) < len(whole):
                        writer.write(block)
                        return
                writer.write(block)
                await writer.drain()

    async def _hold_up(self, size: int) -> None:
        proxy = self._proxy
        seconds = proxy.delay + (size / proxy.rate if proxy.rate else 0.0)
        if seconds:
            await asyncio.sleep(seconds)
        await self.open.wait()

    async def _close(self) -> None:
        """What was forwarded before the end still arrives, where anybody reads it."""
        for _, writer in (self._client, self._broker):
            writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.gather(self._client[1].wait_closed(), self._broker[1].wait_closed())
        self.abort()
