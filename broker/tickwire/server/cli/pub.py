"""`tickwire pub`: one message, or JSON lines from standard input in few frames; it ends when all are acknowledged."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from .client import Access, Mistake, client_options, note, run_client
from .number import Number
from .text import NotJson, from_text

if TYPE_CHECKING:
    from tickwire_client import Batch, Client
    from tickwire_client.opening import Opening

    from .pipeline import Pipeline

# Of what is read, so that a batch stays below the limits of a frame: JSON grows at most 2.25 times as msgpack ("0.1,").
_BATCH_BYTES, _BATCH_LINES = 64 << 10, 1_000
_NEGATIVE = re.compile(r"-\d+(\.\d+)?([eE][-+]?\d+)?")

Message = tuple[str, dict[str, Any]]  # a topic, and the data or the payload


class PubCommand(click.Command):
    """A command whose arguments may be negative numbers."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Not always, or a mistyped option would be published.
        ctx.ignore_unknown_options = any(map(_NEGATIVE.fullmatch, args))
        return super().parse_args(ctx, args)


@click.command(cls=PubCommand, short_help="Publish a message, or lines of standard input.")
@click.argument("topic")
@click.argument("data", required=False)
@click.option("--bytes", "raw", is_flag=True, help="Send DATA, or each line, as the bytes that it is.")
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=Number(0, min_open=True),
    help="Seconds to wait for a connection and for the acknowledgment.",
)
@client_options
def pub(topic: str, data: str | None, raw: bool, timeout: float, access: Access) -> int:
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
    connecting = partial(access.connect, timeout=timeout)
    if data is not None and data != "-":
        return run_client(_one(topic, _parsed(data, raw), connecting), access.url)
    lines = Lines(None if topic == "-" else topic, raw)
    return run_client(_many(lines, connecting), access.url)


def _parsed(data: str, raw: bool) -> dict[str, Any]:
    if raw:
        return {"payload": data.encode(errors="surrogateescape")}
    try:
        return {"data": _data(data)}
    except NotJson as error:
        raise Mistake(f"DATA {error}") from None


def _data(text: str | bytes) -> Any:
    """What the JSON stands for. Raises NotJson, with what one may have meant instead."""
    try:
        return from_text(text)
    except NotJson as error:
        raise NotJson(f"{error}{_advice(text)}") from None


def _advice(text: str | bytes) -> str:
    try:
        word = (text if isinstance(text, str) else text.decode()).strip()
    except UnicodeDecodeError:
        return "; bytes are sent as they are with --bytes"
    if "'" in word and '"' not in word:
        return """; JSON has double quotes, so in a shell: '{"bid": 187.2}'"""
    if 0 < len(word) <= 40 and not re.search(r"""["'{}\[\]\\]""", word):
        return f"""; a text is written '"{word}"', raw bytes are sent with --bytes"""
    return ""


async def _one(topic: str, message: dict[str, Any], connecting: Callable[[], Opening[Client]]) -> int:
    from tickwire_client.payloads import pack

    if "data" in message:
        pack(message["data"])  # what msgpack cannot hold is told without a broker
    async with connecting() as client:
        receipt = await client.publish(topic, **message)
    if sys.stderr.isatty():
        note(f"published to {receipt.topic} at offset {receipt.offset}")
    return 0


async def _many(lines: Lines, connecting: Callable[[], Opening[Client]]) -> int:
    from tickwire_client import TickwireError

    from .pipeline import Pipeline

    async with connecting() as client:
        pipeline = Pipeline()
        wrong = await pipeline.run(_send_all(lines, client, pipeline))
    if isinstance(pipeline.error, TickwireError):
        note(f"{pipeline.error}; {pipeline.fates()}")
        return 1
    if pipeline.error is not None:
        raise pipeline.error
    if wrong is not None:
        return _tell_wrong(wrong, lines.taken + 1)
    if sys.stderr.isatty():
        note(f"published {lines.messages} messages")
    return 0


async def _send_all(lines: Lines, client: Client, pipeline: Pipeline) -> Exception | None:
    """Send the lines of standard input up to the first that is wrong; returns what is wrong with it."""
    from .streams import read_lines

    async for block in read_lines():
        for group in _groups(block, *client.batch_limits):
            first, batch = lines.taken + 1, client.batch()
            wrong = lines.fill(batch, group)
            if len(batch):
                await pipeline.send(batch, first, lines.taken)
            if wrong is not None:
                return wrong
    return None


def _tell_wrong(wrong: Exception, number: int) -> int:
    """Name the line. Returns the exit code."""
    from tickwire_client import Refused

    before = "what stands before it is published"
    if isinstance(wrong, Refused):
        note(f"line {number}: {wrong.text}; {before} [{wrong.code}]")
        return 1
    note(f"line {number} {wrong}; {before}" if isinstance(wrong, NotJson) else f"line {number}: {wrong}; {before}")
    return 2


class Lines:
    """Lines of standard input as messages."""

    def __init__(self, topic: str | None, raw: bool) -> None:
        self._topic, self._raw = topic, raw
        self.taken = self.messages = 0

    def fill(self, batch: Batch, lines: list[bytes]) -> Exception | None:
        """Add the lines to the batch up to the first that is wrong or would be refused; returns what is wrong."""
        from tickwire_client import Refused

        for line in lines:
            if self._raw or line.strip():
                try:
                    topic, content = self.message(line)
                    batch.add(topic, **content)
                except (Refused, ValueError, TypeError, OverflowError) as wrong:
                    return wrong
                self.messages += 1
            self.taken += 1
        return None

    def message(self, line: bytes) -> Message:
        """The topic of a line, and its data or payload. Raises NotJson."""
        if self._raw:
            return str(self._topic), {"payload": line}
        if self._topic is not None:
            return self._topic, {"data": _data(line)}
        data = from_text(line)
        if not isinstance(data, dict) or not isinstance(data.get("topic"), str) or "data" not in data:
            raise NotJson('is not {"topic": ..., "data": ...}; to publish every line to one topic, write `pub TOPIC -`')
        return data["topic"], {"data": data["data"]}


def _groups(lines: list[bytes], most: int, most_bytes: int) -> Iterator[list[bytes]]:
    most, most_bytes = min(most, _BATCH_LINES), min(most_bytes, _BATCH_BYTES)
    group: list[bytes] = []
    size = 0
    for line in lines:
        if group and (size + len(line) > most_bytes or len(group) >= most):
            yield group
            group, size = [], 0
        group.append(line)
        size += len(line)
    if group:
        yield group
