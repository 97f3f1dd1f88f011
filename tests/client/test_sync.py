"""The client for scripts, against a broker in another process."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from house.process import broker_process
from tickwire_client import BufferFull, ConnectionLost, Gap, Message, OutcomeUnknown, Receipt, Refused
from tickwire_client.sync import connect

pytestmark = pytest.mark.usefixtures("frames_either_way")

INTERRUPTED = """
import sys
from tickwire_client.sync import connect

try:
    with connect(sys.argv[1]) as client:
        subscription = client.subscribe("t")
        print("waiting", flush=True)
        for message in subscription:
            pass
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


CONNECTING = """
import sys
from tickwire_client.sync import connect

try:
    connect(sys.argv[1])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""

FORKED = """
import os, sys
from tickwire_client import ConnectionLost
from tickwire_client.sync import connect

with connect(sys.argv[1]) as client:
    subscription = client.subscribe("t")
    child = os.fork()
    if child == 0:
        for verb in (lambda: client.publish("t", 1), lambda: client.publish_nowait("t", 1), lambda: next(subscription)):
            try:
                verb()
            except ConnectionLost as error:
                print(error, flush=True)
        subscription.close()
        client.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    client.publish("t", 2)
    print(next(subscription).data)
"""


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with broker_process() as broker:
        yield broker.url


async def test_the_same_verbs(url: str) -> None:
    def script() -> None:
        with connect(url) as client, client.subscribe("t.>") as subscription:
            receipt = client.publish("t.a", 0)
            for at in range(1, 1_000):
                client.publish_nowait("t.a", at)
            with client.batch() as batch:
                batch.add("t.a", 1_000)
                batch.add("t.b", payload=b"bytes")
            client.flush()

            values: list[object] = []
            for message in subscription:
                values.append(message.data)
                if len(values) == 500:
                    break
            for messages in subscription.batches():
                values += [message.data for message in messages]
                if len(values) == 1_002:
                    break

            assert values == [*range(1_001), b"bytes"]
            assert batch.receipts == [Receipt("t.a", receipt.epoch, 1_000), Receipt("t.b", receipt.epoch, 0)]
            with pytest.raises(Refused, match="empty segment"):
                client.publish_nowait("t..a", 1)
            assert client.state == "connected"
        with pytest.raises(ConnectionLost, match="closed"):
            client.publish("t", 1)

    await asyncio.to_thread(script)


async def test_publish_nowait_has_a_bound(url: str) -> None:
    def script() -> None:
        with connect(url) as client:
            full = False
            for _ in range(100_000):
                try:
                    client.publish_nowait("t", payload=bytes(100_000))
                except BufferFull:
                    full = True
                    break
            assert full
            client.flush()
            client.publish_nowait("t", 1)

    await asyncio.to_thread(script)


async def test_gaps_are_told_in_the_scripts_thread_before_what_follows(url: str) -> None:
    def script() -> None:
        told: list[object] = []

        def on_gap(gap: Gap) -> None:
            told.append((threading.get_ident(), gap.reason))

        with connect(url) as client:
            subscription = client.subscribe("t", on_full="drop", max_buffered=1, on_gap=on_gap)
            first = client.publish("t", 0)
            for at in range(1, 50):
                client.publish("t", at)
            for message in subscription:
                told.append(message.offset)
                assert isinstance(message, Message)
                if message.offset > first.offset:
                    break
                client.publish("t", 50)

        assert told == [0, (threading.get_ident(), "dropped"), 50]

    await asyncio.to_thread(script)


async def test_a_broker_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(ConnectionLost, match="tickwire serve --port 1"):
        await asyncio.to_thread(connect, "ws://127.0.0.1:1")


async def test_an_interruption_goes_through_a_waiting_script(url: str) -> None:
    script = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INTERRUPTED, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert script.stdout is not None
    assert await asyncio.wait_for(script.stdout.readline(), 20) == b"waiting\n"

    os.kill(script.pid, signal.SIGINT)
    output, errors = await asyncio.wait_for(script.communicate(), 20)

    assert (output, errors, script.returncode) == (b"interrupted\n", b"", 0)


async def test_an_interruption_while_it_connects_leaves_nothing_open() -> None:
    came = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        script = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "always", "-c", CONNECTING, f"ws://127.0.0.1:{port}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await asyncio.wait_for(came.wait(), 20)

        os.kill(script.pid, signal.SIGINT)
        output, errors = await asyncio.wait_for(script.communicate(), 20)

    assert (output, errors, script.returncode) == (b"interrupted\n", b"", 0)


async def test_a_forked_process_is_told_that_the_client_is_not_its_own(url: str) -> None:
    script = await asyncio.create_subprocess_exec(sys.executable, "-c", FORKED, url, stdout=asyncio.subprocess.PIPE)
    try:
        output, _ = await asyncio.wait_for(script.communicate(), 20)
    finally:
        if script.returncode is None:
            script.kill()

    told = b"this client belongs to the process that connected it; connect again after the fork\n"
    assert output == told * 3 + b"2\n"


async def test_closing_in_one_thread_ends_the_calls_of_the_others(url: str) -> None:
    def script() -> None:
        client = connect(url)
        started = threading.Barrier(7)
        ended: list[type[BaseException] | None] = []

        def work(step: Callable[[], object]) -> None:
            step()
            started.wait(10)
            try:
                while True:
                    step()
            except (ConnectionLost, OutcomeUnknown, StopIteration) as error:
                ended.append(type(error))

        subscription = client.subscribe("t")
        client.publish("t", 1)
        steps = [lambda: client.publish("t", 1)] * 4 + [lambda: next(subscription), client.flush]
        threads = [threading.Thread(target=work, args=(step,), daemon=True) for step in steps]
        for thread in threads:
            thread.start()
        started.wait(10)
        closing = threading.Thread(target=client.close, daemon=True)
        closing.start()
        client.close()
        for thread in (*threads, closing):
            thread.join(10)
            assert not thread.is_alive()
        assert len(ended) == len(steps)

    for _ in range(5):
        await asyncio.to_thread(script)


async def test_a_callback_in_the_clients_thread_is_told_not_to_wait_for_it(url: str) -> None:
    def script() -> None:
        told: list[str] = []

        def on_state(state: str, detail: str) -> None:
            if state == "closed":
                try:
                    client.publish("t", 1)
                except RuntimeError as error:
                    told.append(str(error))

        client = connect(url, on_state=on_state)
        client.close()
        assert len(told) == 1
        assert "own thread" in told[0]

    await asyncio.to_thread(script)


async def test_subscribing_on_a_closed_client_is_told_once(url: str, recwarn: pytest.WarningsRecorder) -> None:
    def script() -> None:
        client = connect(url)
        client.close()
        with pytest.raises(ConnectionLost, match="closed"):
            client.subscribe("t")

    await asyncio.to_thread(script)
    gc.collect()
    assert [str(warning.message) for warning in recwarn if "never" in str(warning.message)] == []


async def test_what_one_thread_posted_goes_before_its_flush_though_another_was_about_to_move_it(url: str) -> None:
    def script() -> None:
        with connect(url) as client, connect(url) as reader:
            call, called, go_on = client._loop.call, threading.Event(), threading.Event()

            def held_up(step: Callable[[], None]) -> None:
                called.set()
                go_on.wait(0.2)
                call(step)

            client._loop.call = held_up  # type: ignore[method-assign]
            other = threading.Thread(target=client.publish_nowait, args=("x", 0))
            other.start()
            called.wait()
            client.publish_nowait("t", "first")
            client.flush()
            assert [message.data for message in reader.history("t")] == ["first"]
            go_on.set()
            other.join()

    await asyncio.to_thread(script)
