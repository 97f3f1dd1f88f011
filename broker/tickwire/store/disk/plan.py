"""A batch as rows: made before they are written, and taken over into the state after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import apsw

from tickwire.core.store import Batch, GroupCursor
from tickwire.fanout.section import Section

from .entry import PUT_TOPIC, Entry, Row, put_all
from .rows import record, section_row
from .state import KeptTopic, Meta, State


def put_meta(connection: apsw.Connection, meta: Meta) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES(1,?,?)", record("meta", 1, meta.body()))


def topic_row(topic: KeptTopic) -> Row:
    return (topic.id, *record("topics", topic.id, topic.body()))


def _group_row(name: str, pattern: str) -> Row:
    return (name, *record("groups", name, pattern))


def _cursor_row(each: GroupCursor) -> Row:
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
        self._identities = [
            [each.publisher, each.incarnation, each.sequence, each.checksum, each.offsets] for each in batch.identities
        ]
        serial = state.serial + 1
        sections = [self._section(name, section) for name, section in batch.sections]
        self.entry = Entry(
            serial,
            [(topic.id, topic.name, topic.end) for topic in self._freed],
            [topic_row(topic) for topic in self._new.values()],
            sections,
            [_group_row(*group) for group in batch.groups],
            [_cursor_row(cursor) for cursor in batch.cursors],
            [(serial, *record("commits", serial, self._body()))],
        )

    def take_effect(self) -> None:
        """It is durable."""
        state, batch = self._state, self._batch
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

    def _section(self, name: str, section: Section) -> Row:
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
