"""One setting as a description: what it may be, how it is written, and the sentence when it is neither."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .quantity import parse_duration, parse_size, show_duration, show_size

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
BYTES, SECONDS, DIRECTORY, FILE, SECRET = "bytes", "seconds", "directory", "file", "secret"
PREFIX = "TICKWIRE_"

_TRUTH = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}


class SettingsError(ValueError):
    """A setting cannot be what it was given; the sentence names it, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The description of one setting; its type is that of its default."""

    default: Any
    help: str
    group: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    each: Callable[[str], object] | None = None  # of a list: raises ValueError with what an element must be
    name: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def metavar(self) -> str:
        """What stands for the value in `--help`."""
        if self.choices:
            return "|".join(self.choices)
        named = {BYTES: "SIZE", SECONDS: "DURATION", DIRECTORY: "DIR", FILE: "FILE", SECRET: "TEXT"}
        if isinstance(self.default, tuple):
            return f"{self.unit},..."
        return named.get(self.unit, "TEXT" if isinstance(self.default, str) else "N")

    def show(self, value: Any) -> str:
        """A value of this setting as a person would write it."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if self.unit == BYTES:
            return show_size(int(value))
        if self.unit == SECONDS:
            return show_duration(value)
        return ", ".join(value) if isinstance(value, tuple) else str(value)

    def allowed(self) -> str:
        """What it may be, as the end of a sentence."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if isinstance(self.default, bool):
            return "true or false"
        if self.unit in (DIRECTORY, FILE):
            return f"the path of a {self.unit}, or empty for none"
        if isinstance(self.default, tuple):
            return "a list of texts, or one text with commas between them"
        if self.unit == SECRET:
            return "a text of 32 bytes or more, or empty for none"
        if isinstance(self.default, str):
            return "a text that is not empty"
        return f"{self._noun()} from {self.show(self.low)} to {self.show(self.high)}"

    def _noun(self) -> str:
        return {BYTES: "a size", SECONDS: "a duration"}.get(self.unit, "an integer")

    def parse(self, value: Any) -> Any:
        """The value of a text, or of a TOML file; what cannot be one is left for `check`."""
        if isinstance(self.default, tuple):
            return _listed(value)
        if not isinstance(value, str) or isinstance(self.default, str):
            return value
        try:
            if isinstance(self.default, bool):
                return _TRUTH[value.strip().lower()]
            if self.unit == SECONDS:
                return parse_duration(value)
            return parse_size(value) if self.unit == BYTES else int(value)
        except (ValueError, KeyError):
            return value

    def check(self, value: Any, where: str) -> Any:
        """The value with the type of the setting. Raises SettingsError unless it is allowed."""
        if type(self.default) is float and type(value) is int:
            value = float(value)
        if isinstance(value, tuple) and isinstance(self.default, tuple):
            return self._check_each(value, where)
        if type(value) is not type(self.default) or not self._within(value):
            written = repr(value) if isinstance(value, str) else self._written(value)
            written = "not one" if self.unit == SECRET else written
            raise SettingsError(f"{where} is {written}, but must be {self.allowed()}{self._example(value)}")
        return value

    def _check_each(self, value: tuple[Any, ...], where: str) -> tuple[Any, ...]:
        for element in value:
            if not isinstance(element, str):
                raise SettingsError(f"{where} has {element!r} in it, but must be a list of texts")
            try:
                if self.each is not None:
                    self.each(element)
            except ValueError as error:
                raise SettingsError(f"{where} has {element!r} in it, which {error}") from None
        return value

    def _within(self, value: Any) -> bool:
        if isinstance(value, str):
            return value in self.choices if self.choices else bool(value.strip()) or value == self.default
        if isinstance(value, bool):
            return True
        return math.isfinite(value) and (self.low or 0) <= value <= (self.high or math.inf)

    def _written(self, value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else repr(value)

    def _example(self, value: Any) -> str:
        if not isinstance(value, str):
            return ""
        return {BYTES: ", such as 65536 or '64 KiB'", SECONDS: ", such as 1.5, '60s' or '500ms'"}.get(self.unit, "")


def _listed(value: Any) -> Any:
    """A list of TOML, or a text with commas, as a tuple."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


def setting(default: Any, help: str, group: str, unit: str = "", **bounds: Any) -> Any:
    return dataclasses.field(default=default, metadata={"setting": Setting(default, help, group, unit, **bounds)})


def size(default: int, help: str, group: str, low: int = 1, high: int = 64 * GIB) -> Any:
    return setting(default, help, group, BYTES, low=low, high=high)


def seconds(default: float, help: str, group: str, low: float = 0.001, high: float = 86_400.0) -> Any:
    return setting(default, help, group, SECONDS, low=low, high=high)


def count(default: int, help: str, group: str, unit: str = "", low: int = 1, high: int = 1_000_000) -> Any:
    return setting(default, help, group, unit, low=low, high=high)


def texts(help: str, group: str, unit: str, each: Callable[[str], object] | None = None) -> Any:
    """A list of texts, empty by default; `unit` stands for one of them."""
    return setting((), help, group, unit, each=each)
