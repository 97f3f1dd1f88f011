"""Who may do what, as tokens and the settings say it: lists of patterns, in which `{sub}` stands for the subject."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tickwire.core.rights import GRANT_PATTERNS, NOTHING, SUB, Rights, check_pattern_with_subject, fill
from tickwire.wire.errors import Refused

from ..configuration.setting import SettingsError

_OTHER_BRACES = re.compile(r"\{\w*\}")
_LISTS = ("publish", "subscribe", "consume")
_NAMES = {name: name for name in _LISTS}
_KEYS = ("subject", "anonymous", *_LISTS)


class BadRights(ValueError):
    """A list of patterns that is none; the text says which, and why."""


def rights_of(lists: Mapping[str, Any], subject: str | None, names: Mapping[str, str] = _NAMES) -> Rights:
    """The rights of three lists of patterns; of one that is not there, none. Raises BadRights.

    `names` are what the lists are called there, and what they are for.
    """
    return Rights(**{name: fill(check_patterns(lists.get(said), said), subject) for said, name in names.items()})


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
            check_pattern_with_subject(each)
        except Refused as refused:
            raise BadRights(f"{name} has {each!r} in it: {refused.text}") from None
        if found := _OTHER_BRACES.search(each.replace(SUB, "")):
            raise BadRights(f"{name} has {each!r} in it: {found[0]} stands for nothing; only {SUB} does")
    return list(patterns)


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
        return fnmatchcase(subject, self.subject.replace("[", "[[]"))  # of file names it has * and ? only


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
    if type(anonymous) is not bool:
        raise SettingsError(f"{name} has anonymous = {anonymous!r}, but must have true or false there")
    if not isinstance(subject, str) or anonymous is bool(subject):
        raise SettingsError(f"{name} must have either a subject, such as 'game-*', or anonymous = true")
    try:
        lists = {key: tuple(check_patterns(table.get(key), key)) for key in _LISTS}
    except BadRights as error:
        raise SettingsError(f"{name}: {error}") from None
    return RightsTable(subject, **lists)
