"""A batch as rows: made before the transaction, written in it, and taken over into the state after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import apsw

from tickwire.core.store import Batch, GroupCursor
from tickwire.fanout.section import Section

from .rows import record, section_row
from .state import KeptTopic, Meta, State

_MARK_COMMITS = 1_024  # commits that the next start has to go through: a few milliseconds
_MARK_TOPICS = 4_096
_MARK_IDENTITIES = 16_384

_PUT_SECTION = """INSERT INTO sections(topic, first, end, stamp, time_us, total, head_sum, data_sum, data)
    VALUES(?,?,?,?,?,?,?,?,?)"""
_PUT_CURSOR = "INSERT OR REPLACE INTO cursors VALUES(?,?,?,?,?)"
_PUT_GROUP = "INSERT OR REPLACE INTO groups VALUES(?,?,?)"
_PUT_COMMIT = "INSERT INTO commits VALUES(?,?,?)"
PUT_TOPIC = "INSERT OR REPLACE INTO topics VALUES(?,?,?)"


def put_meta(connection: apsw.Connection, meta: Meta) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES(1,?,?)", record("meta", 1, meta.body()))


def put_all(connection: apsw.Connection, statement: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        connection.executemany(statement, rows)


def topic_row(topic: KeptTopic) -> tuple[Any, ...]:
    return (topic.id, *record("topics", topic.id, topic.body()))


def _group_row(name: str, pattern: str) -> tuple[Any, ...]:
    return (name, *record("groups", name, pattern))


def _cursor_row(each: GroupCursor) -> tuple[Any, ...]:
    body = record("cursors", [each.topic, each.group], [each.cursor, each.settled, each.attempts])
    return (each.topic, each.group, each.cursor, *body)


class Plan:
    """What one commit writes, and what is so after it."""

    def __init__(self, state: State, batch: Batch) -> None:
        self._state, self._batch = state, batch
        self._new: dict[str, KeptTopic] = {}
        self._freed = [topic for name in batch.freed if (topic := state.topics.get(name)) is not None]
        self._gone = {topic.name for topic in self._freed}
        self._ends: dict[KeptTopic, tuple[int, int]] = {}
        self._rows = [self._section(name, section) for name, section in batch.sections]
        self._identities = [
            [each.publisher, each.incarnation, each.sequence, each.checksum, each.offsets] for each in batch.identities
        ]
        self._marks = (
            state.serial - state.meta.mark >= _MARK_COMMITS
            or len(state.unmarked) >= _MARK_TOPICS
            or state.recent_count >= _MARK_IDENTITIES
        )

    def write(self, connection: apsw.Connection) -> None:
        """Inside a transaction."""
        if self._marks:
            write_mark(connection, self._state)
        for topic in self._freed:
            _free(connection, topic)
        put_all(connection, PUT_TOPIC, [topic_row(topic) for topic in self._new.values()])
        put_all(connection, _PUT_SECTION, self._rows)
        put_all(connection, _PUT_GROUP, [_group_row(*group) for group in self._batch.groups])
        put_all(connection, _PUT_CURSOR, [_cursor_row(cursor) for cursor in self._batch.cursors])
        serial = self._state.serial + 1
        connection.execute(_PUT_COMMIT, (serial, *record("commits", serial, self._body())))

    def take_effect(self) -> None:
        """The transaction is durable."""
        state, batch = self._state, self._batch
        if self._marks:
            state.marked()
        for topic in self._freed:
            state.forget(topic)
        for topic in self._new.values():
            state.topics[topic.name] = topic
        for topic, (end, came) in self._ends.items():
            topic.grow(end, came, batch.stamp, batch.time_us)
            state.unmarked[topic] = state.grown[topic] = None
        state.serial += 1
        state.reached(batch.stamp, batch.time_us, (batch.floor, batch.freed_stamp, batch.volatile_floor))
        state.meta.next_topic += len(self._new)
        state.remember(batch.time_us, self._identities)

    def _section(self, name: str, section: Section) -> tuple[Any, ...]:
        topic = self._topic(name, section.first)
        end, came = self._ends.get(topic) or (topic.end, topic.came)
        if section.first != end or section.end <= end:
            raise ValueError(f"a section of {name!r} begins at {section.first}, and the topic ends at {end}")
        came += len(section.data)
        self._ends[topic] = section.end, came
        return section_row(topic.seed, topic.id, section, came)

    def _topic(self, name: str, first: int) -> KeptTopic:
        topic = self._new.get(name)
        if topic is None and name not in self._gone:
            topic = self._state.topics.get(name)
        if topic is None:
            topic = self._new[name] = KeptTopic(self._state.meta.next_topic + len(self._new), name, first)
        return topic

    def _body(self) -> list[Any]:
        batch = self._batch
        return [
            batch.stamp,
            batch.time_us,
            [(topic.id, end, came) for topic, (end, came) in self._ends.items()],
            self._identities,
            [topic.id for topic in self._freed],
            [batch.floor, batch.freed_stamp, batch.volatile_floor],
            self._state.meta.next_topic + len(self._new),
        ]


def write_mark(connection: apsw.Connection, state: State) -> None:
    """Write down where the topics stand, so that the commits up to here need not be gone through again."""
    put_all(connection, PUT_TOPIC, [topic_row(topic) for topic in state.unmarked])
    if state.recent:
        key = state.serial
        connection.execute("INSERT INTO identities VALUES(?,?,?)", (key, *record("identities", key, state.recent)))
    connection.execute("DELETE FROM commits WHERE serial<=?", (state.serial,))
    put_meta(connection, replace(state.meta, mark=state.serial))


def _free(connection: apsw.Connection, topic: KeptTopic) -> None:
    """Forget a topic, and the cursors that have had all of it. Others are still owed the news of what they missed."""
    connection.execute("DELETE FROM sections WHERE topic=?", (topic.id,))
    connection.execute("DELETE FROM topics WHERE id=?", (topic.id,))
    connection.execute("DELETE FROM cursors WHERE topic=? AND cursor>=?", (topic.name, topic.end))
