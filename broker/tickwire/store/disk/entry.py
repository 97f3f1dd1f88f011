"""All that one commit puts into the database: made once, first written to the journal, and then home."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apsw
import msgpack

from .rows import Damaged, pack

Row = tuple[Any, ...]

PUT_TOPIC = "INSERT OR REPLACE INTO topics VALUES(?,?,?)"
_PUT_SECTION = """INSERT INTO sections(topic, first, end, stamp, time_us, total, head_sum, data_sum, data)
    VALUES(?,?,?,?,?,?,?,?,?)"""
_PUT_GROUP = "INSERT OR REPLACE INTO groups VALUES(?,?,?)"
_PUT_CURSOR = "INSERT OR REPLACE INTO cursors VALUES(?,?,?,?,?)"
_PUT_COMMIT = "INSERT INTO commits VALUES(?,?,?)"


@dataclass(slots=True)
class Entry:
    """Rows in the order of their tables' columns. Of what was freed: the topic's id, name and end."""

    serial: int
    freed: list[Row] = field(default_factory=list)
    topics: list[Row] = field(default_factory=list)
    sections: list[Row] = field(default_factory=list)
    groups: list[Row] = field(default_factory=list)
    cursors: list[Row] = field(default_factory=list)
    commits: list[Row] = field(default_factory=list)

    @property
    def data_bytes(self) -> int:
        """Of its sections: nearly all of what is large."""
        return sum(len(row[-1]) for row in self.sections)

    def encode(self) -> bytes:
        rows = self.freed, self.topics, self.sections, self.groups, self.cursors, self.commits
        packed: bytes = pack((self.serial, *rows))
        return packed

    def add(self, other: Entry) -> None:
        """Put the rows of the next one behind those of this."""
        self.serial = other.serial
        self.topics += other.topics
        self.sections += other.sections
        self.groups += other.groups
        self.cursors += other.cursors
        self.commits += other.commits


def decode_entry(data: bytes) -> Entry:
    """What `encode` made. Raises Damaged."""
    try:
        return Entry(*msgpack.unpackb(data))
    except (ValueError, TypeError):
        raise Damaged from None


def write_entries(connection: apsw.Connection, entries: Iterable[Entry]) -> None:
    """Inside a transaction, in their order: the rows of neighbours at once, up to the next that frees a topic."""
    joined = Entry(0)
    for entry in entries:
        if entry.freed:
            _write(connection, joined)
            joined = Entry(0)
            for row in entry.freed:
                _free(connection, *row)
        joined.add(entry)
    _write(connection, joined)


def _write(connection: apsw.Connection, entry: Entry) -> None:
    put_all(connection, PUT_TOPIC, entry.topics)
    put_all(connection, _PUT_SECTION, entry.sections)
    put_all(connection, _PUT_GROUP, entry.groups)
    put_all(connection, _PUT_CURSOR, entry.cursors)
    put_all(connection, _PUT_COMMIT, entry.commits)


def put_all(connection: apsw.Connection, statement: str, rows: list[Row]) -> None:
    if rows:
        connection.executemany(statement, rows)


def _free(connection: apsw.Connection, id: int, name: str, end: int) -> None:
    """Forget a topic, and the cursors that have had all of it. Others are still owed the news of what they missed."""
    connection.execute("DELETE FROM sections WHERE topic=?", (id,))
    connection.execute("DELETE FROM topics WHERE id=?", (id,))
    connection.execute("DELETE FROM cursors WHERE topic=? AND cursor>=?", (name, end))
