"""A broker under siege that wants tokens, has rights and rates, and stands behind a proxy. As test_siege."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from house.tokens import SECRET, token

from .guarded import GUARDED, Guarded, write_settings
from .harness import P99_MS, besieged

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with besieged("--config", str(write_settings(folder)), token=token("bystander")) as siege:
        yield Guarded(siege, folder)


@pytest.mark.parametrize("name", GUARDED.cases)
async def test_the_bystander_notices_nothing_of(guarded: Guarded, name: str) -> None:
    before = guarded.siege.report()["got"]

    await GUARDED.cases[name](guarded)

    await asyncio.to_thread(guarded.siege.stands)  # our own sockets are closed meanwhile
    await asyncio.to_thread(guarded.siege.goes_on, before)


def test_the_latency_of_the_bystander_stayed_low(guarded: Guarded) -> None:
    """The last but one of this file: over all that was done to the broker."""
    found = guarded.siege.stands()

    assert found["p99_ms"] < P99_MS, found


def test_all_of_it_is_in_the_audit_log_and_nothing_secret_is(guarded: Guarded) -> None:
    text = (guarded.folder / "audit").read_text()
    codes = {json.loads(line).get("code") for line in text.splitlines()}

    assert {
        "unauthorized",
        "token_expired",
        "token_revoked",
        "forbidden",
        "address_forbidden",
        "connecting_too_fast",
        "too_many_connections",
        "rate_exceeded",
        "too_many_of_subject",
        "too_many_topics",
        "too_many_groups",
        "bad_upgrade",
    } <= codes
    assert SECRET not in text
    assert "eyJ" not in text  # how a token begins
