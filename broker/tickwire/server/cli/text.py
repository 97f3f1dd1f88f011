"""JSON at the command line, in and out: bytes as {"$bytes": base64}, NaN as null."""

from __future__ import annotations

import json
import re
from typing import Any

from tickwire.wire.view import from_plain, plain

_CONTROLS = re.compile(r"[\x7f-\x9f\u2028\u2029]")  # json leaves them, and terminals and line readers act on them


class NotJson(ValueError):
    """The text is not JSON; the error is the rest of a sentence about it: where, and what to do."""


def from_text(text: str | bytes) -> Any:
    """The data that a JSON text stands for. Raises NotJson."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise NotJson(f"is not JSON ({error.msg} at column {error.colno})") from None
    except UnicodeDecodeError:
        raise NotJson("is not JSON, which is UTF-8") from None
    except RecursionError:
        raise NotJson("is nested too deep") from None
    except NotJson:
        raise
    except ValueError as error:
        raise NotJson(f"cannot be read: {error}") from None
    try:
        return from_plain(value)
    except ValueError:
        raise NotJson('holds a "$bytes" whose text is not base64') from None


def to_text(value: Any) -> str:
    """The data as one line of JSON, safe to show on a terminal."""
    return escape_controls(json.dumps(plain(value), ensure_ascii=False, separators=(",", ":")))


def escape_controls(line: str) -> str:
    """The JSON without what a terminal or a reader of lines would act on."""
    if line.isascii() and "\x7f" not in line:
        return line
    return _CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", line)


def _no_constant(name: str) -> Any:
    raise NotJson(f"holds {name}, which is not JSON; write null")
