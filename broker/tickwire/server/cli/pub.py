"""`tickwire pub`: one message, or JSON lines from standard input in few frames; it ends when all are acknowledged."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .client import Mistake, client_options, note, run_client
from .text import NotJson, from_text

if TYPE_CHECKING:
    from tickwire_client import Client

# Of what is read, so that a batch stays below the limits of a frame: JSON grows at most 2.25 times as msgpack ("0.1,").
_BATCH_BYTES, _BATCH_LINES = 64 << 10, 1_000
_UNDER_WAY = 8  # batches not yet acknowledged: far below what the client buffers, enough for a distant broker

Message = tuple[str, dict[str, Any]]  # a topic, and the data or the payload


@click.command(short_help="Publish a message, or lines of standard input.")
@click.argument("topic")
@click.argument("data", required=False)
@click.option("--bytes", "raw", is_flag=True, help="Send DATA, or each line, as the bytes that it is.")
@client_options
def pub(topic: str, data: str | None, raw: bool, url: str, token: str | None) -> int:
    """Publish DATA, which is JSON, to TOPIC, and wait until it is acknowledged.

    \b
    tickwire pub prices.AAPL '{"bid": 187.2}'
    tickwire pub chat.lobby '"a text is quoted twice"'
    tickwire pub prices.AAPL -          every line of standard input is the data of a message
    tickwire pub -                      every line is {"topic": ..., "data": ...}

    Bytes within JSON are written {"$bytes": "aGk="}.

    Exit code: 0 when all is acknowledged, 1 when refused or lost, 2 when what was typed is wrong.
    """
    if data is None and topic != "-":
        raise Mistake(f"no DATA for {topic!r}: give it as JSON, or - to read lines from standard input")
    if topic == "-" and (raw or data is not None):
        raise Mistake("with - as TOPIC every line names its topic, so neither DATA nor --bytes can be given")
    if data is not None and data != "-":
        return run_client(_one(topic, _parsed(data, raw), url, token), url)
    lines = Lines(None if topic == "-" else topic, raw)
    return run_client(_many(lines, url, token), url)


def _parsed(data: str, raw: bool) -> dict[str, Any]:
    if raw:
        return {"payload": data.encode(errors="surrogateescape")}
    try:
        return {"data": from_text(data)}
    except NotJson as error:
        raise Mistake(f"DATA is {error}") from None


async def _one(topic: str, message: dict[str, Any], url: str, token: str | None) -> int:
    from tickwire_client import connect
    from tickwire_client.payloads import pack

    if "data" in message:
        pack(message["data"])  # what msgpack cannot hold is told without a broker
    async with connect(url, token=token) as client:
        receipt = await client.publish(topic, **message)
    if sys.stderr.isatty():
        note(f"published to {receipt.topic} at offset {receipt.offset}")
    return 0


async def _many(lines: Lines, url: str, token: str | None) -> int:
    from tickwire_client import connect

    from .streams import read_lines

    wrong: NotJson | None = None
    async with connect(url, token=token) as client, _Pipeline(client) as pipeline:
        async for block in read_lines():
            for group in _groups(block):
                before = lines.taken
                messages, wrong = lines.parse(group)
                await pipeline.publish(messages, f"lines {before + 1} to {lines.taken}")
                if wrong is not None:
                    break
            if wrong is not None:
                break
    if wrong is not None:
        note(f"line {lines.taken + 1} is {wrong}; what stands before it is published")
        return 2
    if sys.stderr.isatty():
        note(f"published {lines.messages} messages")
    return 0


class _Pipeline:
    """Batches under way: sent in their order, a few of them not yet acknowledged. Leaving it waits for the rest."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._room = asyncio.Semaphore(_UNDER_WAY)
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> _Pipeline:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        try:
            await self._group.__aexit__(*raised)
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def publish(self, messages: list[Message], which: str) -> None:
        await self._room.acquire()
        self._group.create_task(self._send(messages, which))

    async def _send(self, messages: list[Message], which: str) -> None:
        from tickwire_client import Refused

        try:
            async with self._client.batch() as batch:
                for topic, content in messages:
                    batch.add(topic, **content)
        except Refused as error:
            raise Refused(error.code, f"{which} are refused: {error.text}", error.details) from None
        finally:
            self._room.release()


class Lines:
    """Lines of standard input as messages."""

    def __init__(self, topic: str | None, raw: bool) -> None:
        self._topic, self._raw = topic, raw
        self.taken = self.messages = 0

    def parse(self, lines: list[bytes]) -> tuple[list[Message], NotJson | None]:
        """The messages of the lines; where one is wrong, of those before it, and what is wrong."""
        messages = []
        for line in lines:
            if self._raw or line.strip():
                try:
                    messages.append(self.message(line))
                except NotJson as wrong:
                    return messages, wrong
                self.messages += 1
            self.taken += 1
        return messages, None

    def message(self, line: bytes) -> Message:
        """The topic of a line, and its data or payload. Raises NotJson."""
        if self._raw:
            return str(self._topic), {"payload": line}
        data = from_text(line)
        if self._topic is not None:
            return self._topic, {"data": data}
        if not isinstance(data, dict) or not isinstance(data.get("topic"), str) or "data" not in data:
            raise NotJson('not {"topic": ..., "data": ...}; to publish every line to one topic, write `pub TOPIC -`')
        return data["topic"], {"data": data["data"]}


def _groups(lines: list[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for line in lines:
        if group and (size + len(line) > _BATCH_BYTES or len(group) >= _BATCH_LINES):
            yield group
            group, size = [], 0
        group.append(line)
        size += len(line)
    if group:
        yield group
