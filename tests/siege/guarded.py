"""What is done to a broker that wants tokens: by those who have none, or want more than theirs is good for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from house.raw import Raw
from house.tokens import SECRET, token
from tickwire.wire.encode import encode
from tickwire.wire.messages import (
    Bye,
    Consume,
    FromBroker,
    Hello,
    Publish,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
    Welcome,
)

from .attackers import answer, dial, last_words, said, upgrade
from .casebook import Casebook
from .harness import Siege

CAP, HOLDS = 64, 20
PROXY = "127.7.0.1"


@dataclass
class Guarded:
    """A broker under siege whose settings are in a folder."""

    siege: Siege
    folder: Path

    @property
    def port(self) -> int:
        return self.siege.port

    def hang_up(self, open_to: str) -> None:
        """Let all but the bystander use these topics from now on."""
        write_settings(self.folder, open_to)
        os.kill(self.siege.broker.pid, signal.SIGHUP)

    @contextlib.asynccontextmanager
    async def known(self, subject: str, source: str, **claims: Any) -> AsyncIterator[Raw]:
        """Somebody who was let in with a token."""
        async with self.met(source, token(subject, **claims)) as (raw, word):
            assert isinstance(word, Welcome), word
            yield raw

    @contextlib.asynccontextmanager
    async def met(self, source: str, shown: str | None) -> AsyncIterator[tuple[Raw, FromBroker | int]]:
        """Somebody who showed a token, and what that was answered."""
        async with dial(self.port, source) as raw:
            raw.writer.write(upgrade())
            assert b" 101 " in await answer(raw)
            raw.send_message(encode(Hello(token=shown)))
            yield raw, await said(raw)


def write_settings(folder: Path, open_to: str = "open.>") -> Path:
    """The settings of the guarded broker, and the files that they name."""
    for name, content in (("secret", SECRET), ("revoked", "")):
        if not (folder / name).exists():
            (folder / name).write_text(content)
    file = folder / "tickwire.toml"
    file.write_text(f"""
auth_secret_file = "{folder / "secret"}"
auth_revoked = "{folder / "revoked"}"
audit_log = "{folder / "audit"}"
handshake_timeout = 1
hello_timeout = 1
connections_per_ip = {CAP}
trusted_proxies = ["{PROXY}"]
deny = ["127.8.0.0/16"]
messages_per_second = 1000
subject_connections = {HOLDS}
subject_topics = {HOLDS}
subject_groups = 2
free_topic_after = 1
retain_seconds = 1

[[rights]]
subject = "bystander"
publish = ["bystander"]
subscribe = ["bystander"]

