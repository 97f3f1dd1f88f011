"""The caps of addresses as clients meet them that come over IPv6, out of a network of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from house.raw import UPGRADE
from tickwire.server import Broker, Settings

HERE = "2001:db8:ffff::1"
ASKS = UPGRADE.format(path="/ws", host=f"[{HERE}]").encode() + b"\r\n"
# Connects from each address of the command line in turn, keeps all of them, and says how each was answered; when
# standard input ends, so do they.
CLIENTS = f"""
import socket, sys
upgrade = {ASKS!r}
kept = []
for source in sys.argv[2:]:
    kept.append(socket.create_connection(({HERE!r}, int(sys.argv[1])), 10, (source, 0)))
    kept[-1].sendall(upgrade)
    print(kept[-1].recv(4096).split()[1].decode(), flush=True)
sys.stdin.read()
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=20)


def interface(namespace: str) -> str:
    """The one that it has."""
    return f"{namespace[-10:]}b"


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace, from which one gets here over IPv6 and nowhere else."""
    name = f"tickwire{os.getpid()}"
    near, far = f"tw{os.getpid()}", interface(name)
    ip("netns", "add", name)
    try:
        ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        ip("-6", "address", "add", f"{HERE}/32", "dev", near, "nodad")
        ip("link", "set", near, "up")
        for up in (("link", "set", "lo", "up"), ("link", "set", far, "up")):
            ip("-n", name, *up)
        ip("-n", name, "-6", "address", "add", "2001:db8:ffff::2/32", "dev", far, "nodad")
        yield name
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "delete", near)
        ip("netns", "delete", name)


@contextlib.asynccontextmanager
async def clients(namespace: str, port: int, *sources: str) -> AsyncIterator[list[int]]:
    """What those are answered who come from these addresses, as long as the block lasts."""
    for source in sources:
        ip("-n", namespace, "-6", "address", "replace", f"{source}/128", "dev", interface(namespace), "nodad")
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", CLIENTS, str(port), *sources]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, **pipes)
    try:
        assert process.stdout is not None
        yield [int(await asyncio.wait_for(process.stdout.readline(), 15)) for _ in sources]
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def test_an_ipv6_network_counts_as_one_address_and_a_larger_one_too(namespace: str) -> None:
    caps = {"connections_per_ip": 2, "connections_per_48": 3, "unauthenticated_per_ip": 9}
    broker = Broker(Settings(**caps, anonymous="always"))  # type: ignore[arg-type]
    async with broker.serving(host="::", port=0) as url:
        port = int(url.rpartition(":")[2].removesuffix("/ws"))
        one, two, three = (f"2001:db8:1:{network}::" for network in (1, 2, 3))

        async with clients(namespace, port, f"{one}1", f"{one}2", f"{one}3", f"{two}1", f"{three}1") as answers:
            assert answers == [101, 101, 429, 101, 429]
            async with clients(namespace, port, "2001:db8:2:1::1") as others:
                assert others == [101]
                there = {connection.address for connection in broker._connections}
                assert there == {f"{one}1", f"{one}2", f"{two}1", "2001:db8:2:1::1"}
        async with asyncio.timeout(10):
            while broker._door.book.count:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        async with clients(namespace, port, f"{one}3", f"{one}4", f"{one}5") as answers:
            assert answers == [101, 101, 429]
