"""`tickwire demo`: a broker, real prices replayed into it, readers, and the proof that each got every price."""

from __future__ import annotations

import click

from .number import Number


@click.command(short_help="Replay real prices to many readers, each of them checked.")
@click.option(
    "--readers", default=100, show_default=True, type=click.IntRange(1, 20_000), help="Connections that read."
)
@click.option("--speed", default=10.0, show_default=True, type=Number(0.1, 10_000), help="Trading days a second.")
@click.option("--for", "seconds", type=Number(0.1), help="Seconds to replay.  [default: until the data ends]")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65_535), help="The broker's; 0 picks one.")
def demo(readers: int, speed: float, seconds: float | None, port: int) -> int:
    """Replay real stock prices through a broker to many readers, and prove that none missed one.

    Twenty stocks, 1990 to 2022: a trading day is one batch of 20 prices, published to prices.AAPL, prices.AMD, ...
    and read by everyone. While it runs, `tickwire sub 'prices.*' --url ...` in another terminal sees them too.
    At the end, count, offsets and checksum of each reader and topic are compared with the publisher's.

    Exit code: 0 when all are equal, 1 when not.
    """
    from ..demo.run import Plan, run

    return run(Plan(readers=readers, speed=speed, seconds=seconds, port=port))
