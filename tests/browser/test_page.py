"""The example page, in Chromium: it subscribes, publishes, shows ticks, and comes back after a restart."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from house.client import connected
from tickwire.wire.encode import encode
from tickwire.wire.messages import Publish, Run

pytestmark = pytest.mark.timeout(120)
WAIT_MS = 20_000


@contextlib.contextmanager
def serving(port: int, *flags: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tickwire", "serve", "--port", str(port), "--log-level", "error", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as broker:
        try:
            assert broker.stdout is not None
            yield broker.stdout.readline().split()[-1]
        finally:
            broker.terminate()


@pytest_asyncio.fixture()
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        path = shutil.which("chromium")
        assert path, "there is no chromium: .ci/prepare browser installs it"
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def says(page: Page, text: str | re.Pattern[str]) -> None:
    await expect(page.locator("#state")).to_contain_text(text, timeout=WAIT_MS)


async def row(page: Page, topic: str, data: str) -> None:
    await expect(page.locator("tr", has_text=topic)).to_contain_text(data, timeout=WAIT_MS)


async def publish(url: str, topic: str, *payloads: bytes) -> None:
    async with connected(url) as client:
        await client.send(encode(Publish(1, [Run(topic, list(payloads))])))
        await client.receive()


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/")[0])


async def test_it_subscribes_publishes_and_shows_ticks_compressed_too(browser: Browser) -> None:
    with serving(0, "--examples") as url:
        page = await browser.new_page()
        faults: list[Any] = []
        page.on("pageerror", lambda fault: faults.append(fault))
        await page.goto(f"http://127.0.0.1:{port_of(url)}/examples/")
        await says(page, "connected")

        await publish(url, "prices.AAPL", b"\x81\xa3bid\xcb" + bytes.fromhex("4067666666666666"))
        await row(page, "prices.AAPL", '{"bid":187.2}')
        many = [b"\x81\xa3bid\xcd" + number.to_bytes(2) for number in range(256, 2_000)]  # a frame that is deflated
        await publish(url, "prices.MANY", *many)
        await row(page, "prices.MANY", '{"bid":1999}')
        await page.fill("#topic", "prices.PAGE")
        await page.fill("#data", '{"text": "Grüße", "list": [1, -5, 70000, 5000000000, 1.5, true, null]}')
        await page.click("button")
        await expect(page.locator("#answer")).to_have_text("stored at offset 0", timeout=WAIT_MS)
        await row(page, "prices.PAGE", '{"text":"Grüße","list":[1,-5,70000,5000000000,1.5,true,null]}')
        await page.fill("#topic", "$no")
        await page.click("button")
        await expect(page.locator("#answer")).to_contain_text("[reserved_topic]", timeout=WAIT_MS)
        assert faults == []


async def test_it_comes_back_after_a_restart_and_waits_longer_each_time(browser: Browser, unused_tcp_port: int) -> None:
    port = unused_tcp_port
    with serving(port, "--examples") as url:
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{port}/examples/")
        await says(page, "connected")
        await publish(url, "prices.A", b"\x01")
        await row(page, "prices.A", "1")
    await says(page, re.compile(r"attempt [3-9]"))  # a page is told no status, so it goes on trying
    with serving(port) as url:
        await says(page, "connected")
        await publish(url, "prices.A", b"\x02")
        await row(page, "prices.A", "2")


async def test_a_page_of_somebody_else_does_not_get_in_unless_it_is_named(browser: Browser) -> None:
    with serving(0, "--examples") as other, serving(0) as closed:
        origin = f"http://127.0.0.1:{port_of(other)}"
        page = await browser.new_page()
        await page.goto(f"{origin}/examples/?broker=ws://127.0.0.1:{port_of(closed)}/ws")
        await says(page, re.compile(r"not connected \(1006\), attempt [2-9]"))
        with serving(0, "--origins", origin) as opened:
            await page.goto(f"{origin}/examples/?broker=ws://127.0.0.1:{port_of(opened)}/ws")
            await says(page, "connected")
            await publish(opened, "prices.A", b"\x07")
            await row(page, "prices.A", "7")
