"""`tickwire wire encode | decode`: a frame as JSON and as hex, for whoever writes a client in another language."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import click
import msgpack

from tickwire.wire import decode, encode
from tickwire.wire.errors import WireError
from tickwire.wire.messages import KIND_NAMES
from tickwire.wire.view import from_json, to_json

from .client import Mistake
from .text import NotJson, from_text, to_text


@click.group(short_help="Show frames of the protocol: JSON to hex and back.")
def wire() -> None:
    """Show frames of the protocol: JSON to hex and back."""


@wire.command("encode")
@click.argument("json", default="-")
def encode_command(json: str) -> int:
    """Print the frame that JSON describes, as hex.

    With - or without an argument, every line of standard input is a frame.

    \b
    tickwire wire encode '{"kind": "subscribe", "id": 7, "pattern": "a.*"}'
    93 02 07 a3 61 2e 2a
    """
    return _each(_texts(json), _encode)


@wire.command("decode")
@click.argument("hex", nargs=-1)
def decode_command(hex: tuple[str, ...]) -> int:
    """Print the frame that HEX holds, as JSON; spaces between the bytes do not matter.

    With - or without an argument, every line of standard input is a frame.

    \b
    tickwire wire decode 93 02 07 a3 61 2e 2a
    {"kind":"subscribe","id":7,"pattern":"a.*","seen":null}
    """
    return _each(_texts(" ".join(hex) or "-"), _decode)


def _texts(argument: str) -> Iterable[str]:
    if argument != "-":
        return [argument]
    return (line for line in sys.stdin if line.strip())


def _each(texts: Iterable[str], convert: Callable[[str], str]) -> int:
    code = 0
    for text in texts:
        try:
            click.echo(convert(text))
        except WireError as error:
            click.echo(f"{error.code}: {error}", err=True)
            code = 1
    return code


def _encode(text: str) -> str:
    try:
        value = from_text(text)
    except NotJson as error:
        raise Mistake(f"the frame {error}") from None
    if isinstance(value, dict) and "kind" not in value:
        raise WireError(
            "bad_frame", f'"kind" is missing; it is one of {", ".join(map(str.lower, KIND_NAMES.values()))}'
        )
    try:
        return encode.encode(from_json(value)).hex(" ")
    except (OverflowError, TypeError, ValueError) as error:
        raise WireError("bad_field", str(error)) from None


def _decode(text: str) -> str:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise Mistake("HEX is not hex: a byte is two digits of 0-9 and a-f, as in 93 02 07 a3 61 2e 2a") from None
    if _is_cut_short(data):
        raise WireError("bad_frame", "not a frame: it is cut short, for bytes are missing at its end")
    return to_text(to_json(decode.decode(data)))


def _is_cut_short(data: bytes) -> bool:
    walker = msgpack.Unpacker(max_buffer_size=max(1, len(data)))
    walker.feed(data)
    try:
        walker.skip()
    except msgpack.OutOfData:
        return True
    except ValueError:
        pass  # what else is wrong with it is the decoder's to say
    return False
