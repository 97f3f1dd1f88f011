"""The pages in docs/ say what is so: their code runs, and their tables are complete."""

from __future__ import annotations

import asyncio
import re
import ssl
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from docs.pages import ROOT, blocks, run
from house.certificates import Authority
from house.process import broker_process
from tickwire.server import Broker, Settings
from tickwire.wire import codes
from tickwire_client.client import connect

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "bench" / "README.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("name", ["python.md", "embedding.md", "delivery.md"])
async def test_the_code_of_a_page_runs_and_prints_what_the_page_says(name: str) -> None:
    page = ROOT / "docs" / name
    async with asyncio.timeout(60), broker_process() as broker:
        names: dict[str, Any] = {"url": broker.url}
        for block in blocks(page):
            assert await run(block, page, names) == block.output, f"{name}, line {block.line}"


async def test_every_metric_is_described_as_the_broker_describes_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("broker")
    tls = {"tls_certificate": files.certificate, "tls_key": files.key}
    trusted = ssl.create_default_context(cafile=authority.file)
    async with (
        Broker(Settings(data=str(tmp_path / "data"), **tls)).serving(port=0) as url,
        aiohttp.ClientSession() as session,
        session.get(f"https://{urlsplit(url).netloc}/metrics", ssl=trusted) as answer,
    ):
        exposed = await answer.text()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", exposed, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", exposed, re.MULTILINE))

    page = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(tickwire_\w+)` \| (\w+) \| (.+) \|$", page, re.MULTILINE)

    assert told == [(name, kinds[name], helps[name]) for name in kinds]


def test_every_option_of_connect_is_in_the_table() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| `(\S+)` \| ", page, re.MULTILINE)

    defaults = {**dict.fromkeys(("url",), "ws://127.0.0.1:8765"), **(connect.__kwdefaults__ or {})}
    assert told == [(name, repr(value).replace("'", '"')) for name, value in defaults.items()]
    assert connect.__defaults__ == ("ws://127.0.0.1:8765",)


def test_every_reason_of_a_gap_is_in_the_table() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE)) >= set(codes.GAP_REASONS)


@pytest.mark.parametrize("data", [{1, 2}, datetime.now(), 1 << 64], ids=["a set", "a naive datetime", "65 bits"])
async def test_what_msgpack_cannot_hold_raises_one_of_the_errors_in_the_table(data: object) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| (`TypeError`.+?) \| ", page, re.MULTILINE)
    async with asyncio.timeout(30), broker_process() as broker, connect(broker.url) as client:
        with pytest.raises((TypeError, ValueError, OverflowError)) as raised:
            await client.publish("prices.AAPL", data)

        assert raised.type.__name__ in re.findall(r"\w+", row)
        assert (await client.publish("prices.AAPL", 1)).offset == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Any) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            path, _, heading = target.partition("#")
            there = (page.parent / path) if path else page
            assert there.exists(), f"{page.name}: {target}"
            assert not heading or heading in headings(there.read_text(encoding="utf-8")), f"{page.name}: {target}"


def headings(text: str) -> set[str]:
    """As GitHub writes them into addresses."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