[[rights]]
subject = "*"
publish = ["{open_to}"]
subscribe = ["{open_to}"]
consume = ["{open_to}"]
""")
    return file


GUARDED: Casebook[Guarded] = Casebook()
case = GUARDED.case


# Who may come in.


@case
async def tokens_that_are_no_good(it: Guarded) -> None:
    unsigned = jwt.encode({"sub": "root", "exp": time.time() + 300}, "", "none")
    for shown, code in (
        (None, "unauthorized"),
        ("no token", "unauthorized"),
        (unsigned, "unauthorized"),
        (token("root", secret="another secret that is long enough."), "unauthorized"),
        (token("root", nbf=time.time() + 300), "unauthorized"),
        (jwt.encode({"sub": "root"}, SECRET), "unauthorized"),
        (token("root", lasts=-60), "token_expired"),
    ):
        async with it.met("127.9.20.1", shown) as (raw, word):
            assert isinstance(word, Bye), shown
            assert (word.code, await said(raw)) == (code, 1008)
        async with dial(it.port, "127.9.20.1") as raw:
            raw.writer.write(upgrade(f"Authorization: Bearer {shown}\r\n"))
            head = await answer(raw)
            assert head.startswith(b"HTTP/1.1 401"), head
            assert f"X-Tickwire-Code: {code}".encode() in head


@case
async def upgrades_that_are_none(it: Guarded) -> None:
    whole = upgrade()
    for request, status in (
        (whole.replace(b"HTTP/1.1", b"HTTP/1.0"), b"400"),
        (whole.replace(b"GET", b"POST"), b"405"),
        (whole.replace(b"Version: 13", b"Version: 8"), b"426"),
        (whole.replace(b"Version: 13", b"Version: 13\r\nSec-WebSocket-Version: 8"), b"400"),
        (upgrade("Host: another\r\n"), b"400"),
        (upgrade("Content-Length: 4\r\n") + b"body", b"400"),
        (whole.replace(b"tickwire.v1", b"mqtt"), b"400"),
        (upgrade("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), b"400"),
    ):
        async with dial(it.port, "127.9.21.1") as raw:
            raw.writer.write(request)
            assert (await answer(raw)).split()[1] == status, request


@case
async def addresses_that_are_denied(it: Guarded) -> None:
    for number in range(1, 30):
        async with dial(it.port, f"127.8.0.{number}") as raw:
            raw.writer.write(upgrade())
            head = await answer(raw)
            assert head.startswith(b"HTTP/1.1 403"), head
            assert b"address_forbidden" in head


@case
async def connections_that_are_made_too_fast(it: Guarded) -> None:
    heads = []
    for _ in range(400):
        async with dial(it.port, "127.9.22.1") as raw:
            raw.writer.write(upgrade())
            heads.append(await answer(raw))
    assert any(b" 429 " in head and b"connecting_too_fast" in head and b"Retry-After: " in head for head in heads)
    assert heads[0].startswith(b"HTTP/1.1 101")


@case
async def addresses_that_are_made_up(it: Guarded) -> None:
    async def come(source: str, said: str) -> int:
        raw = await stack.enter_async_context(dial(it.port, source))
        raw.writer.write(upgrade(f"X-Forwarded-For: {said}\r\n"))
        return int((await answer(raw)).split()[1])

    async with contextlib.AsyncExitStack() as stack:
        forged = [await come("127.9.23.1", f"203.0.113.{number}") for number in range(CAP)]
    async with contextlib.AsyncExitStack() as stack:
        passed_on = [await come(PROXY, f"203.0.113.{number}") for number in range(CAP)]
        one = [await come(PROXY, f"198.51.100.{number}, 192.0.2.7") for number in range(CAP)]

    assert forged.count(101) <= CAP // 2  # as many as one address may have that have not said who they are
    assert passed_on == [101] * CAP
    assert one.count(101) <= CAP // 2


# What somebody may do.


@case
async def topics_beyond_ones_rights(it: Guarded) -> None:
    async with it.known("mallory", "127.9.24.1") as raw:
        for id, frame in enumerate(
            (
                Publish(0, [Run("bystander", [b"\xc0"])]),
                Publish(1, [Run("open.a", [b"\xc0"]), Run("closed", [b"\xc0"])]),
                Subscribe(2, "bystander"),
                Subscribe(3, "closed.*", since=("earliest",)),
                Subscribe(4, "bystander", since=("offset", 1, 0)),
                Subscribe(5, "bystander", seen=(0, 0)),
                Subscribe(6, "*", group="all"),
                Consume(7, ">", "mine", 10),
                Subscribe(8, "$dead.>"),
            )
        ):
            raw.send_message(encode(frame))
            word = await said(raw)
            assert isinstance(word, Refusal), (frame, word)
            assert (word.id, word.code) == (id, "forbidden"), word


@case
async def rights_that_are_taken_away(it: Guarded) -> None:
    async with it.known("mallory", "127.9.25.1") as raw:
        raw.send_message(encode(Subscribe(1, "open.a")))
        assert isinstance(await said(raw), Subscribed)
        began = time.monotonic()
        it.hang_up("else.>")
        word = await said(raw)
        assert isinstance(word, Refusal)
        assert (word.id, word.code) == (1, "forbidden")
        assert time.monotonic() - began < 1
        raw.send_message(encode(Publish(2, [Run("open.a", [b"\xc0"])])))
        word = await said(raw)
        assert isinstance(word, Refusal)
        assert word.code == "forbidden"
    it.hang_up("open.>")


@case
async def tokens_that_end_while_connected(it: Guarded) -> None:
    async with it.known("mallory", "127.9.26.1", lasts=2) as raw:
        assert await last_words(raw) == ("token_expired", 1008)
    async with it.known("mallory", "127.9.26.1", jti="stolen") as raw:
        (it.folder / "revoked").write_text("stolen\n")
        began = time.monotonic()
        assert await last_words(raw) == ("token_revoked", 1008)
        assert time.monotonic() - began < 1.5
    async with it.met("127.9.26.1", token("mallory", jti="stolen")) as (_, word):
        assert isinstance(word, Bye)
        assert word.code == "token_revoked"


# How much somebody may ask.


@case
async def more_messages_than_a_rate_allows(it: Guarded) -> None:
    async with it.known("mallory", "127.9.27.1") as raw:
        for id in range(200):
            raw.send_message(encode(Publish(id, [Run("open.a", [b"\xc0"] * 9_000)])))  # what nine seconds are good for
        codes = set()
        while not isinstance(word := await said(raw), int):
            codes.add(getattr(word, "code", ""))
        assert "rate_exceeded" in codes, codes
        assert word == 1008


@case
async def all_that_one_subject_could_hold(it: Guarded) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(HOLDS):
            raw = await stack.enter_async_context(it.known("greedy", "127.9.28.1"))
        async with it.met("127.9.28.1", token("greedy")) as (_, word):
            assert isinstance(word, Bye)
            assert word.code == "too_many_of_subject"
        raw.send_message(encode(Publish(1, [Run(f"open.{number}", [b"\xc0"]) for number in range(HOLDS + 1)])))
        word = await said(raw)
        assert isinstance(word, Refusal)
        assert word.code == "too_many_topics"
        codes = []
        for id in range(3):
            raw.send_message(encode(Subscribe(id, "open.a", group=f"group{id}")))
            word = await said(raw)
            codes.append(getattr(word, "code", ""))
        assert codes == ["", "", "too_many_groups"]
    async with it.known("greedy", "127.9.28.1"):  # what was let go of may be had again
        pass
