"""Sizes and durations as people write them: "4 MiB", "256 KiB", "1_000_000"; "60s", "500ms", "1.5"."""

from __future__ import annotations

import math
import re

_SIZES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_SIZES |= {"tb": 1000**4, "tib": 1 << 40}
_DURATIONS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_WRITTEN = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError where the text is not a whole number of them."""
    number, factor = _parse(text, _SIZES)
    size = round(number * factor) if math.isfinite(number) else 0
    if not abs(size - number * factor) <= 1e-6:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return size


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError."""
    number, factor = _parse(text, _DURATIONS)
    return number * factor


def show_size(size: int) -> str:
    """The size in the largest binary unit that it is a whole number of."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit.lower()] == 0:
            return f"{size // _SIZES[unit.lower()]} {unit}"
    return f"{size:_}"


def show_duration(seconds: float) -> str:
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{seconds // 3600:g}h"
    return f"{seconds:g}s"


def _parse(text: str, units: dict[str, int] | dict[str, float]) -> tuple[float, float]:
    written = _WRITTEN.fullmatch(text.strip())
    if written is None or written[2].lower() not in units:
        raise ValueError(f"{text!r} is not a number with one of the units {', '.join(filter(None, units))}")
    return float(written[1].replace("_", "")), units[written[2].lower()]
