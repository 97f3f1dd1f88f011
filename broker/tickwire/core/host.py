"""Who a session asks when it must know who is there: the shell around it, which may have to ask others."""

from __future__ import annotations

from typing import Protocol

from .rights import ANYBODY, Identity


class Host(Protocol):
    """Who knows who is who."""

    def identify(self, token: str | None) -> Identity | None:
        """Whose token it is, or who it is without one. Raises Unauthorized. None where that takes time: then `admit` or
        `reject` follows."""

    def identified(self, identity: Identity) -> None:
        """A session is that of somebody, from here on."""


class LetsAnybodyIn:
    """A host that asks nobody."""

    def identify(self, token: str | None) -> Identity | None:
        return ANYBODY

    def identified(self, identity: Identity) -> None:
        pass


NOBODY_ASKS = LetsAnybodyIn()
