"""Frames are taken and sent within the turn that brought or made them, where aiohttp is as we know it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import WSMsgType

from client.scripted import Peer, scripted
from tickwire.server import Broker, Settings
from tickwire.wire.encode import encode
from tickwire.wire.messages import Publish, Refusal, Welcome
from tickwire_client import ConnectionLost, OutcomeUnknown, Refused, TickwireError, connect
from tickwire_client.session import Session

pytestmark = pytest.mark.usefixtures("frames_either_way")


WELCOME = encode(Welcome(1, 77, 0, {}, {"ack": "memory", "server": "raw"}))


def frame(body: bytes, *, opcode: int = 2, first: int | None = None, length: int | None = None) -> bytes:
    """A WebSocket frame of a server; of the `length` that it says, if that is not its own."""
    size = len(body) if length is None else length
    head = bytes([0x80 | opcode if first is None else first])
    return head + (bytes([size]) if size < 126 else b"\x7f" + size.to_bytes(8, "big")) + body


@contextlib.asynccontextmanager
async def upgrading(behind: bytes, stays: bool = False) -> AsyncIterator[str]:
    """A server that answers the upgrade and says what is `behind` it in one write, and nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        (key,) = re.findall(rb"(?i)sec-websocket-key: *(\S+)", request)
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        lines = b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"
        named = b"Sec-WebSocket-Accept: " + accept, b"Sec-WebSocket-Protocol: tickwire.v1"
        writer.write(b"\r\n".join((*lines, *named, b"", b"")) + behind)
        if not (stays or behind):
            writer.write_eof()
        with contextlib.suppress(OSError):
            while await reader.read(1 << 16):
                pass
        writer.close()
        gone.set()

    gone = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await gone.wait()


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    async with Broker(Settings(pending_peer_bytes=64 << 10)).serving(port=0) as url:
        yield url


async def test_this_aiohttp_lets_frames_be_taken_and_sent_at_once(url: str, request: pytest.FixtureRequest) -> None:
    at_once = request.node.callspec.params["frames_either_way"] == "at once"
    async with connect(url) as client:
        link = client._connection._link

        assert link is not None
        assert (link._socket.intake is not None, link.writable) == (at_once, at_once)


@pytest.mark.parametrize("size", [*range(90, 130), *range(65_470, 65_540)])
async def test_frames_of_every_length_around_the_steps_of_their_header_arrive(url: str, size: int) -> None:
    payload = bytes(at % 251 for at in range(size))
    async with connect(url) as client:
        receipt = await client.publish("a", payload=payload)
        kept = [message.payload async for message in client.history("a")]

    assert (receipt.offset, kept) == (0, [payload])


async def test_what_leaves_at_once_and_what_waits_for_the_socket_keep_their_order(url: str) -> None:
    """The broker reads 64 KiB at a time, so that the transport fills and drains again and again."""
    sent = []
    async with connect(url) as client, client.subscribe("a") as everything:
        publishing = []
        for at in range(400):
            payload = b"%d " % at + bytes(at * 997 % 30_000)
            sent.append(payload)
            if at % 3:
                client.publish_nowait("a", payload=payload)
            else:
                publishing.append(asyncio.create_task(client.publish("a", payload=payload)))
                await asyncio.sleep(0)
            if not at % 40:
                await client.flush()
        receipts = await asyncio.gather(*publishing)
        got = [(await anext(everything)).payload for _ in sent]

    assert [payload[:5] for payload in got] == [payload[:5] for payload in sent]
    assert got == sent
    assert [receipt.offset for receipt in receipts] == list(range(0, 400, 3))


@pytest.mark.parametrize(("step", "told"), [("receive", OutcomeUnknown), ("frames", ConnectionLost)])
async def test_a_fault_of_the_client_ends_it_and_who_waits_is_told(
    url: str, step: str, told: type[TickwireError], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("planted")

    async with connect(url) as client:
        monkeypatch.setattr(Session, step, fail)

        with pytest.raises(told):
            await client.publish("a", 1)
        assert client.state == "closed"
    assert "planted" in caplog.text


@pytest.mark.parametrize(
    "behind",
    [
        frame(b"abc", opcode=3),
        frame(WELCOME) + frame(b"abc", opcode=3),
        frame(b"abc", first=0xC2),
        frame(b"\xff\xfe", opcode=1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        frame(b"", first=0x82, length=5 << 20),
        frame(b""),
        frame(b"\xc1"),
        frame((1002).to_bytes(2, "big"), opcode=8),
        b"",
    ],
)
async def test_what_is_wrong_right_behind_the_upgrade_is_told_and_not_waited_for(behind: bytes) -> None:
    async with upgrading(behind) as url, asyncio.timeout(5):
        with contextlib.suppress(ConnectionLost):
            client = await connect(url, reconnect=False)
            while client.state != "closed":  # noqa: ASYNC110 - on_state would be told before it is there
                await asyncio.sleep(0.01)
            await client.close()


async def test_a_welcome_right_behind_the_upgrade_is_as_good_as_any() -> None:
    async with upgrading(frame(WELCOME), stays=True) as url, connect(url, reconnect=False) as client:
        assert client.state == "connected"


async def test_a_bad_frame_ends_the_connection_and_not_the_client_however_much_is_being_sent() -> None:
    states: list[str] = []
    back = asyncio.Event()

    def heard(state: str, why: str) -> None:
        states.append(state)
        if states.count("connected") == 6:
            back.set()
        elif state == "connected" and len(states) > 2:
            client.publish_nowait("a", 1)

    async def spoil(peer: Peer) -> None:
        await peer.greet()
        await peer.hear()
        assert peer.transport is not None
        refusal = encode(Refusal(Publish.kind, None, "bad_topic", "no"))
        peer.transport.write(frame(refusal) + frame(b"\xff\xff\xff"))
        await peer.ws.receive()
        while not peer.ws.closed and (await peer.ws.receive()).type is WSMsgType.BINARY:
            pass

    async def stay(peer: Peer) -> None:
        await peer.greet()
        await peer.until_gone()

    def publish_more(error: Refused) -> None:
        for _ in range(3):
            client.publish_nowait("a", payload=bytes(120_000))

    async with scripted(*[spoil] * 5, stay) as url:
        client = await connect(url, on_state=heard, on_refused=publish_more)
        client.publish_nowait("a", 1)
        async with asyncio.timeout(20):
            await back.wait()
        assert "closed" not in states
        await client.close(timeout=0.1)
