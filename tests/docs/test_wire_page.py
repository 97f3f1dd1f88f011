"""docs/wire.md shows each frame of a client as JSON and as the bytes that the vectors have for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from docs.pages import ROOT
from tickwire.wire.view import from_json, to_json

PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
VECTORS = json.loads((ROOT / "tests" / "vectors" / "frames.json").read_text(encoding="utf-8"))
ENCODED = re.findall(r"^    tickwire wire encode '(.+)'\n    ([0-9a-f ]+)$", PAGE, re.MULTILINE)
DECODED = re.findall(r"^    tickwire wire decode ([0-9a-f ]+)\n    (.+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("shown", "hex"), [*ENCODED, *((shown, hex) for hex, shown in DECODED)])
def test_what_the_page_shows_is_in_the_vectors(shown: str, hex: str) -> None:
    (vector,) = (vector for vector in VECTORS if vector["hex"] == hex)

    assert to_json(from_json(json.loads(shown))) == vector["json"]
    assert vector["canonical"]
    assert vector["from"] in ("client", "both")


def test_every_frame_of_a_client_is_shown_once() -> None:
    kinds = [json.loads(shown)["kind"] for shown, _ in ENCODED]

    assert kinds == list(dict.fromkeys(v["json"]["kind"] for v in VECTORS if v["from"] in ("client", "both")))
    assert kinds == [heading.lower() for heading in re.findall(r"^## ([A-Z]+)$", PAGE, re.MULTILINE)]


def test_the_command_prints_what_the_page_says() -> None:
    encoded = wire("encode", "".join(f"{shown}\n" for shown, _ in ENCODED))
    decoded = wire("decode", "".join(f"{hex}\n" for hex, _ in DECODED))

    assert encoded.splitlines() == [hex for _, hex in ENCODED]
    assert decoded.splitlines() == [shown for _, shown in DECODED]


def wire(verb: str, lines: str) -> str:
    command = (sys.executable, "-m", "tickwire.server.cli", "wire", verb)
    return subprocess.run(command, input=lines, capture_output=True, text=True, timeout=30, check=True).stdout
