"""Where a client's tokens come from: one that it was given, or whoever gives it one when it needs it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable

from .errors import ConnectionLost

Token = str | Callable[[], str | Awaitable[str]] | None

_SPENT = 0.8  # of the time that a token had left when it was shown, after which a newer one is


class NoToken(ConnectionLost):
    """The application's function gave no token. It is asked again with the next connection."""


def check_token(token: object) -> None:
    """Raise TypeError for what gives no token."""
    if token is not None and not isinstance(token, str) and not callable(token):
        raise TypeError(f"token must be a str, or a function that gives one, not {type(token).__name__}")


async def current(token: Token) -> str | None:
    """The token to show now. Raises what the application's function does, and TypeError where it gives none."""
    if not callable(token):
        return None if token is None else token.strip()  # files end with a newline
    given = token()
    given = await given if inspect.isawaitable(given) else given
    if not isinstance(given, str):
        raise TypeError(f"the token function gave {type(given).__name__}, but must give a str")
    return given.strip()


def renew_in(token: Token, expires_at: float | None, now: float) -> float:
    """Seconds until a newer one is to be shown, of Unix times; never where there is none to be had."""
    if expires_at is None or not callable(token):
        return math.inf
    return max(1.0, _SPENT * (expires_at - now))
