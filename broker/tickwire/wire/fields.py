"""The elements of a frame, one by one: each is what it should be, or FieldError names it."""

from __future__ import annotations

import re
from typing import Any

from .limits import BYTES, MAX_INT, MSGPACK, NAME_BYTES

_BYTES_ONLY = {bytes}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class FieldError(Exception):
    """An element is not what it should be; the text names it."""


def integer(elements: list[Any], index: int, name: str) -> int:
    return in_range(element(elements, index, name), name)


def optional_integer(elements: list[Any], index: int, name: str) -> int | None:
    if len(elements) <= index or elements[index] is None:
        return None
    return in_range(elements[index], name)


def in_range(value: Any, name: str, what: str = "") -> int:
    """An integer of the wire. `what` stands before the name in the error; joined here, since most are in range."""
    if type(value) is not int or not 0 <= value <= MAX_INT:
        raise FieldError(f"{what}{name} must be an integer from 0 to 2^53 - 1, not {named(value)}")
    return value


def text(elements: list[Any], index: int, name: str) -> str:
    value = element(elements, index, name)
    if type(value) is not str:
        raise FieldError(f"{name} must be a string, not {named(value)}")
    return value


def text_option(options: dict[str, Any], name: str) -> str | None:
    value = options.get(name)
    if value is not None and type(value) is not str:
        raise FieldError(f"option {name} must be a string, not {named(value)}")
    return value


def flag_option(options: dict[str, Any], name: str) -> bool | None:
    """True, or None where it is false or absent."""
    value = options.get(name)
    if value is not None and type(value) is not bool:
        raise FieldError(f"option {name} must be true or false, not {named(value)}")
    return value or None


def integer_option(options: dict[str, Any], name: str) -> int | None:
    value = options.get(name)
    return None if value is None else in_range(value, name, "option ")


def name_option(options: dict[str, Any], name: str) -> str | None:
    value = text_option(options, name)
    return None if value is None else checked_name(value, f"option {name}")


def checked_name(value: str, name: str) -> str:
    """The name of a publisher or a group: short, and without what a terminal would act on."""
    if not 0 < len(value.encode()) <= NAME_BYTES or _CONTROL.search(value):
        raise FieldError(f"{name} must be 1 to {NAME_BYTES} bytes without control characters")
    return value


def array(elements: list[Any], index: int, name: str) -> list[Any]:
    value = element(elements, index, name)
    if type(value) is not list:
        raise FieldError(f"{name} must be an array, not {named(value)}")
    return value


def mapping(elements: list[Any], index: int, name: str) -> dict[str, Any]:
    value = element(elements, index, name)
    if type(value) is not dict:
        raise FieldError(f"{name} must be a map, not {named(value)}")
    return value


def options(elements: list[Any], index: int, name: str = "options") -> dict[str, Any]:
    if len(elements) <= index or elements[index] is None:
        return {}
    return mapping(elements, index, name)


def element(elements: list[Any], index: int, name: str) -> Any:
    if len(elements) <= index:
        raise FieldError(f"{name} is required")
    return elements[index]


def check_payloads(payloads: list[Any]) -> None:
    # A set of the types is made in C: 15 ns a payload, half of what a loop takes.
    if set(map(type, payloads)) != _BYTES_ONLY:
        odd = next(payload for payload in payloads if type(payload) is not bytes)
        raise FieldError(f"payloads must be bin, not {named(odd)}")


def payload_format(extras: Any) -> int:
    if extras is None:
        return MSGPACK
    if type(extras) is not dict:
        raise FieldError(f"extras must be a map, not {named(extras)}")
    format = extras.get("format")
    if format is None:
        return MSGPACK
    if type(format) is not int or format not in (MSGPACK, BYTES):
        raise FieldError(f"format must be {MSGPACK} (msgpack) or {BYTES} (bytes), not {named(format)}")
    return format


def named(value: Any) -> str:
    """A value in a sentence: what it is, and short."""
    if value is None or isinstance(value, (bool, int, float)):
        return "nil" if value is None else repr(value)
    names: dict[type[Any], str] = {str: "a string", bytes: "bin", list: "an array", dict: "a map"}
    return names.get(type(value), "an extension type")
