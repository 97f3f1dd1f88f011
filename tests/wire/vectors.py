"""The vectors of the protocol, read from tests/vectors; their format is in the README there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "vectors"
Vector = dict[str, Any]


def load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def to_bytes(notation: str | list[Any]) -> bytes:
    """Hex with spaces, or a list of such and of {"repeat": hex, "times": n}."""
    parts = [notation] if isinstance(notation, str) else notation
    return b"".join(
        bytes.fromhex(part) if isinstance(part, str) else bytes.fromhex(part["repeat"]) * part["times"]
        for part in parts
    )


def parameters(vectors: list[Vector], *senders: str) -> list[Any]:
    """Those that one of the senders sends, as cases with their names."""
    return [pytest.param(vector, id=vector["name"]) for vector in vectors if vector["from"] in senders]
