"""An aiohttp server of our own: it listens, and cuts off who does not finish the handshake in time."""

from __future__ import annotations

import asyncio

from aiohttp import web

from .settings import Settings

_KEEP_ALIVE = 10.0  # seconds between two plain HTTP requests, such as Prometheus's
_TICK, _SHORTEST_TICK = 1.0, 0.02  # seconds


class Listener:
    """Serves an application on one address. Raises OSError where that cannot be had."""

    def __init__(self, app: web.Application, settings: Settings) -> None:
        self._settings = settings
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=_KEEP_ALIVE, shutdown_timeout=1.0)
        app.on_response_prepare.append(self._answered)
        # In the order in which they were accepted; aiohttp itself waits 75 s for the rest of a header.
        self._handshakes: dict[web.RequestHandler, float] = {}
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.authority = ""

    async def start(self, host: str, port: int) -> None:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._accept, host, port, backlog=self._settings.backlog)
        except BaseException:
            await self._runner.cleanup()
            raise
        name = self._server.sockets[0].getsockname()
        shown = f"[{host}]" if ":" in host else host
        self.authority = f"{shown}:{name[1]}"
        self._tick()

    async def stop(self) -> None:
        """Accept nobody any more, then let the application say goodbye."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        handler = server()
        self._handshakes[handler] = asyncio.get_running_loop().time() + self._settings.handshake_timeout
        return handler

    async def _answered(self, request: web.Request, response: web.StreamResponse) -> None:
        self._handshakes.pop(request.protocol, None)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(_TICK, max(_SHORTEST_TICK, self._settings.handshake_timeout / 4)), self._tick)
        now = loop.time()
        late = []
        for handler, deadline in self._handshakes.items():
            if deadline > now:
                break
            late.append(handler)
        for handler in late:
            del self._handshakes[handler]
            if handler.transport is not None:
                handler.transport.abort()
