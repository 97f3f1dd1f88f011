"""A real nginx and a real haproxy before the broker: who the client is, whatever the client says of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from house.raw import UPGRADE, Raw
from siege.attackers import answer, dial
from tickwire.server import Broker, Settings

CLIENT = "127.5.0.1"
FORGED = ("X-Forwarded-For: 6.6.6.6\r\n", "Forwarded: for=6.6.6.6\r\n", "X-Real-IP: 6.6.6.6\r\n")
NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1; events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{broker}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""
HAPROXY = """
defaults
  mode {mode}
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 30s
frontend in
  bind 127.0.0.1:{port}
  {option}
  default_backend out
backend out
  server broker 127.0.0.1:{broker} {send}
"""


@contextlib.contextmanager
def running(*command: str) -> Iterator[None]:
    path = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    assert path, f"there is no {command[0]}: .ci/prepare proxies installs it"
    with subprocess.Popen([path, *command[1:]], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


async def reached(port: int) -> None:
    """Wait until somebody listens there."""
    deadline = time.monotonic() + 10
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def come(raw: Raw, more: str) -> int:
    raw.writer.write((UPGRADE.format(path="/ws", host="127.0.0.1") + more + "\r\n").encode())
    return int((await answer(raw)).split()[1])


async def check(broker: Broker, port: int) -> None:
    """The client's own address is what counts, with whatever it says; and it is the one that is capped."""
    await reached(port)
    for forged in ("", *FORGED):
        async with dial(port, CLIENT) as raw:
            assert await come(raw, forged) == 101
            assert {connection.address for connection in broker._connections} == {CLIENT}
        async with asyncio.timeout(10):
            while broker._connections:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
    async with contextlib.AsyncExitStack() as stack:
        statuses = []
        for number in range(3):
            raw = await stack.enter_async_context(dial(port, CLIENT))
            statuses.append(await come(raw, f"X-Forwarded-For: 6.6.6.{number}\r\n"))
        assert statuses == [101, 101, 429]
        other = await stack.enter_async_context(dial(port, "127.5.0.2"))
        assert await come(other, "") == 101


def settings(**more: object) -> Settings:
    return Settings(
        trusted_proxies="127.0.0.1", anonymous="always", connections_per_ip=2, unauthenticated_per_ip=2, **more
    )  # type: ignore[arg-type]


async def test_behind_nginx(tmp_path: Path, unused_tcp_port: int) -> None:
    broker = Broker(settings())
    async with broker.serving(port=0) as url:
        config = tmp_path / "nginx.conf"
        config.write_text(NGINX.format(folder=tmp_path, port=unused_tcp_port, broker=url.split(":")[2][:-3]))
        with running("nginx", "-p", str(tmp_path), "-c", str(config)):
            await check(broker, unused_tcp_port)


@pytest.mark.parametrize(
    ("mode", "option", "send", "more"),
    [
        ("http", "option forwardfor", "", {}),
        ("http", "http-request set-header Forwarded for=%[src]", "", {"forwarded_header": "forwarded"}),
        ("tcp", "option tcplog", "send-proxy", {"proxy_protocol": True}),
        ("tcp", "option tcplog", "send-proxy-v2", {"proxy_protocol": True}),
    ],
    ids=["X-Forwarded-For", "Forwarded", "PROXY v1", "PROXY v2"],
)
async def test_behind_haproxy(
    mode: str, option: str, send: str, more: dict[str, object], tmp_path: Path, unused_tcp_port: int
) -> None:
    broker = Broker(settings(**more))
    async with broker.serving(port=0) as url:
        config = tmp_path / "haproxy.cfg"
        given = {"mode": mode, "option": option, "send": send, "port": unused_tcp_port}
        config.write_text(HAPROXY.format(**given, broker=url.split(":")[2][:-3]))
        with running("haproxy", "-db", "-f", str(config)):
            await check(broker, unused_tcp_port)


async def test_past_the_proxy_nothing_is_believed() -> None:
    broker = Broker(settings())
    async with broker.serving(port=0) as url:
        port = int(url.split(":")[2][:-3])
        for forged in FORGED:
            async with dial(port, CLIENT) as raw:
                assert await come(raw, forged) == 101
                assert [connection.address for connection in broker._connections] == [CLIENT]
            async with asyncio.timeout(10):
                while broker._connections:  # noqa: ASYNC110 - nobody announces it
                    await asyncio.sleep(0.01)
