from __future__ import annotations

from pathlib import Path

import apsw

from house.fake_disk import FakeDisk
from tickwire.store.disk import DiskStore, check

from .made import Author


def test_a_sound_store_is_counted_and_nothing_in_it_is_changed(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    for _ in range(10):
        author.commit(("a", 3), ("b", 1))
    author.store.close()
    before = (tmp_path / "tickwire.db").read_bytes()

    report = check(tmp_path)

    assert (report.sound, report.topics, report.sections, report.messages) == (True, 2, 20, 40)
    assert (tmp_path / "tickwire.db").read_bytes() == before


def test_a_damaged_section_is_not_among_the_sound_ones(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    for _ in range(10):
        author.commit(("a", 3))
    author.store.close()
    with apsw.Connection(str(tmp_path / "tickwire.db")) as connection:
        connection.execute("UPDATE sections SET data=zeroblob(length(data)) WHERE id=(SELECT max(id)-4 FROM sections)")
    connection.close()

    report = check(tmp_path)

    assert (len(report.findings), report.sections, report.messages) == (1, 9, 27)


def test_what_a_killed_broker_left_in_the_wal_is_read_and_stays_there() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    author.commit(("a", 3))
    disk.kill()
    before = {name: bytes(file.content) for name, file in disk.files.items()}

    report = check(disk)

    assert (report.sound, report.messages) == (True, 3)
    assert {name: bytes(file.content) for name, file in disk.files.items()} == before


def test_the_progress_grows_until_it_is_all() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(3_000):
        author.commit(("a", 1))
    author.store.close()
    told: list[tuple[int, int]] = []

    check(disk, lambda done, total: told.append((done, total)))

    assert told == sorted(told)
    assert (len(told) > 2, told[-1]) == (True, (3_000, 3_000))


def test_what_is_lost_of_the_end_is_said() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(10):
        author.commit(("a", 1))
    disk.kill()
    disk.truncate("journal", 1_000)

    (finding,) = check(disk).findings

    assert "those up to 10 were acknowledged: messages are lost" in str(finding)


def test_every_damaged_section_is_named_by_its_topic_and_offsets() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(10):
        author.commit(("a", 2), ("b.c", 1))
    author.store.close()
    for text in (b"a 4 ", b"b.c 7 ", b"a 19 "):
        disk.flip("tickwire.db", disk.files["tickwire.db"].content.find(text) * 8)

    report = check(disk)

    assert [str(finding) for finding in report.findings] == [
        "a [4, 6): the data is damaged",
        "b.c [7, 8): the data is damaged",
        "a [18, 20): the data is damaged",
    ]


def test_damage_in_other_tables_is_named_by_the_table() -> None:
    for table in ("topics", "commits", "meta"):
        disk = FakeDisk.formatted()
        author = Author(disk.store())
        author.commit(("a", 2))
        author.store.settle()
        author.store._writer.connection.execute(f"UPDATE {table} SET checksum = checksum + 1")
        disk.kill()

        (finding,) = check(disk).findings

        assert f"a row of its table '{table}' is damaged" in str(finding)
