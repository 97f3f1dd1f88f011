"""JSON at the command line, in and out: bytes as {"$bytes": base64}, NaN as null."""

from __future__ import annotations

import json
import re
from typing import Any

from tickwire.wire.view import from_plain, plain

_CONTROLS = re.compile(r"[\x7f-\x9f\u2028\u2029]")  # json leaves them, and terminals and line readers act on them


class NotJson(ValueError):
    """The text is not JSON; the sentence says where, and what to do."""


def from_text(text: str | bytes) -> Any:
    """The data that a JSON text stands for. Raises NotJson."""
    try:
        return from_plain(json.loads(text, parse_constant=_no_constant))
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON ({error.msg} at column {error.colno}){_advice(text)}") from None
    except UnicodeDecodeError:
        raise NotJson("not JSON, which is UTF-8; send bytes as they are with --bytes") from None
    except RecursionError:
        raise NotJson("nested too deep") from None
    except ValueError as error:
        raise NotJson(str(error)) from None


def to_text(value: Any) -> str:
    """The data as one line of JSON, safe to show on a terminal."""
    line = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return _CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", line)


def _advice(text: str | bytes) -> str:
    word = text.strip() if isinstance(text, str) else text.decode(errors="replace").strip()
    if 0 < len(word) <= 40 and not re.search(r"""["'{}\[\]\\]""", word):
        return f"""; a text is written '"{word}"', raw bytes are sent with --bytes"""
    return ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; write null")
