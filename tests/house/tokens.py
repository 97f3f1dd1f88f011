"""Tokens as whoever makes them would, signed with the secret of the tests."""

from __future__ import annotations

import time
from typing import Any

import jwt

SECRET = "0123456789abcdef0123456789abcdef"


def token(subject: str = "alice", lasts: float = 300.0, secret: str = SECRET, **claims: Any) -> str:
    """One that ends after so many seconds."""
    return jwt.encode({"sub": subject, "exp": time.time() + lasts} | claims, secret, "HS256")
