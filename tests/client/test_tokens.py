"""Tokens of the SDK: shown at each connection, and renewed before they expire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from house.tokens import SECRET, token
from tickwire.server import Broker, Settings
from tickwire_client import ConnectionLost, Refused, connect
from tickwire_client.sync import connect as connect_sync


@pytest_asyncio.fixture()
async def url() -> AsyncIterator[str]:
    async with Broker(Settings(auth_secret=SECRET)).serving(port=0) as url:
        yield url


async def test_a_token_is_shown_and_without_a_good_one_there_is_no_client(url: str) -> None:
    for good in (token(), f"{token()}\n", lambda: f"{token()}\n"):
        async with connect(url, token=good) as client:
            await client.publish("a", 1)
    for shown, code in ((None, "unauthorized"), ("x", "unauthorized"), (token(lasts=-9), "token_expired")):
        with pytest.raises(Refused) as refused:
            await connect(url, token=shown)
        assert refused.value.code == code


async def test_a_function_gives_newer_ones_before_the_last_expires(url: str) -> None:
    asked: list[float] = []

    async def give() -> str:
        asked.append(time.monotonic())
        return token(lasts=2.5 if len(asked) == 1 else 60.0)

    states: list[str] = []
    async with connect(url, token=give, on_state=lambda state, detail: states.append(state)) as client:
        async with asyncio.timeout(10):
            while len(asked) < 2:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.05)
        assert 0.9 < asked[1] - asked[0] < 2.5
        await asyncio.sleep(max(0.0, asked[0] + 2.8 - time.monotonic()))  # past the end of the first
        await client.publish("a", 1)
        assert states == ["connecting", "connected"]


async def test_a_token_that_expires_is_the_end_where_it_is_the_only_one(url: str) -> None:
    states: list[str] = []
    client = await connect(
        url, token=token(lasts=0.5), on_state=lambda state, detail: states.append(f"{state}: {detail}")
    )
    async with client:
        async with asyncio.timeout(20):
            while client.state != "closed":  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.05)
        with pytest.raises(ConnectionLost, match="closed"):
            await client.publish("a", 1)
    assert "the token has expired" in states[-1]


async def test_a_function_is_asked_anew_at_each_connection(url: str) -> None:
    given = iter([token(lasts=0.4), token(lasts=60.0)])
    async with connect(url, token=lambda: next(given)) as client, client.subscribe("a") as a:
        await asyncio.sleep(0.5)
        await client.publish("a", 1)
        assert (await anext(aiter(a))).data == 1


@pytest.mark.parametrize("wrong", [5, b"x", lambda: 5])
async def test_what_gives_no_token_is_told(url: str, wrong: object) -> None:
    with pytest.raises(TypeError, match="token"):
        await connect(url, token=wrong)  # type: ignore[arg-type]


async def test_a_subscription_that_is_no_longer_allowed_ends_with_the_reason(tmp_path: Path) -> None:
    def settings(topic: str) -> Settings:
        return Settings(auth_secret=SECRET, rights=[{"subject": "*", "subscribe": [topic], "publish": [">"]}])

    broker = Broker(settings("a"))
    async with broker.serving(port=0) as url, connect(url, token=token()) as client:
        a = await client.subscribe("a")
        broker.reload(settings("b"))
        with pytest.raises(Refused, match="forbidden"):
            await anext(aiter(a))
        async with client.subscribe("b"):
            pass


async def test_the_client_for_scripts_takes_a_function_too(url: str) -> None:
    def run() -> None:
        with connect_sync(url, token=token) as client:
            client.publish("a", 1)

    await asyncio.to_thread(run)


async def test_a_function_that_fails_once_is_asked_again(url: str) -> None:
    asked = 0

    def give() -> str:
        nonlocal asked
        asked += 1
        if asked in (2, 3):
            raise RuntimeError("who gives tokens is down")
        return token(lasts=0.6 if asked == 1 else 60.0)

    states: list[str] = []
    async with connect(url, token=give, on_state=lambda state, detail: states.append(detail)) as client:
        async with asyncio.timeout(20):
            while asked < 4:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.05)
        await client.publish("a", 1)
    assert any("who gives tokens is down" in detail for detail in states)


async def test_a_function_that_takes_too_long_is_what_is_told(url: str) -> None:
    with pytest.raises(ConnectionLost, match=r"the token function gave none within 0\.3 s"):
        await connect(url, token=lambda: asyncio.sleep(9, "late"), timeout=0.3)


async def test_a_broker_that_is_silent_after_that_is_what_is_told_then(unused_tcp_port: int) -> None:
    asked, silent, states = 0, asyncio.Event(), []

    async def give() -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            await asyncio.sleep(9)
        return token(lasts=0.3)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent.set()
        await reader.read()
        writer.close()

    def changed(state: str, detail: str) -> None:
        states.append(detail)

    serving = Broker(Settings(auth_secret=SECRET)).serving(port=unused_tcp_port)
    url = await serving.__aenter__()
    async with connect(url, token=give, timeout=1.0, on_state=changed), asyncio.timeout(20):
        while not any("the token function gave none" in detail for detail in states):  # noqa: ASYNC110 - on_state does
            await asyncio.sleep(0.01)
        await serving.__aexit__(None, None, None)
        async with await asyncio.start_server(say_nothing, "127.0.0.1", unused_tcp_port):
            await silent.wait()
            told = len(states)
            while len(states) == told:  # noqa: ASYNC110 - on_state does
                await asyncio.sleep(0.01)
    assert "did not answer within 1 s" in states[told]


async def test_who_was_ended_is_told_why(url: str) -> None:
    async with connect(url, token=token(lasts=0.4)) as client:
        async with asyncio.timeout(20):
            while client.state != "closed":  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.05)
        with pytest.raises(ConnectionLost, match="the token has expired") as ended:
            await client.publish("a", 1)
    assert isinstance(ended.value.__cause__, Refused)
    assert ended.value.__cause__.code == "token_expired"
