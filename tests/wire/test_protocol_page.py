"""PROTOCOL.md says what the code does: its tables equal the registry, and its first conversation decodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tickwire.wire
from tickwire.wire import limits
from tickwire.wire.codes import CODES, GAP_REASONS
from tickwire.wire.decode import decode_from_broker, decode_from_client
from tickwire.wire.encode import encode
from tickwire.wire.messages import (
    KIND_NAMES,
    Ack,
    Consume,
    Consumed,
    Delivery,
    Gap,
    Hello,
    Join,
    Message,
    Publish,
    Run,
    Section,
    Subscribe,
    Subscribed,
    Welcome,
)

PAGE = (Path(tickwire.wire.__file__).parent / "PROTOCOL.md").read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a piece of the page, without their headings."""
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    following = [*cells[1:], [""]]
    return [line for line, after in zip(cells, following, strict=True) if not _is_ruler(line) and not _is_ruler(after)]


def between(marker: str) -> str:
    return PAGE.split(f"<!-- {marker} -->")[1].split(f"<!-- /{marker} -->")[0]


def _is_ruler(cells: list[str]) -> bool:
    return all(re.fullmatch(r":?-+:?", cell) for cell in cells)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_table_of_codes_is_the_registry() -> None:
    written = {
        name.strip("`"): (int(closes) if closes else None, meaning) for name, closes, meaning in rows(between("codes"))
    }

    assert written == {code.name: (code.closes, code.meaning) for code in CODES.values()}


def test_the_table_of_reasons_is_the_registry() -> None:
    assert {name.strip("`"): (by, meaning) for name, by, meaning in rows(between("reasons"))} == GAP_REASONS


def test_the_tables_of_frames_name_every_kind() -> None:
    frames = rows(section("Frames from the client").split("**HELLO")[0]) + rows(section("Frames from the broker"))

    named = {int(kind): re.match(r"[A-Z]+", meaning)[0] for kind, _, meaning in frames}  # type: ignore[index]

    assert named == KIND_NAMES


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    assert "0 to 2^53 - 1" in PAGE
    assert limits.MAX_INT == 2**53 - 1
    assert f"1-{limits.TOPIC_BYTES} bytes" in PAGE
    assert f"1 to {limits.TOPIC_LEVELS} segments" in PAGE
    assert f"{limits.HELLO_BYTES >> 10} KiB before the welcome" in PAGE
    assert f"At most {limits.POSITIONS:,} |" in PAGE
    assert f"holds 1 to {limits.RANGES:,} of them" in PAGE
    assert f"1-{limits.NAME_BYTES} bytes of UTF-8, no control character" in PAGE
    assert limits.SUBPROTOCOL in PAGE


FIRST: list[Message] = [
    Hello([1]),
    Subscribe(7, "a.*"),
    Welcome(1, 12345, 0, {}, {}),
    Subscribed(7, 0, 0, None),
    Publish(9, [Run("a.b", [b"h", b"i"])]),
    Ack([[9, 0]]),
    Delivery(0, [Section("a.b", 0, 1, 1_000_000_000, [b"h", b"i"])]),
]

COMING_BACK: list[Message] = [
    Subscribe(7, "a.*", (12345, 1), [("a.b", 2)]),
    Subscribed(7, 1, 3, None),
    Gap(1, "a.b", 2, 4, "evicted"),
    Delivery(1, [Section("a.b", 4, 3, 1_000_000_000, [b"j"])]),
    Join(7, 3),
    Publish(10, [Run("a.b", [b"k"])], sequence=5, retry=True),
    Ack([[10, 5]]),
    Consume(8, "a.*", "billing", 1000),
    Subscribed(8, 2, 4, None),
    Delivery(2, [Section("a.b", 4, 3, 1_000_000_000, [b"j"], attempt=2)]),
    Consumed(8, [("a.b", 4, 5)]),
]
CONVERSATIONS = {"A first conversation": FIRST, "A client that comes back": COMING_BACK}


@pytest.mark.parametrize(
    ("title", "index"), [(title, index) for title, messages in CONVERSATIONS.items() for index in range(len(messages))]
)
def test_a_conversation_is_what_it_says(title: str, index: int) -> None:
    table, messages = rows(section(title)), CONVERSATIONS[title]
    assert len(table) == len(messages)

    sender, hexadecimal, frame = table[index]
    data = bytes.fromhex(hexadecimal.strip("`"))

    assert (decode_from_client if sender == "client" else decode_from_broker)(data) == messages[index]
    assert encode(messages[index]) == data
    assert frame.startswith(f"`[{messages[index].kind}, ")
