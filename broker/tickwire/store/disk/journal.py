"""Where a commit is durable first: one write of its rows to a file that has its space, synced by the same call.

A transaction of SQLite by itself writes two to nine pages, and then syncs them. Here a commit is one write of a few
sectors past the page cache (O_DIRECT, O_DSYNC), and its rows go home in a transaction with those of many others, which
need not be synced before the journal begins anew. This is what PostgreSQL calls WAL; SQLite keeps its own below it.

The file has two halves that are filled by turns. An entry is a head, its body, and nothing up to the end of the block;
each has the next serial number. A half may be filled again when all entries in it are home and synced there. What is
left of older entries behind the newest is told by its serial number and by the life of the broker that wrote it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tickwire.core.checksum import crc32

from .entry import Entry, decode_entry
from .place import JOURNAL, Place, whole_blocks

_FIELDS = struct.Struct("<4sQQQI")  # magic, epoch, life, serial number, size of the body
_SUM = struct.Struct("<I")  # of the fields and the body
_HEAD = _FIELDS.size + _SUM.size
_MAGIC = b"TWJ1"

# A larger one goes to the database at once, with those that are ahead of it: it is written once less, and what a
# transaction costs beside its bytes is little then.
LARGEST = 64 << 10


class Journal:
    """Written by the thread that commits. `home` is the last serial number that is durable in the database."""

    def __init__(self, place: Place, epoch: int, life: int, home: int) -> None:
        """`life` is a number that no other life of this epoch has."""
        self.home = home
        self._place, self._epoch, self._life = place, epoch, life
        self._half_bytes = place.make_journal() // 2
        self._half = self._at = 0
        self._last = [home, home]  # serial number in each half

    def append(self, entry: Entry) -> bool:
        """Keep it: durable when this returns True. False: it does not take it. Raises OSError: nobody knows."""
        placed = self._placed(entry)
        if placed is not None:
            self._place.write_through(JOURNAL, *placed)
        return placed is not None

    def begin(self, entry: Entry, note: bytes) -> bool:
        """Start to keep it, and the note behind it. False: it does not take it. The place says when that has ended."""
        placed = self._placed(entry)
        if placed is not None:
            self._place.write_beside(*placed, note)
        return placed is not None

    def _placed(self, entry: Entry) -> tuple[bytes, int] | None:
        """Its bytes and where they go, if it is taken. What comes next is behind it."""
        if entry.data_bytes > LARGEST:
            return None
        body = entry.encode()
        size = whole_blocks(_HEAD + len(body), self._place.block)
        if size > min(LARGEST, self._half_bytes) or (self._at + size > self._half_bytes and not self._turned()):
            return None
        fields = _FIELDS.pack(_MAGIC, self._epoch, self._life, entry.serial, len(body))
        head = fields + _SUM.pack(crc32(body, crc32(fields)))
        at = self._half * self._half_bytes + self._at
        self._at += size
        self._last[self._half] = entry.serial
        return head + body, at

    def begin_anew(self, home: int) -> None:
        """All up to there is durable in the database, and this has nothing behind it."""
        self.home = home
        self._at = 0

    @property
    def waits(self) -> bool:
        """Whether the half that is not being filled could not be filled yet."""
        return self._last[1 - self._half] > self.home

    def _turned(self) -> bool:
        if self.waits:
            return False
        self._half, self._at = 1 - self._half, 0
        return True


def entries_after(place: Place, epoch: int, serial: int) -> list[Entry]:
    """Those that the database does not have: the ones behind the serial number, up to the first that is missing.

    They are of one life: each begins with all that the one before has left in the database, durable there.
    """
    size = (place.size(JOURNAL) or 0) // 2
    halves = [place.read(JOURNAL, size, half * size) or b"" for half in (0, 1)]
    found = {number: (life, body) for half in halves for life, number, body in _chain(half, place.block, epoch)}
    entries: list[Entry] = []
    of_life = found.get(serial + 1, (0, b""))[0]
    while (next := found.get(serial + len(entries) + 1)) is not None and next[0] == of_life:
        entries.append(decode_entry(next[1]))
    return entries


def _chain(half: bytes, block: int, epoch: int) -> Iterator[tuple[int, int, bytes]]:
    """Life, serial number and body, from the beginning on, up to the first that does not follow, or is damaged."""
    at, last = 0, None
    while at + _HEAD <= len(half):
        magic, written_in, life, serial, size = _FIELDS.unpack_from(half, at)
        body = half[at + _HEAD : at + _HEAD + size]
        if (magic, written_in, len(body)) != (_MAGIC, epoch, size) or (last is not None and (life, serial) != last):
            return
        if _SUM.unpack_from(half, at + _FIELDS.size)[0] != crc32(body, crc32(half[at : at + _FIELDS.size])):
            return
        yield life, serial, body
        last = life, serial + 1
        at += whole_blocks(_HEAD + size, block)
