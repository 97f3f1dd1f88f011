"""The store on disk, as the core sees it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from functools import partial

import apsw

from tickwire.core.policy import Policy
from tickwire.core.store import Batch, Dropped, Life, StoreFailed, StoreFull
from tickwire.fanout.log import Reading
from tickwire.fanout.section import Section

from . import ahead, reading
from .acknowledged import encode_acknowledged
from .ahead import Ahead
from .entry import Entry, write_entries
from .errors import NoRoomToOpen, StoreUnreadable
from .journal import LARGEST, Journal
from .loading import Loaded
from .opening import open_database
from .place import ACKNOWLEDGED, DATABASE, Directory, Place
from .plan import Plan, put_meta, write_mark
from .retention import Cut, Retention
from .schema import connect, require_sqlite
from .state import CLAIM_EVERY_US, KeptTopic, State
from .writer import Writer

_READ_CACHE_KIB = 4_096
_CHECKPOINT_CACHE_KIB = 64  # pages go from file to file, not through the cache
# Commits whose rows go home together: 1.5 ms of work, and a commit may be waiting.
_TOGETHER, _TOGETHER_BYTES = 64, 512 << 10
_AHEAD = 256  # commits that the database may be behind: it is brought up to them where the server did not ask for that
_ROOM = 1 << 20  # below it a full disk stays full: or publishers would be let in and turned away by turns


class DiskStore:
    """One directory, one life at a time. What `commit` returned from is there after kill -9 and after a power cut."""

    acknowledges = "disk"
    durable = True

    def __init__(
        self,
        place: str | os.PathLike[str] | Place,
        accept_loss: bool = False,
        identity_seconds: float = 300.0,
        identity_frames: int = 4_096,
    ) -> None:
        """With `accept_loss` a store that lost something is opened nevertheless, in a new epoch. Identities are kept
        for so many seconds; of each publisher the newest `identity_frames` are handed out by `open`.
        """
        self._place: Place = Directory(place) if isinstance(place, (str, os.PathLike)) else place
        self._accept_loss = accept_loss
        self._window_us, self._frames = int(identity_seconds * 1e6), identity_frames
        self._writer: Writer
        self._journal: Journal
        self._ahead = Ahead()
        self._is_full = False  # there was no room to bring home what is ahead
        self._home = 0  # the serial number up to which all is in the database, synced or not
        self._sync_asked = 0  # the serial number up to which the WAL is to be synced, for the journal to go on
        self._reader: apsw.Connection
        self._state: State
        self._retention: Retention
        self._claim_at_us = CLAIM_EVERY_US
        self._has_reserve = False
        self.ended: int | None = None
        self._begun: tuple[Plan, Batch] | None = None  # what is being written by nobody of Python's

    # Its life.

    def open(self) -> Life:
        """Begin, or go on where the store ended. Raises StoreError, and then has changed nothing."""
        require_sqlite()
        place = self._place
        place.take()
        try:
            connection, loaded = self._open_database()
            try:
                return self._begin(connection, loaded)
            except BaseException:
                connection.close()
                raise
        except BaseException as error:
            place.release()
            raise self._told(error) from error

    def close(self) -> None:
        """Bring all of it home and let go of the directory."""
        with contextlib.suppress(StoreFull, StoreFailed):
            self._bring_home(marks=True)
        if self._reader is not self._writer.connection:
            self._reader.close()
        self._writer.close()
        self._place.release()

    def _open_database(self) -> tuple[apsw.Connection, Loaded]:
        """On a full disk with the help of the reserve."""
        try:
            return open_database(self._place, self._frames, self._accept_loss)
        except NoRoomToOpen:
            if not self._place.give_up_reserve():
                raise
        return open_database(self._place, self._frames, self._accept_loss)

    def _begin(self, connection: apsw.Connection, loaded: Loaded) -> Life:
        place, state = self._place, loaded.state
        self._writer, self._state, self._retention = Writer(connection), state, Retention(state)
        life = _life(loaded)
        place.allocate_wal()
        # What a process that was killed wrote and did not sync becomes durable here, before anybody is shown it. The
        # checkpoint writes it anew, so it does not depend on what a failed fsync left in the page cache.
        self._helped(lambda: self._writer.checkpoint(whole=True))
        state.meta.claim()
        self._helped(lambda: self._writer.transact(self._write_meta))
        place.write(ACKNOWLEDGED, encode_acknowledged(state.meta.epoch, state.serial), sync=True)
        place.sync()
        self._journal = Journal(place, state.meta.epoch, state.meta.claimed_stamp, state.serial)
        self._home = state.serial
        self._has_reserve = place.make_reserve()
        self._reader = connection
        if place.vfs is None:
            self._reader = connect(place.path(DATABASE), None, _READ_CACHE_KIB, writes=False)
            self._writer.checkpoint_beside(connect(place.path(DATABASE), None, _CHECKPOINT_CACHE_KIB), place.sync_wal)
        return life

    # Writing: one thread.

    def commit(self, batch: Batch) -> None:
        """Keep all of it; it is durable when this returns. Raises StoreFull: none of it is. StoreFailed: unknown."""
        writer, state = self._writer, self._state
        writer.require_sound()
        plan = Plan(state, batch)
        if self._put_into_journal(plan.entry):
            self._ahead.add(plan.entry, batch.sections)
        else:
            self._bring_home(plan.entry)
        plan.take_effect()
        try:
            self._place.write(ACKNOWLEDGED, encode_acknowledged(state.meta.epoch, state.serial), sync=False)
        except OSError as error:
            raise writer.fail_with(error) from error

    def begin(self, batch: Batch) -> bool:
        """As the protocol has it: into the journal, by a thread that needs no interpreter."""
        self._writer.require_sound()
        # To pack and sum more than that is for a thread that the loop does not wait for.
        if sum([len(section.data) for _, section in batch.sections]) > LARGEST or not self._journal_takes():
            return False
        self.ended = self._place.writes_beside
        if self.ended is None:
            return False
        plan = Plan(self._state, batch)
        if not self._journal.begin(plan.entry, encode_acknowledged(self._state.meta.epoch, plan.entry.serial)):
            return False
        self._begun = plan, batch
        return True

    def finish(self) -> bool:
        assert self._begun is not None
        try:
            if not self._place.wrote_beside():
                return False
        except OSError as error:
            raise self._writer.fail_with(error) from error
        (plan, batch), self._begun = self._begun, None
        self._ahead.add(plan.entry, batch.sections)
        plan.take_effect()
        return True

    @property
    def unsettled(self) -> bool:
        return len(self._ahead) >= _TOGETHER or self._ahead.bytes >= _TOGETHER_BYTES

    @property
    def settles_alone(self) -> bool:
        """A mark is made of what the next commit would change."""
        return self._state.wants_mark or not self._writer.has_company

    def settle(self, alone: bool = True) -> None:
        try:
            if self._ahead:
                self._bring_home(syncs=False, may_mark=alone)
            if self._journal.waits and self._sync_asked <= self._journal.home:
                self._sync_asked = self._home
                if not self._writer.sync_beside(self._sync_asked) and alone:
                    self._bring_home()
        except StoreFull:  # what is in the journal is safe there, and the next commit will tell
            self._is_full = True

    def retain(self, policy_of: Callable[[str], Policy], time_us: int) -> list[Dropped]:
        """Drop some of what is no longer to be kept: a bounded amount of work. Returns what it did; [] when done.

        Raises StoreFailed where this meets an error of the disk first.
        """
        if self._writer.failure is not None:
            return []
        try:
            if self._ahead:  # what is to be dropped is looked for in the database
                self._helped(lambda: self._bring_home(syncs=False))
            self._housekeep(time_us)
            cuts = self._retention.cuts(self._writer.connection, policy_of, time_us)
            return self._drop(cuts) if cuts else []
        except (StoreFull, apsw.Error):
            return []

    def probe(self) -> None:
        """Whether there is room again. Raises StoreFull where there is none."""
        self._writer.checkpoint(whole=True)
        self._has_reserve = self._place.make_reserve()
        if not self._has_reserve and self._free_bytes() < 2 * _ROOM:
            raise StoreFull("there is no room on the disk")
        if self._free_bytes() + self._place.room() < _ROOM:
            raise StoreFull("there is no room on the disk")
        self._bring_home()

    # Reading: another thread.

    def read(self, topic: str, cursor: int, budget: int) -> Reading:
        kept = self._state.topics.get(topic)
        if kept is None:
            return Reading(None, [], cursor)
        newest, home = self._newest(kept)
        if newest and cursor >= home:
            return ahead.read(newest, cursor, budget)
        return reading.read(self._reader, kept, home, cursor, budget)

    def find(self, topic: str, stamp: int | None = None, time_us: int | None = None) -> int:
        kept = self._state.topics.get(topic)
        if kept is None:
            raise StoreFailed(f"there is no topic {topic!r} on disk")
        newest, home = self._newest(kept)
        try:
            found = reading.find(self._reader, kept, home, stamp, time_us)
        except apsw.Error as error:
            raise StoreFailed(f"the store cannot be read ({error})") from error
        return ahead.find(newest, stamp, time_us) if newest and found >= home else found

    # The steps.

    def _newest(self, kept: KeptTopic) -> tuple[list[Section], int]:
        """What is ahead of the database, and the offset up to which the topic is in it."""
        end = kept.end  # asked for first: all before it is in one of the two
        newest = self._ahead.of(kept.name)
        return newest, newest[0].first if newest else end

    def _put_into_journal(self, entry: Entry) -> bool:
        """Make it durable there, if it is small and there is room."""
        if not self._journal_takes():
            return False
        try:
            return self._journal.append(entry)
        except OSError as error:
            raise self._writer.fail_with(error) from error

    def _journal_takes(self) -> bool:
        """Whether commits go there: the database is not too far behind it."""
        if self._is_full or len(self._ahead) >= _AHEAD:
            return False
        self._journal.home = max(self._journal.home, self._writer.synced_beside)
        return True

    def _bring_home(
        self, entry: Entry | None = None, syncs: bool = True, marks: bool = False, may_mark: bool = True
    ) -> None:
        """Put into the database what is ahead of it, and an entry that is not in the journal; with `marks`, or where it
        is time for that and it may, all that the next start would go through. Raises StoreFull and StoreFailed.
        """
        writer, state, entries = self._writer, self._state, self._ahead.entries
        marks = marks or (may_mark and state.wants_mark)

        def work(connection: apsw.Connection) -> None:
            write_entries(connection, entries)
            if marks:
                write_mark(connection, state)
            elif syncs and entry is None:
                put_meta(connection, state.meta)  # SQLite does not sync where there is nothing to write
            if entry is not None:
                write_entries(connection, [entry])

        writer.checkpoint()
        writer.transact(work, syncs=syncs)
        self._ahead.drop(len(entries))
        if not syncs:
            self._place.push_wal()
        newest = entry or (entries[-1] if entries else None)
        self._home = self._home if newest is None else newest.serial
        if marks:
            state.marked()
        if syncs:
            self._journal.begin_anew(state.serial if entry is None else entry.serial)
            self._is_full = False

    def _told(self, error: BaseException) -> BaseException:
        """Why it does not open, in our words."""
        path = self._place.path(DATABASE)
        if isinstance(error, StoreFull) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
            return NoRoomToOpen(path)
        if isinstance(error, (StoreFailed, OSError)):
            return StoreUnreadable(path, str(error))
        return error

    def _drop(self, cuts: list[Cut]) -> list[Dropped]:
        back = [cut.take_effect() for cut in cuts]
        try:
            self._helped(self._writer.checkpoint)
            self._helped(lambda: self._writer.transact(partial(_write, cuts), (apsw.CorruptError,)))
        except BaseException as error:
            for cut in back:
                cut.take_effect()
                self._retention.look_again(cut.topic)
            if not isinstance(error, apsw.CorruptError):
                raise
        else:
            return [cut.dropped for cut in cuts]
        # One of them cannot be written: the others shall not suffer for it.
        if len(cuts) > 1:
            return [each for cut in cuts for each in self._drop([cut])]
        cuts[0].topic.stuck = True
        return []

    def _helped(self, step: Callable[[], None]) -> None:
        """Do it; on a full disk with the help of the reserve."""
        try:
            step()
        except StoreFull:
            if not self._place.give_up_reserve():
                raise
            self._has_reserve = False
            with contextlib.suppress(StoreFull):
                self._writer.checkpoint(whole=True)
            step()

    def _housekeep(self, time_us: int) -> None:
        """Forget identities outside the window, claim numbers for the minutes to come, hold the reserve again."""
        state = self._state
        if not self._has_reserve:
            self._has_reserve = self._place.make_reserve()
        state.clock.turn(time_us)
        if state.clock.us >= self._claim_at_us:
            state.meta.claim()
            self._writer.transact(self._write_meta)
            self._claim_at_us = state.clock.us + CLAIM_EVERY_US
        if state.windows and state.windows[0][1] < state.clock.us - self._window_us:
            serial, _ = state.windows[0]
            self._helped(lambda: self._writer.transact(partial(_forget, serial)))
            state.windows.popleft()

    def _write_meta(self, connection: apsw.Connection) -> None:
        put_meta(connection, self._state.meta)

    def _free_bytes(self) -> int:
        """Inside the database."""
        connection = self._writer.connection
        return int(connection.pragma("freelist_count")) * int(connection.pragma("page_size"))


def _write(cuts: list[Cut], connection: apsw.Connection) -> None:
    for cut in cuts:
        cut.write(connection)


def _forget(serial: int, connection: apsw.Connection) -> None:
    connection.execute("DELETE FROM identities WHERE serial<=?", (serial,))


def _life(loaded: Loaded) -> Life:
    meta = loaded.state.meta
    return Life(
        epoch=meta.epoch,
        stamp=max(meta.stamp, meta.claimed_stamp),
        time_us=meta.time_us,
        floor=meta.floor,
        freed_stamp=meta.freed_stamp,
        volatile_floor=meta.volatile_floor,
        topics=[topic.stored() for topic in loaded.state.topics.values()],
        identities=loaded.identities,
        groups=loaded.groups,
    )
