"""Where messages come from: the aiohttp shell, timers, settings and the command line around the core."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickwire.core.errors import Unauthorized
    from tickwire.core.rights import Identity

    from .broker import Broker
    from .configuration.settings import Settings

__all__ = ["Broker", "Identity", "Settings", "Unauthorized"]

_FROM = {
    "Broker": "tickwire.server.broker",
    "Identity": "tickwire.core.rights",
    "Settings": "tickwire.server.configuration.settings",
    "Unauthorized": "tickwire.core.errors",
}


def __getattr__(name: str) -> Any:
    """Imported when asked for: aiohttp takes longer than `tickwire --help` may take."""
    if name in _FROM:
        return getattr(import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
