"""The door, over real sockets: who gets in, who does not and what they are told, and who has to go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt
import pytest
from aiohttp import web

from house.client import Client, connected
from house.raw import UPGRADE, dialled, upgraded
from house.tokens import SECRET, token
from tickwire.server import Broker, Identity, Settings
from tickwire.server.configuration.settings import SettingsError
from tickwire.server.door.revoked import Revoked
from tickwire.wire.decode import decode_from_broker
from tickwire.wire.encode import encode
from tickwire.wire.errors import BadPattern
from tickwire.wire.messages import (
    Ack,
    Bye,
    Hello,
    Publish,
    Refresh,
    Refreshed,
    Refusal,
    Run,
    Subscribe,
    Subscribed,
    Welcome,
)

AWAY = {"X-Forwarded-For": "203.0.113.5"}  # somebody stands between, so that it is not this machine


@contextlib.asynccontextmanager
async def broker(**settings: Any) -> AsyncIterator[tuple[Broker, str]]:
    made = Broker(Settings(**{"auth_secret": SECRET} | settings))
    async with made.serving(port=0) as url:
        yield made, url


async def answer(url: str, lines: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of the answer to a request that is made by hand."""
    async with dialled(url) as raw:
        raw.writer.write(lines.format(path=urlsplit(url).path, host=urlsplit(url).netloc).encode() + b"\r\n")
        head, _, body = (await raw.rest()).partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), dict(field.split(": ", 1) for field in fields), body.decode()


async def greeted(client: Client, token: str | None) -> Any:
    """The welcome, or the goodbye."""
    await client.send(Hello(token=token))
    while not isinstance(reply := await client.receive(), (Welcome, Bye)):
        pass
    return reply


# The handshake.


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (("HTTP/1.1", "HTTP/1.0"), 400, "bad_upgrade"),
        (("Version: 13", "Version: 8"), 426, "bad_upgrade"),
        (("Version: 13", "Version: 14"), 426, "bad_upgrade"),
        (("Sec-WebSocket-Version: 13\r\n", ""), 426, "bad_upgrade"),
        (("AAAAAAAAAAAAAAAAAAAAAA==", "AAAA"), 400, "bad_upgrade"),
        (("AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAA=!"), 400, "bad_upgrade"),
        (("Upgrade: websocket\r\n", ""), 400, "bad_upgrade"),
        (("Connection: Upgrade\r\n", ""), 400, "bad_upgrade"),
        (("Upgrade: websocket", "Upgrade: h2c"), 400, "bad_upgrade"),
        (("Upgrade: websocket", "Content-Length: 5\r\nUpgrade: websocket"), 400, "bad_upgrade"),
        (("Upgrade: websocket", "Transfer-Encoding: chunked\r\nUpgrade: websocket"), 400, "bad_upgrade"),
        (("Upgrade: websocket", "Origin: http://a\r\nOrigin: http://b\r\nUpgrade: websocket"), 400, "bad_upgrade"),
        (("Upgrade: websocket", "Origin: https://evil.example\r\nUpgrade: websocket"), 403, "origin_forbidden"),
        (("Upgrade: websocket", "Origin: null\r\nUpgrade: websocket"), 403, "origin_forbidden"),
        (("{path}", "{path}?token=abc"), 400, "token_in_url"),
        (("{path}", "{path}?a=1&Access_Token=abc"), 400, "token_in_url"),
        (("Sec-WebSocket-Protocol: tickwire.v1\r\n", ""), 400, "subprotocol_required"),
        (("Upgrade: websocket", "Authorization: Basic YTpi\r\nUpgrade: websocket"), 401, "unauthorized"),
        (("Upgrade: websocket", "Authorization: Bearer abc\r\nUpgrade: websocket"), 401, "unauthorized"),
    ],
)
async def test_an_upgrade_that_is_none_is_refused_with_a_code(
    change: tuple[str, str], status: int, code: str, tmp_path: Path
) -> None:
    async with broker(audit_log=str(tmp_path / "audit"), anonymous="loopback") as (made, url):
        found, headers, text = await answer(url, UPGRADE.replace(*change))

        assert (found, headers["X-Tickwire-Code"]) == (status, code)
        assert f"[{code}]" in text
        assert headers.get("Sec-WebSocket-Version") == ("13" if status == 426 else None)
        assert not len(made._door.book)
        (line,) = (tmp_path / "audit").read_text().splitlines()
        assert json.loads(line)["code"] == code
        assert "abc" not in line + text
        async with connected(url):
            pass


