"""A web application with a broker mounted in it, and a page that shows prices: python examples/embed.py [PORT]"""

import asyncio
import contextlib
import sys
from pathlib import Path

from aiohttp import web

from tickwire.server import Broker, Settings
from tickwire_client import connect

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
PAGE = Path(__file__).with_name("page.html")


async def main() -> None:
    app = web.Application()
    app.router.add_get("/", page)
    Broker(Settings(retain_seconds=300)).mount(app, path="/ws")

    runner = web.AppRunner(app)
    await runner.setup()
    # aiohttp's own backlog is 128: a thousand clients that come back at once would wait for whole seconds.
    await web.TCPSite(runner, "127.0.0.1", PORT, backlog=4096).start()
    host, port = runner.addresses[0]
    print(f"open http://{host}:{port}/", flush=True)
    try:
        await publish(f"ws://{host}:{port}/ws")
    finally:
        await runner.cleanup()  # tells the clients that it goes, and when to come back


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


async def publish(url: str) -> None:
    """The application publishes as every other client does."""
    async with connect(url, name="the application") as client:
        for tick in range(1_000_000_000):
            await client.publish(f"prices.{'AB'[tick % 2]}", {"bid": 100 + tick % 17 / 8})
            await asyncio.sleep(0.25)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
