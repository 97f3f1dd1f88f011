"""Whatever is cut off or turned around on the disk: it is refused, or read as it was, or announced as a gap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from house.fake_disk import FakeDisk
from tickwire.core.policy import Policy
from tickwire.core.store import GroupCursor, Identity, StoreFailed
from tickwire.store.disk import DiskStore, StoreError, check
from tickwire.store.disk.errors import StoreDamaged, StoreForeign, StoreNewer, StoreTruncated
from tickwire.store.disk.place import RESERVE_BYTES

from .made import Author, Story, read_all

TOPICS = ("a", "b", "c.d")


def lived(disk: FakeDisk, commits: int = 60) -> dict[str, int]:
    """A store with small sections and some of several pages, its last process killed. Returns the ends."""
    author = Author(disk.store())
    for number in range(commits):
        rest = {"identities": [Identity("p", 1, number, 0, [number])]} if number % 3 == 0 else {}
        if number == 5:
            rest |= {"groups": [("g", ">")], "cursors": [GroupCursor("g", "a", 3, [])]}
        author.commit(("a", 1 + number % 4), ("b", 2), ("c.d", 1), size=3_000 if number % 10 == 0 else 20, **rest)
    disk.kill()
    return author.ends


def closed(disk: FakeDisk, **options: int) -> dict[str, int]:
    ends = lived(disk, **options)
    store = disk.store()
    store.open()
    store.close()
    return ends


def halfway(disk: FakeDisk) -> dict[str, int]:
    """All of it in the WAL, and older pages of it in the database."""
    closed(disk, commits=30)
    return lived(disk, commits=30)


Live = Callable[[FakeDisk], dict[str, int]]
LIVES: list[Live] = [lived, closed, halfway]


def stories(disk: FakeDisk, ends: dict[str, int]) -> dict[str, Story] | None:
    """What can be read of it; None where the store is refused. A commit after that is kept, or fails as it should."""
    store = disk.store()
    try:
        life = store.open()
    except (StoreDamaged, StoreTruncated, StoreForeign, StoreNewer):
        return None
    assert {topic.name: topic.end for topic in life.topics} == ends
    told = {topic: read_all(store, topic, end) for topic, end in ends.items()}
    author = Author(store, life)
    try:
        author.commit(*((topic, 1) for topic in ends))
    except StoreFailed:
        return told
    for topic, end in ends.items():
        again = read_all(store, topic, end + 1)
        assert end in again.messages or told[topic].gaps, (told[topic].gaps, again.gaps)
    return told


@pytest.mark.parametrize("live", LIVES)
@pytest.mark.parametrize("name", ["tickwire.db", "tickwire.db-wal", "journal", "acknowledged"])
def test_a_file_that_is_cut_anywhere_loses_nothing_silently(live: Live, name: str) -> None:
    original = FakeDisk.formatted()
    ends = live(original)
    length = original.size(name) or 0
    places = sorted({*range(0, min(length, 40)), *range(0, length, max(length // 150, 1)), max(length - 1, 0)})

    outcomes = []
    for place in places:
        disk = original.clone()
        disk.truncate(name, place)
        found = stories(disk, ends)
        outcomes.append(found is None)
        assert found is None or all(story.gaps == [] for story in found.values())

    is_needed = length > 0 and (name, live) != ("journal", closed)
    assert (True in outcomes) is is_needed


@pytest.mark.parametrize("name", ["lock", "reserve"])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_lock_or_reserve_that_is_cut_is_made_again(tmp_path: Path, name: str, size: int) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 3))
    author.store.close()
    with (tmp_path / name).open("r+b") as file:
        file.truncate(size)

    again = DiskStore(tmp_path)
    again.open()

    assert len(read_all(again, "a", 3).messages) == 3
    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES
    again.close()


@pytest.mark.parametrize("live", LIVES)
@pytest.mark.parametrize("seed", range(6))
def test_a_bit_that_is_flipped_anywhere_is_refused_or_a_gap_and_the_check_finds_it(live: Live, seed: int) -> None:
    random = Random(seed)
    original = FakeDisk.formatted()
    ends = live(original)

    missed = 0
    for _ in range(40):
        disk = original.clone()
        name = random.choice([name for name in ("tickwire.db", "tickwire.db-wal", "journal") if disk.size(name)])
        disk.flip(name, random.randrange(8 * (disk.size(name) or 0)))
        report = checked(disk)
        found = stories(disk, ends)
        if found is None or any(story.gaps for story in found.values()):
            missed += 1
            assert report is False
            assert found is None or {reason for story in found.values() for *_, reason in story.gaps} == {"corrupt"}

    assert missed > 0


def checked(disk: FakeDisk) -> bool:
    """Whether a check finds nothing wrong."""
    disk.kill()
    try:
        return check(disk).sound
    except StoreError:
        return False
    finally:
        disk.kill()


def test_bits_flipped_in_every_page_leave_a_store_that_tells_the_truth() -> None:
    for seed in range(20):
        random = Random(seed)
        disk = FakeDisk.formatted()
        ends = closed(disk)
        for page in range(20, (disk.size("tickwire.db") or 0) // 4096):
            disk.flip("tickwire.db", random.randrange(page * 32768, (page + 1) * 32768))

        stories(disk, ends)


def test_damage_is_told_from_what_retention_dropped() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(6):
        author.commit(("a", 2), size=3_000)
    author.store.retain(lambda topic: Policy(messages=8), 0)
    author.store.close()
    spoil(disk, b"a 6 ")

    again = disk.store()
    again.open()

    assert read_all(again, "a", 12).gaps == [(0, 4, "evicted"), (6, 8, "corrupt")]
    report = check_of(disk)
    assert [str(finding) for finding in report] == ["a [6, 8): the data is damaged"]


def test_retention_passes_over_damage_and_takes_no_pages_that_may_be_those_of_others() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(8):
        author.commit(("a", 2), ("b", 2), size=3_000)
    author.store.close()
    spoil(disk, b"a 2 ")

    again = Author(disk.store())
    dropped = again.store.retain({"a": Policy(messages=6), "b": Policy()}.__getitem__, 0)
    for _ in range(20):
        again.commit(("a", 2), ("b", 2), size=3_000)

    assert [(each.topic, each.start) for each in dropped] == [("a", 10)]
    assert read_all(again.store, "a", again.ends["a"], cursor=10).gaps == []
    assert read_all(again.store, "b", again.ends["b"]).gaps == []


def test_a_row_under_another_topics_name_is_not_taken_for_that_topics() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    author.commit(("a", 2), ("b", 2))
    author.store.settle()
    connection = author.store._writer.connection
    connection.execute("UPDATE sections SET topic=3 WHERE topic=1; UPDATE sections SET topic=1 WHERE topic=2")
    connection.execute("UPDATE sections SET topic=2 WHERE topic=3")

    assert read_all(author.store, "a", 2).gaps == [(0, 2, "corrupt")]
    assert read_all(author.store, "b", 2).gaps == [(0, 2, "corrupt")]


def test_a_row_that_is_gone_is_a_gap() -> None:
    disk = FakeDisk.formatted()
    author = Author(disk.store())
    for _ in range(5):
        author.commit(("a", 2))
    author.store.settle()
    author.store._writer.connection.execute("DELETE FROM sections WHERE first IN (2, 4, 8)")

    assert read_all(author.store, "a", 10).gaps == [(2, 6, "corrupt"), (8, 10, "corrupt")]
    assert author.store.find("a", stamp=author.life.stamp + 2) == 2


def test_what_is_lost_can_be_accepted_and_then_the_epoch_is_another() -> None:
    disk = FakeDisk.formatted()
    lived(disk)
    disk.truncate("tickwire.db-wal", 100_000)
    disk.truncate("journal", 0)
    lost = disk.clone()
    epoch = FakeDisk.formatted().store().open().epoch

    with pytest.raises(StoreError, match="messages are lost"):
        lost.store().open()
    store = disk.store(accept_loss=True)
    life = store.open()

    assert life.epoch != epoch
    assert life.topics
    for topic in life.topics:
        assert read_all(store, topic.name, topic.end).gaps == []
    store.close()
    assert disk.store().open().epoch == life.epoch


def test_a_store_that_cannot_be_read_is_set_aside_when_the_loss_is_accepted(tmp_path: Path) -> None:
    author = Author(DiskStore(tmp_path))
    author.commit(("a", 3))
    author.store.close()
    content = (tmp_path / "tickwire.db").read_bytes()
    (tmp_path / "tickwire.db").write_bytes(content[:-4096])

    store = DiskStore(tmp_path, accept_loss=True)
    life = store.open()

    assert (life.epoch != author.life.epoch, life.topics) == (True, [])
    assert (tmp_path / "damaged-1" / "tickwire.db").read_bytes() == content[:-4096]
    store.close()


def spoil(disk: FakeDisk, text: bytes) -> None:
    """Flip a bit of a payload."""
    place = disk.files["tickwire.db"].content.find(text)
    assert place > 0
    disk.flip("tickwire.db", place * 8)


def check_of(disk: FakeDisk) -> list[object]:
    disk.kill()
    return list(check(disk).findings)
