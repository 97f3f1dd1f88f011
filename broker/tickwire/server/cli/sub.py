"""`tickwire sub`: messages as JSON lines on standard output, what happens to the connection on standard error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import click

from tickwire.wire.topics import ONE, REST, is_exact, matches

from .client import client_options, note, run_client, tell_states
from .text import to_text

if TYPE_CHECKING:
    from tickwire_client import Client, Gap, Message

    from .streams import Output


@click.command(short_help="Print the messages of topics, as JSON lines.")
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
@click.option("--count", type=click.IntRange(1), help="End after this many messages.")
@client_options
def sub(patterns: tuple[str, ...], count: int | None, url: str, token: str | None) -> int:
    """Print the messages of all topics that match, as JSON lines.

    In a pattern * stands for one segment of a topic, and > for all the rest: prices.* or trades.>
    Quote it, or the shell may take it for itself.

    \b
    tickwire sub 'prices.*' --count 20
    tickwire sub 'prices.*' | jq -c 'select(.topic == "prices.AAPL") | .data'

    When the connection is lost it comes back by itself. What was missed meanwhile is told on standard error.
    Bytes are printed as {"$bytes": "aGk="}, NaN as null.
    """
    for pattern in patterns:
        _tell_of_wildcards(pattern)
    return run_client(_subscribe(patterns, count, url, token), url)


async def _subscribe(patterns: tuple[str, ...], count: int | None, url: str, token: str | None) -> int:
    from tickwire_client import connect

    from .streams import Output

    printer = Printer(Output(), patterns, count)
    async with connect(url, token=token, on_state=tell_states(url)) as client:
        readers = [asyncio.ensure_future(_read(client, index, printer)) for index in range(len(patterns))]
        try:
            # The first that ends has printed the last message wanted, or failed.
            ended, _ = await asyncio.wait(readers, return_when=asyncio.FIRST_COMPLETED)
            for reader in ended:
                reader.result()
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
    return 0


async def _read(client: Client, index: int, printer: Printer) -> None:
    pattern = printer.patterns[index]
    async with client.subscribe(pattern, on_gap=_on_gap) as subscription:
        note(f"subscribed to {pattern}")
        async for messages in subscription.batches():
            if await printer.show(index, messages):
                return


class Printer:
    """Messages as lines on standard output, until there were enough."""

    def __init__(self, output: Output, patterns: tuple[str, ...], count: int | None) -> None:
        self.patterns = patterns
        self._output, self._left = output, count
        self._first = lru_cache(maxsize=4096)(self._first_match)

    async def show(self, index: int, messages: Iterable[Message]) -> bool:
        """Print what a subscription got; whether that is all that is wanted."""
        # A topic that two patterns match comes to both subscriptions; it is printed once.
        mine = [message for message in messages if self._first(message.topic) == index][: self._left]
        if self._left is not None:
            self._left -= len(mine)
        if mine:
            await self._output.write("".join(map(_line, mine)).encode())
        return self._left == 0

    def _first_match(self, topic: str) -> int:
        return next((i for i, pattern in enumerate(self.patterns) if matches(pattern, topic)), 0)


def _line(message: Message) -> str:
    from tickwire_client import WireError

    try:
        data = message.data
    except WireError:  # somebody published bytes and called them msgpack; bytes are what can be shown
        data = message.payload
    facts = {"topic": message.topic, "offset": message.offset, "time": message.time, "data": data}
    return to_text(facts) + "\n"


def _on_gap(gap: Gap) -> None:
    note(f"gap: {gap}")


def _tell_of_wildcards(pattern: str) -> None:
    for segment in pattern.split("."):
        wildcard = next((sign for sign in (ONE, REST) if sign in segment), None)
        if wildcard is not None and segment != wildcard:
            meant = "a whole segment" if wildcard == ONE else "all segments that follow"
            taken = "one topic by that name" if is_exact(pattern) else f"a pattern with a segment named {segment}"
            note(f"`{wildcard}` stands for {meant}; {pattern} is {taken}")
            return
