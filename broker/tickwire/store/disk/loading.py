"""The state of a store from its tables. Sections are not read here: what is damaged among them, their readers find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import apsw

from tickwire.core.store import GroupCursor, Identity, StoredGroup

from .rows import Damaged, body_of
from .state import KeptTopic, Meta, State

T = TypeVar("T")

# What damage looks like when SQLite or apsw meet it: pages that are no pages, or text that is no UTF-8. A disk that
# cannot give back what it was given is no better.
DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.IOError, apsw.RangeError, UnicodeDecodeError)


class Unsound(Exception):
    """What the store needs before anything else cannot be believed; the text says where."""


@dataclass(slots=True)
class Loaded:
    """All that a store says of itself when it is opened."""

    state: State
    groups: list[StoredGroup] = field(default_factory=list)
    identities: list[tuple[int, Identity]] = field(default_factory=list)


def load(connection: apsw.Connection, frames: int) -> Loaded:
    """Read all tables but the sections; of each publisher's frames the newest `frames`. Raises Unsound."""
    meta = _within("meta", lambda: _meta(connection))
    state = State(meta, serial=meta.mark)
    _within("topics", lambda: _topics(connection, state))
    kept = _within("identities", lambda: _identities(connection, state))
    _within("commits", lambda: _commits(connection, state))
    groups = _within("groups", lambda: _groups(connection))
    return Loaded(state, groups, _newest(kept + state.recent, frames))


def stands(connection: apsw.Connection) -> tuple[Meta, int]:
    """The row of `meta`, and the serial number of the last commit. Raises Unsound."""
    meta = _within("meta", lambda: _meta(connection))
    last = _within("commits", lambda: connection.execute("SELECT max(serial) FROM commits").get)
    return meta, max(meta.mark, last or 0)


def _within(table: str, step: Callable[[], T]) -> T:
    try:
        return step()
    except Damaged:
        raise Unsound(f"a row of its table {table!r} is damaged") from None
    except DAMAGE as error:
        raise Unsound(f"its table {table!r} cannot be read ({error})") from None


def _rows(connection: apsw.Connection, table: str) -> Iterator[tuple[Any, Any]]:
    """The keys and bodies of a table, in the order of the keys."""
    key = "name" if table == "groups" else "serial" if table in ("commits", "identities") else "id"
    for row_key, body, checksum in connection.execute(f"SELECT {key}, body, checksum FROM {table} ORDER BY {key}"):
        yield row_key, body_of(table, row_key, body, checksum)


def _meta(connection: apsw.Connection) -> Meta:
    bodies = [Meta(*body) for _, body in _rows(connection, "meta")]
    if len(bodies) != 1:
        raise Damaged
    return bodies[0]


def _topics(connection: apsw.Connection, state: State) -> None:
    for id, body in _rows(connection, "topics"):
        topic = KeptTopic.of(id, body)
        state.topics[topic.name] = topic


def _identities(connection: apsw.Connection, state: State) -> list[list[Any]]:
    kept: list[list[Any]] = []
    for serial, commits in _rows(connection, "identities"):
        kept += commits
        state.windows.append((serial, 0))
    return kept


def _commits(connection: apsw.Connection, state: State) -> None:
    """Go through the commits since the mark: they say what the other tables do not yet."""
    rows = list(_rows(connection, "commits"))
    freed = {id for _, body in rows for id in body[4]}
    by_id = {topic.id: topic for topic in state.topics.values()}
    for serial, (stamp, time_us, ends, identities, _, floors, next_topic) in rows:
        if serial != state.serial + 1:
            raise Damaged
        state.serial = serial
        for id, end, came in ends:
            topic = by_id.get(id)
            if topic is not None:
                topic.grow(end, came, stamp, time_us)
                state.unmarked[topic] = None
            elif id not in freed:
                raise Damaged
        state.reached(stamp, time_us, floors)
        state.meta.next_topic = max(state.meta.next_topic, next_topic)
        state.remember(time_us, identities)


def _groups(connection: apsw.Connection) -> list[StoredGroup]:
    groups = {name: StoredGroup(name, pattern, []) for name, pattern in _rows(connection, "groups")}
    for topic, name, cursor, body, checksum in connection.execute("SELECT * FROM cursors"):
        place, settled, attempts = body_of("cursors", [topic, name], body, checksum)
        if place != cursor or name not in groups:
            raise Damaged
        each = GroupCursor(name, topic, cursor, [tuple(r) for r in settled], [tuple(r) for r in attempts])
        groups[name].cursors.append(each)
    return list(groups.values())


def _newest(commits: list[list[Any]], frames: int) -> list[tuple[int, Identity]]:
    """The identities that a broker still asks about, oldest first."""
    counts: dict[tuple[str, int], int] = {}
    found: list[tuple[int, Identity]] = []
    for time_us, identities in reversed(commits):
        for publisher, incarnation, *rest in reversed(identities):
            count = counts.get((publisher, incarnation), 0)
            if count < frames:
                counts[publisher, incarnation] = count + 1
                found.append((time_us, Identity(publisher, incarnation, *rest)))
    found.reverse()
    return found