async def test_only_get_is_answered() -> None:
    async with broker() as (_, url):
        for method in ("POST", "HEAD", "OPTIONS", "CONNECT"):
            async with dialled(url) as raw:
                raw.writer.write(UPGRADE.format(path="/ws", host="x").replace("GET", method).encode() + b"\r\n")
                assert (await raw.reader.readline()).split()[1] in (b"400", b"404", b"405")


# Who somebody is.


async def test_a_token_comes_in_the_hello_or_in_the_header() -> None:
    async with broker() as (made, url):
        async with connected(url, greet=False) as client:
            assert isinstance(await greeted(client, token()), Welcome)
            (connection,) = made._connections
            assert connection.session.identity.subject == "alice"
        async with connected(url, headers={"Authorization": f"Bearer {token('bob')}"}):
            assert "bob" in [connection.session.identity.subject for connection in made._connections]


@pytest.mark.parametrize(
    ("shown", "code"), [(None, "unauthorized"), ("x", "unauthorized"), (token(lasts=-5), "token_expired")]
)
async def test_who_has_no_good_token_is_told_and_gets_nothing(shown: str | None, code: str, tmp_path: Path) -> None:
    async with broker(audit_log=str(tmp_path / "audit")) as (made, url):
        async with connected(url, greet=False) as client:
            bye = await greeted(client, shown)

            assert (bye.code, await client.closed()) == (code, 1008)
        assert not made.engine.topics
        said = json.loads((tmp_path / "audit").read_text())
        assert (said["code"], said["address"]) == (code, "127.0.0.1")
        assert shown is None or len(shown) < 9 or shown not in (tmp_path / "audit").read_text()


@pytest.mark.parametrize(
    ("settings", "headers", "lets_in"),
    [
        ({"auth_secret": ""}, {}, True),
        ({"auth_secret": ""}, AWAY, False),
        ({"auth_secret": "", "anonymous": "always"}, AWAY, True),
        ({"auth_secret": "", "anonymous": "never"}, {}, False),
        ({}, {}, False),
        ({"anonymous": "loopback"}, {}, True),
        ({"anonymous": "loopback"}, AWAY, False),
        ({"anonymous": "always"}, AWAY, True),
        ({"auth_secret": "", "trusted_proxies": "127.0.0.1"}, AWAY, False),
    ],
)
async def test_without_a_token_one_gets_in_where_the_settings_say_so(
    settings: dict[str, Any], headers: dict[str, str], lets_in: bool
) -> None:
    async with broker(**settings) as (_, url), connected(url, greet=False, headers=headers) as client:
        reply = await greeted(client, None)

    assert isinstance(reply, Welcome) is lets_in


async def test_rights_hold_over_a_real_connection_and_for_subscriptions_in_the_hello() -> None:
    rights = {"sub": ["prices.*"], "pub": ["chat.{sub}"]}
    async with broker() as (_, url), connected(url, greet=False) as client:
        await client.send(
            Hello(token=token(tickwire=rights), subscriptions=[Subscribe(1, "prices.>"), Subscribe(2, "x")])
        )
        await client.send(Publish(3, [Run("chat.alice", [b""])]))
        await client.send(Publish(4, [Run("chat.bob", [b""])]))

        replies = [await client.receive() for _ in range(5)]

    assert [type(reply) for reply in replies[:3]] == [Welcome, Subscribed, Refusal]
    codes = {reply.id: reply.code for reply in replies if isinstance(reply, Refusal)}
    assert codes == {2: "forbidden", 4: "forbidden"}
    assert any(isinstance(reply, Ack) for reply in replies)


