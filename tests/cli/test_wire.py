"""`tickwire wire`: frames as JSON and hex."""

from __future__ import annotations

import json

import pytest

from .shell import tickwire

SUBSCRIBE = '{"kind":"subscribe","id":7,"pattern":"a.*"}'
SUBSCRIBE_HEX = "93 02 07 a3 61 2e 2a"


def test_a_frame_is_encoded_to_hex() -> None:
    ended = tickwire("wire", "encode", SUBSCRIBE)

    assert (ended.code, ended.out) == (0, SUBSCRIBE_HEX + "\n")


@pytest.mark.parametrize("hex", [SUBSCRIBE_HEX, SUBSCRIBE_HEX.replace(" ", ""), SUBSCRIBE_HEX.upper()])
def test_a_frame_is_decoded_with_or_without_spaces(hex: str) -> None:
    ended = tickwire("wire", "decode", hex)

    assert ended.code == 0
    decoded = json.loads(ended.out)
    assert {name: value for name, value in decoded.items() if value is not None} == json.loads(SUBSCRIBE)


def test_the_bytes_may_be_arguments_of_their_own() -> None:
    assert tickwire("wire", "decode", *SUBSCRIBE_HEX.split()).code == 0


def test_every_line_of_standard_input_is_a_frame() -> None:
    decoded = tickwire("wire", "decode", "-", stdin=f"{SUBSCRIBE_HEX}\n\n92 03 07\n")
    encoded = tickwire("wire", "encode", stdin=decoded.out)

    assert encoded.out == f"{SUBSCRIBE_HEX}\n92 03 07\n"


def test_payloads_are_shown_as_base64() -> None:
    ended = tickwire(
        "wire", "encode", '{"kind":"publish","id":1,"runs":[{"topic":"a","payloads":[{"$bytes":"aGk="}]}]}'
    )

    assert ended.out == "93 04 01 91 92 a1 61 91 c4 02 68 69\n"


@pytest.mark.parametrize(
    ("hex", "begins"),
    [
        ("92", "bad_frame: not a frame: it is cut short"),
        ("92 01", "bad_frame: not a frame: it is cut short"),
        ("91 63", "unknown_kind: there is no frame of kind 99"),
    ],
)
def test_a_malformed_frame_is_told_with_its_code(hex: str, begins: str) -> None:
    ended = tickwire("wire", "decode", hex)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(begins)
    assert ended.err.count("\n") == 1


def test_after_a_malformed_line_the_others_are_still_shown() -> None:
    ended = tickwire("wire", "decode", "-", stdin=f"92 01\n{SUBSCRIBE_HEX}\n")

    assert ended.code == 1
    assert json.loads(ended.out)["kind"] == "subscribe"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("encode", "x"), "the frame is not JSON (Expecting value at column 1)\n"),
        (("decode", "zz"), "HEX is not hex: a byte is two digits of 0-9 and a-f"),
        (("encode", "{"), "the frame is not JSON (Expecting property name enclosed in double quotes at column 2)"),
    ],
)
def test_what_is_neither_hex_nor_json_is_a_mistake_of_usage(arguments: tuple[str, ...], sentence: str) -> None:
    ended = tickwire("wire", *arguments)

    assert ended.code == 2
    assert ended.err.startswith("tickwire: ")
    assert sentence in ended.err
    assert ended.err.count("\n") == 1


def test_a_field_that_is_wrong_is_named() -> None:
    ended = tickwire("wire", "encode", '{"kind":"subscribe","id":"x","pattern":"a"}')

    assert (ended.code, ended.err) == (1, "bad_field: subscribe.id must be int, not str\n")


def test_a_frame_without_a_kind_is_told_which_there_are() -> None:
    ended = tickwire("wire", "encode", "{}")

    assert ended.code == 1
    assert ended.err.startswith('bad_frame: "kind" is missing; it is one of hello, ')
