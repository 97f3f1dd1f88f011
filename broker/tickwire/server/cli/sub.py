"""`tickwire sub`: messages as JSON lines on standard output, what happens to the connection on standard error."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import click

from tickwire.wire.topics import ONE, REST, is_exact, matches

from .client import Access, Mistake, client_options, note, run_client
from .lines import json_lines
from .since import At, Start, begin, read_since

if TYPE_CHECKING:
    from tickwire_client import Client, Gap, Message

    from .streams import Output


@click.command(short_help="Print the messages of topics, as JSON lines.")
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
@click.option("--count", type=click.IntRange(1), help="End after this many messages.")
@click.option("--since", metavar="WHEN", help="Begin with earliest, last, 5m (ago), a time or @OFFSET.  [default: now]")
@click.option("--until-now", is_flag=True, help="End with the newest message that there is; begins with the earliest.")
@click.option("--group", metavar="NAME", help="Share the messages with all that name this group: each goes to one.")
@client_options
def sub(
    patterns: tuple[str, ...],
    count: int | None,
    since: str | None,
    until_now: bool,
    group: str | None,
    access: Access,
) -> int:
    """Print the messages of all topics that match, as JSON lines.

    In a pattern * stands for one segment of a topic, and > for all the rest: prices.* or trades.>
    Quote it, or the shell may take it for itself.

    \b
    tickwire sub 'prices.*' --count 20
    tickwire sub 'trades.>' --since 5m                          what came in the last 5 minutes, then what comes
    tickwire sub trades.AAPL --since 2026-11-25T14:30           or since a time
    tickwire sub trades.AAPL --since @1200                      or from an offset on
    tickwire sub 'trades.>' --since earliest --until-now        all that the broker has, and no more
    tickwire sub 'prices.*' | jq -c 'select(.topic == "prices.AAPL") | .data'

    When the connection is lost it comes back by itself, and what came meanwhile is printed then. What the broker does
    not have any more is told on standard error.
    Bytes are printed as {"$bytes": "aGk="}, NaN as null.
    """
    for pattern in patterns:
        _tell_of_wildcards(pattern)
    if group is not None and (since is not None or until_now):
        raise Mistake("--group shares what comes from now on, so neither --since nor --until-now can be given with it")
    if since is None:
        since = "earliest" if until_now else "now"
    where = read_since(since, patterns)
    if until_now and where == "now":
        raise Mistake("--until-now ends where --since now begins; give --since earliest, or leave it out")
    return run_client(_print(Wanted(patterns, where, until_now, group), count, access), access.url)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages."""

    patterns: tuple[str, ...]
    since: Start | At
    until_now: bool = False
    group: str | None = None

    @asynccontextmanager
    async def batches(self, client: Client, pattern: str) -> AsyncIterator[AsyncIterable[Sequence[Message]]]:
        """Those of one pattern, as they come."""
        since = begin(self.since, client, pattern)
        if self.until_now:
            async with client.history(pattern, since=since, on_gap=_on_gap) as history:
                yield history.batches()
        else:
            async with client.subscribe(pattern, since=since, group=self.group, on_gap=_on_gap) as subscription:
                note(f"subscribed to {pattern}")
                yield subscription.batches()


async def _print(wanted: Wanted, count: int | None, access: Access) -> int:
    from .streams import Output

    # What a batch makes is gone before the next one: to look for cycles in it took a tenth of the time.
    gc.freeze()
    gc.set_threshold(20_000)
    printer = Printer(Output(), wanted.patterns, count)
    async with access.connect() as client:
        reading = {asyncio.ensure_future(_read(client, wanted, i, printer)) for i in range(len(wanted.patterns))}
        try:
            while reading and not printer.done:
                ended, reading = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
                for reader in ended:
                    reader.result()
                if not wanted.until_now:
                    break  # it has printed the last message wanted, or the broker is gone for good
        finally:
            for reader in reading:
                reader.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
    return 0


async def _read(client: Client, wanted: Wanted, index: int, printer: Printer) -> None:
    async with wanted.batches(client, wanted.patterns[index]) as batches:
        async for messages in batches:
            await printer.show(index, list(messages))
            if printer.done:
                return


class Printer:
    """Messages as lines on standard output, until there were enough."""

    def __init__(self, output: Output, patterns: tuple[str, ...], count: int | None) -> None:
        self._patterns, self._output, self._left = patterns, output, count
        self._first = lru_cache(maxsize=4096)(self._first_match)

    @property
    def done(self) -> bool:
        """Whether that is all that is wanted."""
        return self._left == 0

    async def show(self, index: int, messages: list[Message]) -> None:
        """Print what came for a pattern."""
        if len(self._patterns) > 1:
            # A topic that two patterns match comes to both subscriptions; it is printed once.
            messages = [message for message in messages if self._first(message.topic) == index]
        if self._left is not None:
            messages = messages[: self._left]
            self._left -= len(messages)
        if messages:
            await self._output.write(json_lines(messages).encode())

    def _first_match(self, topic: str) -> int:
        return next((i for i, pattern in enumerate(self._patterns) if matches(pattern, topic)), 0)


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
