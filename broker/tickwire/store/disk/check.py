"""Reading all of a store, to say what in it is damaged. Nothing is changed, and no broker may run on it meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apsw

from .errors import StoreDamaged, StoreTruncated
from .loading import DAMAGE
from .opening import open_to_look, require_answered
from .place import Directory, Place
from .rows import SECTION_COLUMNS, Damaged, section_of
from .schema import require_sqlite
from .state import KeptTopic, State

Progress = Callable[[int, int], None]

_FINDINGS = 1_000  # then it is enough to know that there are more
_ROWS = 1_000  # between two calls of the progress


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong: what, and with which offsets of which topic where that is known."""

    what: str
    topic: str | None = None
    first: int | None = None
    end: int | None = None

    def __str__(self) -> str:
        if self.topic is None:
            return self.what
        return f"{self.topic} [{self.first}, {self.end}): {self.what}"


@dataclass(slots=True)
class Report:
    """What is sound, and all that was found wrong."""

    topics: int = 0
    sections: int = 0
    messages: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    left_out: int = 0  # findings beyond those listed

    @property
    def sound(self) -> bool:
        return not self.findings

    def add(self, finding: Finding) -> None:
        if len(self.findings) < _FINDINGS:
            self.findings.append(finding)
        else:
            self.left_out += 1


def check(directory: str | os.PathLike[str] | Place, progress: Progress = lambda done, total: None) -> Report:
    """Read every row of a store. `progress` is told how many rows of how many are done.

    Raises StoreError where there is no store, or one that is in use.
    """
    require_sqlite()
    place: Place = Directory(directory) if isinstance(directory, (str, os.PathLike)) else directory
    place.take(make=False)
    try:
        return _check(place, progress)
    finally:
        place.release()


def _check(place: Place, progress: Progress) -> Report:
    report = Report()
    try:
        connection, loaded = open_to_look(place)
    except (StoreDamaged, StoreTruncated) as error:
        report.add(Finding(str(error)))
        return report
    try:
        _acknowledged(place, loaded.state, report)
        _Sections(loaded.state, report).read(connection, progress)
        _structure(connection, report)
    finally:
        connection.close()
    return report


def _acknowledged(place: Place, state: State, report: Report) -> None:
    try:
        require_answered(place, state)
    except StoreDamaged as error:
        report.add(Finding(error.what))


def _structure(connection: apsw.Connection, report: Report) -> None:
    """What SQLite itself finds: pages, keys in order, an index entry for each row."""
    try:
        for (text,) in connection.execute("PRAGMA integrity_check"):
            if text != "ok":
                report.add(Finding(f"the database's structure: {text}"))
    except DAMAGE as error:
        report.add(Finding(f"the database's structure cannot be read ({error})"))


class _Sections:
    """All sections in the order of their commits; each topic's follow each other without a hole."""

    def __init__(self, state: State, report: Report) -> None:
        self._report = report
        self._topics = {topic.id: topic for topic in state.topics.values()}
        self._next = {topic.id: topic.start for topic in state.topics.values()}
        report.topics = len(self._topics)

    def read(self, connection: apsw.Connection, progress: Progress) -> None:
        first, last = _ids(connection)
        total = last - first + 1
        for count, (id, row) in enumerate(self._rows(connection, first, last)):
            self._look(id, *row)
            if count % _ROWS == 0:
                progress(id - first, total)
        for id, at in self._next.items():
            self._hole(self._topics[id], at, self._topics[id].end)
        progress(total, total)

    def _rows(self, connection: apsw.Connection, id: int, last: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Every row that can be read; behind one that cannot it goes on as soon as it can."""
        step = failures = 1
        while id <= last:
            try:
                query = f"SELECT id, topic, {SECTION_COLUMNS} FROM sections WHERE id>=? ORDER BY id"
                for found, *row in connection.execute(query, (id,)):
                    id, step, failures = found + 1, 1, 1
                    yield found, tuple(row)
                return
            except DAMAGE as error:
                if step == 1:
                    self._report.add(Finding(f"sections from row {id} on cannot be read ({error})"))
                id += step
                failures += 1
                if step < 64 or failures > 1_000:  # ids that a flipped bit made huge are not tried one by one
                    step *= 2

    def _look(self, id: int, topic_id: int, *row: Any) -> None:
        report, topic = self._report, self._topics.get(topic_id)
        if topic is None:
            report.add(Finding(f"row {id} of the sections is of no topic that there is"))
            return
        try:
            section, sound = section_of(topic.seed, row)
        except Damaged:
            report.add(Finding(f"row {id} of the sections is damaged", topic.name, row[0], row[1]))
            return
        if section.end <= topic.start:
            return  # damaged once, and left behind by retention
        self._hole(topic, self._next[topic_id], section.first)
        self._next[topic_id] = section.end
        if sound:
            report.sections += 1
            report.messages += section.end - section.first
            report.bytes += len(section.data)
        else:
            report.add(Finding("the data is damaged", topic.name, section.first, section.end))

    def _hole(self, topic: KeptTopic, at: int, first: int) -> None:
        if first > at:
            self._report.add(Finding("no sound section holds these", topic.name, at, first))
        elif first < at:
            self._report.add(Finding("a section comes twice or out of order", topic.name, first, at))


def _ids(connection: apsw.Connection) -> tuple[int, int]:
    try:
        first, last = connection.execute("SELECT (SELECT min(id) FROM sections), (SELECT max(id) FROM sections)").get
        return (first, last) if first is not None else (1, 0)
    except DAMAGE:
        return 1, 0
