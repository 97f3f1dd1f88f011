"""Where messages come from: the aiohttp shell, timers, settings and the command line around the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .settings import Settings

if TYPE_CHECKING:
    from .broker import Broker

__all__ = ["Broker", "Settings"]


def __getattr__(name: str) -> Any:
    """`Broker` brings aiohttp with it, which takes longer to import than `tickwire --help` may take."""
    if name == "Broker":
        from .broker import Broker

        return Broker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
