"""Frames that both sides send: what the elements of a kind mean."""

from __future__ import annotations

from typing import Any

from .fields import integer, optional_integer, text
from .messages import Beat, Bye


def beat(elements: list[Any]) -> Beat:
    return Beat(integer(elements, 1, "time_us"))


def bye(elements: list[Any]) -> Bye:
    return Bye(text(elements, 1, "code"), text(elements, 2, "text"), optional_integer(elements, 3, "retry_after_ms"))