async def test_an_open_connection_ends_when_its_token_does_and_not_if_a_newer_one_came() -> None:
    async with broker() as (_, url), connected(url, greet=False) as stays, connected(url, greet=False) as goes:
        welcome = await greeted(stays, token(lasts=1.0))
        assert welcome.limits["token_expires_us"] == pytest.approx(time.time() * 1e6, abs=1.5e6)
        await greeted(goes, token("bob", lasts=0.5))
        await stays.send(Refresh(7, token(lasts=60)))
        refreshed = await stays.expect(Refreshed)
        assert refreshed.expires_us == pytest.approx((time.time() + 60) * 1e6, abs=2e6)

        bye = await goes.expect(Bye)
        assert (bye.code, await goes.closed()) == ("token_expired", 1008)
        await asyncio.sleep(0.7)  # past the end of the first token
        await stays.send(Publish(1, [Run("a", [b""])]))
        assert await stays.expect(Ack)


async def test_a_refresh_that_is_no_good_leaves_the_connection_with_what_it_had() -> None:
    async with broker() as (made, url), connected(url, greet=False) as client:
        await greeted(client, token())
        for shown, code in ((token("bob"), "unauthorized"), ("x", "unauthorized"), (token(lasts=-9), "token_expired")):
            await client.send(Refresh(7, shown))
            refusal = await client.expect(Refusal)
            assert (refusal.refused, refusal.id, refusal.code) == (Refresh.kind, 7, code)

        (connection,) = made._connections
        assert connection.session.identity.subject == "alice"
        await client.send(Publish(1, [Run("a", [b""])]))
        assert await client.expect(Ack)


async def test_a_refresh_changes_what_one_may_do() -> None:
    async with broker() as (_, url), connected(url, greet=False) as client:
        await greeted(client, token(tickwire={"sub": ["a"]}))
        await client.send(Subscribe(1, "a"))
        await client.expect(Subscribed)

        await client.send(Refresh(2, token(tickwire={"sub": ["b"]})))

        refusal = await client.expect(Refusal)
        assert (refusal.refused, refusal.id, refusal.code) == (Subscribe.kind, 1, "forbidden")
        await client.send(Subscribe(3, "b"))
        assert (await client.expect(Subscribed)).id == 3


@pytest.mark.parametrize("way", ["subject", "token", "file"])
async def test_what_is_revoked_ends_at_once_and_comes_in_no_more(way: str, tmp_path: Path) -> None:
    (tmp_path / "revoked").write_text("# nobody yet\n")
    shown = token(jti="id-1")
    async with broker(auth_revoked=str(tmp_path / "revoked")) as (made, url):
        async with connected(url, greet=False) as goes, connected(url, greet=False) as stays:
            await greeted(goes, shown)
            await greeted(stays, token("bob"))

            began = time.monotonic()
            if way == "file":
                (tmp_path / "revoked").write_text("id-1  # lost\n")
            else:
                made.revoke(**{way: "alice" if way == "subject" else "id-1"})
            bye = await goes.expect(Bye)

            assert (bye.code, await goes.closed()) == ("token_revoked", 1008)
            assert time.monotonic() - began < 2
            await stays.send(Publish(1, [Run("a", [b""])]))
            assert await stays.expect(Ack)
        async with connected(url, greet=False) as again:
            assert (await greeted(again, shown)).code == "token_revoked"


def test_a_line_of_what_is_revoked(tmp_path: Path) -> None:
    file = tmp_path / "revoked"
    file.write_text("# all\n\nid-1 # lost\nsub: alice\nSUB:bob\nsub:carol#2\n" + token() + "\n")
    revoked = Revoked(str(file))

    assert revoked.look()
    assert revoked.entries == {"id-1", "sub:alice", "sub:bob", "sub:carol#2"}


