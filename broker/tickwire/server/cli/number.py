"""Numbers on the command line."""

from __future__ import annotations

import math

import click


class Number(click.FloatRange):
    """A number within bounds. "nan" is neither below nor above any bound, and click takes it."""

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)  # type: ignore[arg-type]
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number
