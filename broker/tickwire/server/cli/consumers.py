"""`tickwire consumers`: the consumer groups of a broker, and how far behind each is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .client import Access, client_options, note, run_client
from .text import to_text

if TYPE_CHECKING:
    from tickwire_client import Group


@click.command(short_help="List the consumer groups, with their lag.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line for each group.")
@client_options
def consumers(as_json: bool, access: Access) -> int:
    """List the consumer groups of a broker.

    \b
    members    connections that work on it now
    lag        messages that are not done: acknowledged by nobody yet
    unacked    those of them that some member has
    """
    return run_client(_list(as_json, access), access.url)


async def _list(as_json: bool, access: Access) -> int:
    async with access.connect() as client:
        groups = sorted(await client.consumers(), key=lambda group: group.name)
    if as_json:
        for group in groups:
            click.echo(to_text(_facts(group)))
    elif groups:
        _show(groups)
    else:
        note("there are no consumer groups")
    return 0


def _facts(group: Group) -> dict[str, str | int]:
    return {
        "group": group.name,
        "pattern": group.pattern,
        "members": group.members,
        "lag": group.lag,
        "unacked": group.unacked,
    }


def _show(groups: list[Group]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("group", "pattern", box=None, header_style="bold", pad_edge=False)
    for figure in ("members", "lag", "unacked"):
        table.add_column(figure, justify="right")
    for group in groups:
        figures = (group.members, group.lag, group.unacked)
        table.add_row(Text(group.name), Text(group.pattern), *(f"{figure:,}" for figure in figures))
    # A pipe is no terminal of 80 columns: nothing is folded there.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)
