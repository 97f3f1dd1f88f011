"""A Tickwire broker behind TLS: in an aiohttp application that listens with a certificate, as docs/embedding.md has it.

The certificate and its key are nobody's: they were made for the bench, which connects to 127.0.0.1 and checks none.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
from pathlib import Path

import uvloop
from aiohttp import web

from tickwire.server import Broker, Settings
from tickwire_bench.processes import CONNECTIONS

FILES = Path(__file__).parent / "tls"
BACKLOG = 4_096


async def serve(port: int) -> None:
    """Listen until SIGTERM."""
    app, over = web.Application(), asyncio.Event()
    Broker(Settings(connections_per_ip=CONNECTIONS, connects_per_second=0)).mount(app, path="/ws")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(FILES / "cert.pem", FILES / "key.pem")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, backlog=BACKLOG)
    await site.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    print(f"listening on ws://127.0.0.1:{runner.addresses[0][1]}/ws", flush=True)
    await over.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(serve(parser.parse_args().port))
