"""The targets of `make fuzz`, on what is known: every vector of the protocol, and what comes in at the door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.targets import TARGETS
from wire.vectors import to_bytes

VECTORS = Path(__file__).parent.parent / "vectors"
FILES = [json.loads((VECTORS / name).read_text()) for name in ("frames.json", "malformed.json")]
KNOWN = [to_bytes(vector["hex"]) for vectors in FILES for vector in vectors]
AT_THE_DOOR = [
    b"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n",
    b"for=203.0.113.5",
    b"https://a.example",
    b'{"keys": [{}]}',
    b"eyJhbGciOiJIUzI1NiJ9.e30.",
    b"\x01\x82\x81\x00\x00\x00\x00a",
    b"\x03\xc1\x87\x00\x00\x00\x00\xf2H\xcd\xc9\xc9\x07\x00",
]


@pytest.mark.parametrize("target", TARGETS)
def test_on_what_is_known(target: str) -> None:
    for data in KNOWN + AT_THE_DOOR:
        if len(data) < 10_000:
            TARGETS[target](data)
            TARGETS[target](b"\x50" + bytes((min(len(data), 255),)) + data)


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.binary(max_size=200))
def test_on_whatever_comes(target: str, data: bytes) -> None:
    TARGETS[target](data)
