"""TLS: a certificate that can be replaced while connections are open, and those of clients."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from house.certificates import Authority, Files
from house.client import Client, connected
from house.process import broker_process
from tickwire.server import Broker, Settings
from tickwire.server.configuration.settings import SettingsError
from tickwire.wire.messages import Ack, Delivery, Publish, Refusal, Run, Subscribe, Subscribed
from tickwire_client import ConnectionLost, connect


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def settings(files: Files, **more: Any) -> Settings:
    return Settings(tls_certificate=files.certificate, tls_key=files.key, **more)


def trusting(authority: Authority, own: Files | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.file)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


@contextlib.asynccontextmanager
async def over_tls(url: str, context: ssl.SSLContext) -> AsyncIterator[Client]:
    async with connected(url, ssl=context) as client:
        yield client


async def works(client: Client) -> None:
    await client.send(Subscribe(1, "a"))
    await client.expect(Subscribed)
    await client.send(Publish(2, [Run("a", [b"x"])]))
    assert isinstance(await client.expect(Ack), Ack)
    assert (await client.expect(Delivery)).sections[0].payloads == [b"x"]


def serial_of(client: Client) -> str:
    transport = client.ws._response.connection.transport  # type: ignore[union-attr]
    return str(transport.get_extra_info("peercert")["serialNumber"])


async def test_a_certificate_is_replaced_and_nobody_who_is_connected_notices(authority: Authority) -> None:
    files, context = authority.issue("broker"), trusting(authority)
    broker = Broker(settings(files))
    async with broker.serving(port=0) as url:
        assert url.startswith("wss://")
        async with over_tls(url, context) as stays:
            await works(stays)
            authority.issue("broker")

            broker.reload(settings(files))

            async with over_tls(url, context) as comes:
                assert serial_of(comes) != serial_of(stays)
            await stays.send(Publish(3, [Run("b", [b"y"])]))
            assert await stays.expect(Ack)


async def test_a_certificate_that_cannot_be_used_leaves_the_one_of_before(authority: Authority) -> None:
    files, context = authority.issue("broker"), trusting(authority)
    other = authority.issue("other")
    broker = Broker(settings(files))
    async with broker.serving(port=0) as url:
        for wrong in (
            replace(files, key=other.key),
            authority.issue("late", lasts=timedelta(days=-1)),
            Files("/nowhere", files.key),
        ):
            with pytest.raises(SettingsError):
                broker.reload(settings(wrong))
            async with over_tls(url, context) as client:
                await works(client)


async def test_where_something_else_cannot_be_reloaded_the_certificate_stays_too(
    authority: Authority, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    files, context = authority.issue("broker"), trusting(authority)
    made = settings(files, auth_secret_file=str(secret), anonymous="always")
    broker = Broker(made)
    async with broker.serving(port=0) as url, over_tls(url, context) as before:
        authority.issue("broker")
        secret.write_bytes(b"short")
        with pytest.raises(SettingsError, match="5 bytes"):
            broker.reload(made)

        async with over_tls(url, context) as after:
            assert serial_of(after) == serial_of(before)


async def test_the_days_that_are_left_are_a_metric(authority: Authority) -> None:
    async with (
        Broker(settings(authority.issue("broker"))).serving(port=0) as url,
        aiohttp.ClientSession() as http,
        http.get(f"https{url[3:-3]}/metrics", ssl=trusting(authority)) as page,
    ):
        found = re.search(r"^tickwire_certificate_days_left (\S+)$", await page.text(), re.MULTILINE)

    assert found is not None
    assert 8.9 < float(found[1]) < 9


async def test_the_name_in_a_certificate_is_who_a_client_is(authority: Authority) -> None:
    files, mine = authority.issue("broker"), authority.issue("alice")
    rights = [{"subject": "alice", "publish": ["from.{sub}"]}]
    made = settings(files, tls_client_ca=authority.file, rights=rights)
    async with Broker(made).serving(port=0) as url:
        async with over_tls(url, trusting(authority, mine)) as client:
            await client.send(Publish(1, [Run("from.alice", [b""])]))
            assert await client.expect(Ack)
            await client.send(Publish(2, [Run("from.bob", [b""])]))
            assert (await client.expect(Refusal)).code == "forbidden"
        async with connected(url, greet=False, ssl=trusting(authority)) as client:
            from tickwire.wire.messages import Bye, Hello

            await client.send(Hello())
            assert (await client.expect(Bye)).code == "unauthorized"


async def test_who_must_show_a_certificate_and_has_none_or_another_does_not_get_in(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "else").mkdir()
    stranger = Authority(tmp_path / "else", "stranger").issue("alice")
    required = {"tls_client_ca": authority.file, "tls_client_certificates": "required"}
    async with Broker(settings(authority.issue("broker"), **required)).serving(port=0) as url:
        for own in (None, stranger):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                async with over_tls(url, trusting(authority, own)):
                    pass
        async with over_tls(url, trusting(authority, authority.issue("bob"))) as client:
            await works(client)


async def test_whose_certificate_is_revoked_does_not_come_back(authority: Authority) -> None:
    made = settings(authority.issue("broker"), tls_client_ca=authority.file)
    broker = Broker(made)
    async with broker.serving(port=0) as url:
        context = trusting(authority, authority.issue("alice"))
        async with over_tls(url, context) as client:
            await works(client)
            broker.revoke(subject="alice")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            async with over_tls(url, context):
                pass


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_who_has_not_ended_the_handshake_counts_already(authority: Authority, loop: str, tmp_path: Path) -> None:
    """In a process of its own, with the loop that brokers have, and in this one."""
    files, context = authority.issue("broker"), trusting(authority)
    flags = {
        "connections_per_ip": 3,
        "unauthenticated_per_ip": 3,
        "handshake_timeout": 2.0,
        "audit_log": str(tmp_path / "audit"),
    }
    async with contextlib.AsyncExitStack() as stack:
        if loop == "asyncio":
            url = await stack.enter_async_context(Broker(settings(files, **flags)).serving(port=0))
        else:
            given = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
            given += ["--tls-certificate", files.certificate, "--tls-key", files.key]
            url = (await stack.enter_async_context(broker_process(*given))).url
        port = int(url.split(":")[2].split("/")[0])
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            async with over_tls(url, context):
                pass
        assert [await reader.read() for reader, _ in silent] == [b""] * 3  # cut off
        for _ in range(20):  # data may come before TLS has begun
            async with over_tls(url, context) as client:
                await works(client)
        _, plain = await asyncio.open_connection("127.0.0.1", port)
        plain.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(5):
            while "http request" not in (tmp_path / "audit").read_text():  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        for _, writer in (*silent, (None, plain)):
            writer.close()

    text = (tmp_path / "audit").read_text()
    assert text.count('"code": "tls_failed"') == 4
    assert "too_many_connections" in text


async def test_the_sdk_shows_a_certificate_and_says_what_is_wrong_without_one(authority: Authority) -> None:
    required = {"tls_client_ca": authority.file, "tls_client_certificates": "required"}
    async with Broker(settings(authority.issue("broker"), **required)).serving(port=0) as url:
        async with connect(url, ssl=trusting(authority, authority.issue("bob"))) as client:
            await client.publish("a", 1)
        with pytest.raises(ConnectionLost, match="may want to see a certificate of yours"):
            await connect(url, ssl=trusting(authority))
        with pytest.raises(ConnectionLost, match="must be one that this machine trusts"):
            await connect(url)
        with pytest.raises(ConnectionLost, match="begins with wss://"):
            await connect(url.replace("wss", "ws"))
        with pytest.raises(TypeError, match=r"ssl\.SSLContext"):
            connect(url, ssl=True)  # type: ignore[arg-type]
    async with Broker(Settings()).serving(port=0) as url:
        with pytest.raises(ConnectionLost, match="does not speak TLS"):
            await connect(url.replace("ws", "wss", 1))


async def test_what_is_older_than_tls_12_is_not_spoken(authority: Authority) -> None:
    async with Broker(settings(authority.issue("broker"))).serving(port=0) as url:
        old = trusting(authority)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(aiohttp.ClientConnectorError):
            async with over_tls(url, old):
                pass


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda a: replace(a.issue("x"), key=a.issue("y").key), "is not that of the certificate"),
        (lambda a: a.issue("x", lasts=timedelta(days=-1)), "has expired on"),
        (lambda a: a.issue("x", since=timedelta(days=1)), "is good from"),
        (lambda a: Files(a.issue("x").key, a.issue("x").key), "no certificate (PEM)"),
        (lambda a: Files(a.issue("x").certificate, a.issue("x").certificate), "tls_key cannot be used"),
        (lambda a: Files(a.issue("x").certificate, "/nowhere"), "tls_key cannot be used: '/nowhere'"),
    ],
)
def test_a_certificate_that_cannot_be_used_stops_the_start(authority: Authority, wrong: Any, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Broker(settings(wrong(authority)))

    assert why in str(caught.value)
