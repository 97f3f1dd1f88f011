"""What is kept of some topics, where that is not the same for all: the `[[topics]]` tables of the settings."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from tickwire.core.policy import Policies, Policy, PolicyFor
from tickwire.wire.errors import Refused
from tickwire.wire.topics import check_pattern

from .setting import BYTES, SECONDS, TIB, Setting, SettingsError

_YEARS = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRule:
    """What is kept of the topics that match a pattern. None is what the settings say for all topics."""

    pattern: str
    durable: bool = True
    retain_messages: int | None = None
    retain_bytes: int | None = None
    retain_seconds: float | None = None


_KEYS = [field.name for field in fields(TopicRule)]
_CHECKS = {
    "durable": Setting(True, "", ""),
    "retain_messages": Setting(0, "", "", low=0, high=1_000_000_000_000),
    "retain_bytes": Setting(0, "", "", BYTES, low=0, high=16 * TIB),
    "retain_seconds": Setting(0.0, "", "", SECONDS, low=0.0, high=_YEARS),
}


def read_rules(given: Any, where: str = "topics") -> tuple[TopicRule, ...]:
    """The rules of a list of tables. Raises SettingsError with a sentence that names the table and the key."""
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise SettingsError(
            f"{where} is {given!r}, but must be a list of tables, each with a pattern: "
            "[[topics]]; how many topics the broker may hold is max_topics"
        )
    return tuple(_rule(table, number, where) for number, table in enumerate(given, 1))


def policies(
    rules: Iterable[TopicRule], on_disk: bool, messages: int = 0, bytes: int = 0, seconds: float = 0.0
) -> Policies:
    """What the core is told. The bounds are those of topics on disk that no rule is for; 0 is no bound.

    Of topics in memory, what a rule does not say is left open: the core's own bounds stand then.
    """
    everywhere = Policy(messages or None, bytes or None, seconds or None) if on_disk else Policy()
    special = (PolicyFor(rule.pattern, _policy(rule, on_disk and rule.durable, everywhere)) for rule in rules)
    return Policies(everywhere, tuple(special))


def _policy(rule: TopicRule, on_disk: bool, everywhere: Policy) -> Policy:
    messages, bytes, seconds = rule.retain_messages, rule.retain_bytes, rule.retain_seconds
    if not on_disk:
        return Policy(messages, bytes, seconds, durable=False)
    return Policy(
        everywhere.messages if messages is None else messages or None,
        everywhere.bytes if bytes is None else bytes or None,
        everywhere.seconds if seconds is None else seconds or None,
    )


def _rule(table: Any, number: int, where: str) -> TopicRule:
    if isinstance(table, TopicRule):
        return table
    name = f"table {number} of {where}"
    if not isinstance(table, Mapping):
        raise SettingsError(f"{name} is {table!r}, but must be a table with a pattern")
    for key in table:
        if key not in _KEYS:
            raise SettingsError(f"{name} has {key!r}, which is no key of it{_meant(key)}")
    if "pattern" not in table:
        raise SettingsError(f"{name} has no pattern; it says which topics the table is for, such as 'prices.>'")
    checked = {
        key: check.check(check.parse(table[key]), f"{key} of {name}") for key, check in _CHECKS.items() if key in table
    }
    return TopicRule(pattern=_pattern(table["pattern"], name), **checked)


def _pattern(pattern: Any, name: str) -> str:
    if not isinstance(pattern, str):
        raise SettingsError(f"pattern of {name} is {pattern!r}, but must be a text, such as 'prices.>'")
    try:
        check_pattern(pattern)
    except Refused as refused:
        raise SettingsError(f"pattern of {name} cannot be used: {refused.text}") from None
    return pattern


def _meant(key: str) -> str:
    close = difflib.get_close_matches(str(key), _KEYS, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(_KEYS)}"