async def test_what_is_revoked_between_the_upgrade_and_the_hello_does_not_get_in() -> None:
    shown = token(jti="id-1")
    async with broker() as (made, url), aiohttp.ClientSession() as http:
        ws = await http.ws_connect(url, protocols=["tickwire.v1"], headers={"Authorization": f"Bearer {shown}"})
        made.revoke(token="id-1")
        await ws.send_bytes(encode(Hello()))
        bye = decode_from_broker((await ws.receive()).data)

    assert isinstance(bye, Bye)
    assert bye.code == "token_revoked"


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("fault", [RuntimeError("down"), "alice", BadPattern("a b", "has a space")], ids=str)
async def test_an_application_that_fails_lets_nobody_in_and_the_log_says_why(
    fault: Any, later: bool, header: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def know(shown: str | None, request: web.Request) -> Any:
        if isinstance(fault, Exception):
            raise fault
        return fault

    async def know_later(shown: str | None, request: web.Request) -> Any:
        return know(shown, request)

    made = Broker(Settings(), authenticate=know_later if later else know)
    async with made.serving(port=0) as url, aiohttp.ClientSession() as http:
        headers = {"Authorization": "Bearer x"} if header else {}
        if header:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                await http.ws_connect(url, protocols=["tickwire.v1"], headers=headers)
        else:
            ws = await http.ws_connect(url, protocols=["tickwire.v1"])
            await ws.send_bytes(encode(Hello(token="x")))
            bye = decode_from_broker((await ws.receive()).data)
            assert isinstance(bye, Bye)
            assert (bye.code, bye.text) == ("unauthorized", "the broker could not find out who this is")

    (record,) = (record for record in caplog.records if record.message == "the authenticate function failed")
    why = record.facts["why"]  # type: ignore[attr-defined]
    assert str(fault) in why or "returned str" in why


async def test_who_goes_while_the_application_is_asked_leaves_nothing_behind() -> None:
    asked = asyncio.Event()

    async def know(shown: str | None, request: web.Request) -> Identity | None:
        asked.set()
        await asyncio.sleep(0.05)
        return Identity.of("alice", subscribe=["a"])

    made = Broker(Settings(subject_connections=1), authenticate=know)
    async with made.serving(port=0) as url:
        for _ in range(5):
            asked.clear()
            async with upgraded(url) as raw:
                raw.send_message(encode(Hello(token="x", publisher="p", subscriptions=[Subscribe(1, "a")])))
                raw.send_message(encode(Hello(token="x")))
                await asked.wait()
                raw.writer.transport.abort()
        await asyncio.sleep(0.2)  # longer than the application takes
        assert not made.engine.sessions
        assert not made.engine._holdings
        async with connected(url, greet=False) as client:
            assert isinstance(await greeted(client, "x"), Welcome)


async def test_who_may_come_can_be_reloaded_and_what_cannot_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async with broker() as (made, url), connected(url, greet=False) as stays:
        await greeted(stays, token())
        made.reload(Settings(auth_secret=SECRET, deny="127.0.0.0/8", auth_issuer="us", max_topics=7, port=9))

        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with connected(url, greet=False):
                pass
        made.reload(Settings(auth_secret=SECRET, auth_issuer="us"))
        async with connected(url, greet=False) as comes:
            assert "another issuer" in (await greeted(comes, token(iss="them"))).text
        await stays.send(Publish(1, [Run("a", [b""])]))
        assert await stays.expect(Ack)

    (record,) = (record for record in caplog.records if "need another start" in record.message)
    assert record.facts["settings"] == "port, max_topics"  # type: ignore[attr-defined]


async def test_other_rights_of_the_configuration_act_on_who_is_connected() -> None:
    def settings(*topics: str) -> Settings:
        return Settings(auth_secret=SECRET, rights=[{"subject": "*", "subscribe": list(topics)}])

    made = Broker(settings("a", "b"))
    async with made.serving(port=0) as url, connected(url, greet=False) as client, connected(url, greet=False) as own:
        await greeted(client, token())
        await greeted(own, token("bob", tickwire={"sub": ["a"]}))
        for each in (client, own):
            await each.send(Subscribe(1, "a"))
            await each.expect(Subscribed)

        made.reload(settings("b", "c"))

        refusal = await client.expect(Refusal)
        assert (refusal.id, refusal.code) == (1, "forbidden")
        await client.send(Subscribe(2, "c"))
        assert (await client.expect(Subscribed)).id == 2
        await own.send(Subscribe(2, "a"))
        assert isinstance(await own.receive(), Subscribed)


@pytest.mark.parametrize("way", ["function", "coroutine function"])
async def test_an_application_may_say_who_is_who(way: str) -> None:
    asked: list[str | None] = []

    def know(shown: str | None, request: web.Request) -> Identity | None:
        asked.append(shown)
        if shown == "fails":
            raise ZeroDivisionError
        return Identity.of("carol", publish=["a"], subscribe=["a"]) if shown == "let me in" else None

    async def know_later(shown: str | None, request: web.Request) -> Identity | None:
        await asyncio.sleep(0.01)
        return know(shown, request)

    made = Broker(Settings(), authenticate=know if way == "function" else know_later)
    async with made.serving(port=0) as url:
        async with connected(url, greet=False) as client:
            await client.send(Hello(token="let me in", subscriptions=[Subscribe(1, "a")]))
            for number in range(5):  # before it is known who this is
                await client.send(Publish(number, [Run("a", [b"%d" % number])]))
            await client.send(Publish(9, [Run("b", [b""])]))
            replies = [await client.receive() for _ in range(4)]
            assert isinstance(replies[0], Welcome)
            acked = [receipt[0] for reply in replies if isinstance(reply, Ack) for receipt in reply.receipts]
            assert acked == [0, 1, 2, 3, 4]
            assert [reply.id for reply in replies if isinstance(reply, Refusal)] == [9]
        for shown in (None, "who?", "fails") if way != "function" else (None, "who?"):
            async with connected(url, greet=False) as client:
                assert (await greeted(client, shown)).code == "unauthorized"
    assert asked[:2] == ["let me in", None]


# Keys from elsewhere.


async def test_keys_come_from_a_url_and_are_fetched_anew_for_one_that_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tickwire.server.door import keyring

    monkeypatch.setattr(keyring, "_SOONEST", 0.0)
    served = {"keys": [_jwk(SECRET.encode(), "one")]}

    async def jwks(request: web.Request) -> web.Response:
        return web.json_response(served)

    app = web.Application()
    app.router.add_get("/jwks", jwks)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        where = f"{site.name.replace('0.0.0.0', '127.0.0.1')}/jwks".replace(":0/", f":{runner.addresses[0][1]}/")
        async with broker(auth_secret="", auth_keys=where) as (_, url):
            for key, id, lets_in in ((SECRET, "one", True), (SECRET[::-1], "two", False)):
                async with connected(url, greet=False) as client:
                    shown = jwt.encode({"sub": "a", "exp": time.time() + 9}, key, "HS256", {"kid": id})
                    assert isinstance(await greeted(client, shown), Welcome) is lets_in
            served["keys"].append(_jwk(SECRET[::-1].encode(), "two"))
            async with connected(url, greet=False) as client:
                assert isinstance(await greeted(client, shown), Welcome)
    finally:
        await runner.cleanup()


def _jwk(secret: bytes, id: str) -> dict[str, str]:
    return {"kty": "oct", "k": jwt.utils.base64url_encode(secret).decode(), "kid": id, "alg": "HS256"}


# Addresses, as proxies tell them.


async def test_a_trusted_proxy_says_who_the_client_is_and_nobody_else_does() -> None:
    async def come(url: str, client: str) -> int:
        async with aiohttp.ClientSession() as http:
            try:
                ws = await http.ws_connect(url, protocols=["tickwire.v1"], headers={"X-Forwarded-For": client})
            except aiohttp.WSServerHandshakeError as error:
                return error.status
            await ws.close()
            return ws.close_code or 0

    limits = {"connections_per_ip": 2, "connects_per_second": 1, "connects_burst": 1, "anonymous": "always"}
    async with broker(**limits, trusted_proxies="127.0.0.0/8") as (_, url):
        assert await come(url, "203.0.113.5") == 1000
        assert await come(url, "203.0.113.5") == 429
        assert await come(url, "203.0.113.6") == 1000
        assert await come(url, "203.0.113.7, 203.0.113.5") == 429
    async with broker(**limits) as (_, url):
        assert await come(url, "203.0.113.5") == 1000
        assert await come(url, "203.0.113.6") == 429


async def test_the_proxy_protocol_comes_before_all_else_and_only_from_who_is_trusted() -> None:
    options = {"proxy_protocol": True, "anonymous": "always", "handshake_timeout": 1.0}
    async with broker(**options, trusted_proxies="127.0.0.1") as (made, url):
        upgrade = UPGRADE.format(path="/ws", host="x").encode() + b"\r\n"
        for cut in (0, 10, 41, 60):
            async with dialled(url) as raw:
                stream = b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n" + upgrade
                raw.writer.write(stream[:cut])
                await raw.writer.drain()
                await asyncio.sleep(0.01)
                raw.writer.write(stream[cut:])
                assert (await raw.reader.readline()).startswith(b"HTTP/1.1 101")
                assert [connection.address for connection in made._connections] == ["203.0.113.5"]
            while made._connections:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        for wrong in (upgrade, b"PROXY what\r\n", b"PROXY"):
            async with dialled(url) as raw:
                raw.writer.write(wrong)
                assert await raw.rest() == b""
    async with broker(**options, trusted_proxies="10.0.0.0/8") as (_, url), dialled(url) as raw:
        raw.writer.write(b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n")
        assert await raw.rest() == b""


# What stops the start.


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tls_client_certificates": "required"}, "tls_client_ca is not given"),
        ({"auth_secret": "short"}, "has 5 bytes, but must have at least 32"),
        ({"auth_secret_file": "/nowhere"}, "cannot read the secret in '/nowhere'"),
        ({"auth_keys": "/nowhere"}, "cannot read the keys in '/nowhere'"),
        ({"auth_keys": "http://keys.example/jwks"}, "must be an https URL"),
        ({"auth_keys": "ftp://keys.example/jwks"}, "must be an https URL"),
        ({"auth_revoked": "/nowhere"}, "cannot read what was revoked in '/nowhere'"),
        ({"auth_algorithms": "HS256, none"}, "has 'none' in it, which must be one of HS256"),
        ({"allow": "10.0.0.1/8"}, "did you mean 10.0.0.0/8"),
        ({"deny": ["ten"]}, "has 'ten' in it, which must be an address or a network"),
        ({"origins": "example.com"}, "must be an origin, such as https://example.com"),
        ({"origins": [5]}, "has 5 in it, but must be a list of texts"),
        ({"proxy_protocol": True}, "trusted_proxies names nobody"),
        ({"anonymous": "sometimes"}, "one of auto, never, loopback, always"),
        ({"audit_log": "/nowhere/audit"}, "cannot write the audit log '/nowhere/audit'"),
        ({"tls_certificate": "/nowhere"}, "tls_certificate cannot be used: '/nowhere'"),
        ({"tls_key": "/nowhere"}, "tls_certificate is not"),
        ({"rights": [{"subject": "a", "sing": []}]}, "'sing'"),
    ],
)
def test_settings_of_the_door_that_cannot_be_used_stop_the_start(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Broker(Settings(**settings))

    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "short" not in str(caught.value)
