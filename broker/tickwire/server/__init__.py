"""Where messages come from: the aiohttp shell, timers, settings and the command line around the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .broker import Broker
    from .settings import Settings

__all__ = ["Broker", "Settings"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: aiohttp takes longer than `tickwire --help` may take."""
    if name == "Broker":
        from .broker import Broker

        return Broker
    if name == "Settings":
        from .settings import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
