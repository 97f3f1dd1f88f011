"""Who may do what, as tokens and the settings say it: lists of patterns, in which `{sub}` stands for the subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tickwire.core.rights import GRANT_PATTERNS, NOTHING, Rights, grant
from tickwire.wire.errors import Refused
from tickwire.wire.topics import check_pattern, check_topic

from ..configuration.setting import SettingsError

SUB = "{sub}"
_STAND_IN = "x"
_LISTS = ("publish", "subscribe", "consume")
_KEYS = ("subject", "anonymous", *_LISTS)


class BadRights(ValueError):
    """A list of patterns that is none; the text says which, and why."""


def rights_of(lists: Mapping[str, Any], subject: str | None) -> Rights:
    """The rights of three lists of patterns; of one that is not there, none. Raises BadRights."""
    grants = {}
    for name in _LISTS:
        patterns = check_patterns(lists.get(name), name)
        grants[name] = grant(filled for each in patterns if (filled := _fill(each, subject)) is not None)
    return Rights(**grants)


def check_patterns(patterns: Any, name: str) -> list[str]:
    """Raises BadRights where it is no list of patterns."""
    if patterns is None:
        return []
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(each, str) for each in patterns):
        raise BadRights(f"{name} must be a list of patterns, such as ['prices.>']")
    if len(patterns) > GRANT_PATTERNS:
        raise BadRights(f"{name} has {len(patterns)} patterns, over the limit of {GRANT_PATTERNS}")
    for each in patterns:
        try:
            check_pattern(each.replace(SUB, _STAND_IN))
        except Refused as refused:
            raise BadRights(f"{name} has {each!r} in it: {refused.text}") from None
    return list(patterns)


def _fill(pattern: str, subject: str | None) -> str | None:
    """The pattern with its subject; None where that is more or less than one plain segment, or the whole too long."""
    if SUB not in pattern:
        return pattern
    if subject is None or "." in subject:
        return None
    filled = pattern.replace(SUB, subject)
    try:
        check_topic(subject)
        check_pattern(filled)
    except Refused:
        return None
    return filled


@dataclass(frozen=True, slots=True)
class RightsTable:
    """What subjects may do that match, or those without a token."""

    subject: str  # with * and ? as in file names; empty for the anonymous
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    consume: tuple[str, ...] = ()

    def is_for(self, subject: str | None) -> bool:
        if subject is None or not self.subject:
            return subject is None and not self.subject
        return fnmatchcase(subject, self.subject)


def rights_in(tables: Iterable[RightsTable], subject: str | None) -> Rights:
    """Those of the first table for the subject; nothing where none is for it, everything where there is no table."""
    tables = tuple(tables)
    if not tables:
        return Rights()
    for table in tables:
        if table.is_for(subject):
            lists = {"publish": table.publish, "subscribe": table.subscribe, "consume": table.consume}
            return rights_of(lists, subject)
    return NOTHING


def read_tables(given: Any, where: str = "rights") -> tuple[RightsTable, ...]:
    """The tables of a list. Raises SettingsError with a sentence that names the table and the key."""
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise SettingsError(f"{where} is {given!r}, but must be a list of tables: [[rights]]")
    return tuple(_table(table, f"table {number} of {where}") for number, table in enumerate(given, 1))


def _table(table: Any, name: str) -> RightsTable:
    if isinstance(table, RightsTable):
        return table
    if not isinstance(table, Mapping):
        raise SettingsError(f"{name} is {table!r}, but must be a table with a subject, or anonymous = true")
    for key in table:
        if key not in _KEYS:
            raise SettingsError(f"{name} has {key!r}, which is no key of it; there are {', '.join(_KEYS)}")
    anonymous, subject = table.get("anonymous", False), table.get("subject", "")
    if type(anonymous) is not bool or not isinstance(subject, str) or anonymous is bool(subject):
        raise SettingsError(f"{name} must have either a subject, such as 'game-*', or anonymous = true")
    try:
        lists = {key: tuple(check_patterns(table.get(key), key)) for key in _LISTS}
    except BadRights as error:
        raise SettingsError(f"{name}: {error}") from None
    return RightsTable(subject, **lists)
