"""The one connection that writes: transactions, bringing the WAL home, and what becomes of an error of the disk."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

import apsw

from tickwire.core.store import StoreFailed, StoreFull

from .checkpointer import Checkpointer

_WAL_PAGES = 2_000  # 16 MB: then its pages go home
_FEW_PAGES = 128  # what a commit waits for itself, 2 ms; the WAL begins anew only while nobody writes
_WAIT_MS = 100  # for readers to leave the WAL
_BUSY_MS = 5_000


class Writer:
    """After the first error that leaves doubt nothing is written: a second fsync does not bring back what one lost."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.failure: str | None = None
        self._wal_pages = 0
        self._checkpoint_at = _WAL_PAGES
        self._beside: Checkpointer | None = None
        self._syncs = True
        connection.set_wal_hook(self._grew)

    def checkpoint_beside(self, connection: apsw.Connection, sync_wal: Callable[[], None]) -> None:
        """Let another thread bring pages home with this connection from now on, and only the last of them wait."""
        self._beside = Checkpointer(connection, sync_wal)

    @property
    def has_company(self) -> bool:
        """Whether another thread does what takes long."""
        return self._beside is not None

    def sync_beside(self, serial: int) -> bool:
        """Let another thread make durable what was transacted without being synced. False: there is no such thread."""
        if self._beside is None:
            return False
        self._beside.sync(serial)
        return True

    @property
    def synced_beside(self) -> int:
        """The serial number that was last synced beside. Raises StoreFailed."""
        if self._beside is None:
            return 0
        if self._beside.sync_error is not None:
            raise self._told(self._beside.sync_error) from self._beside.sync_error
        return self._beside.synced

    def require_sound(self) -> None:
        """Raises StoreFailed."""
        if self.failure is not None:
            raise StoreFailed(self.failure)

    def transact(
        self, work: Callable[[apsw.Connection], None], survives: tuple[type[Exception], ...] = (), syncs: bool = True
    ) -> None:
        """Do it whole, and sync it; it is durable when this returns. Raises StoreFull: not done. StoreFailed: unknown.

        An error that it `survives` is raised as it is, and nothing was done. One that is not synced becomes durable,
        with all before it, by the next that is.
        """
        self.require_sound()
        try:
            if syncs is not self._syncs:
                self.connection.pragma("synchronous", "full" if syncs else "normal")
                self._syncs = syncs
            self.connection.execute("BEGIN IMMEDIATE")
            work(self.connection)
            self.connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, survives):
                raise
            raise self._told(error) from error

    def checkpoint(self, whole: bool = False) -> None:
        """Bring the pages of the WAL home where they are many: it begins anew. Raises StoreFull, StoreFailed."""
        if self._wal_pages < self._checkpoint_at and not whole:
            return
        self.require_sound()
        if self._beside is not None:
            if not whole and self._is_done_beside(self._beside):
                return
            self._beside.wait()
            self._beside.home = 0
        self.connection.set_busy_timeout(_WAIT_MS)
        try:
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            self._wal_pages, self._checkpoint_at = 0, _WAL_PAGES
        except apsw.BusyError:  # a long reader: it will be gone some thousand pages later
            self._checkpoint_at = self._wal_pages + _WAL_PAGES
        except apsw.Error as error:
            raise self._told(error) from error
        finally:
            self.connection.set_busy_timeout(_BUSY_MS)

    def _is_done_beside(self, beside: Checkpointer) -> bool:
        """Whether commits may go on, since others bring the pages home meanwhile. Raises StoreFailed."""
        if self._wal_pages >= 2 * _WAL_PAGES:  # no further than the space that was set aside for it
            return False
        if beside.running:
            return True
        if beside.error is not None:
            if not isinstance(beside.error, (apsw.FullError, apsw.BusyError)):
                raise self._told(beside.error) from beside.error
            return False
        if self._wal_pages - beside.home <= _FEW_PAGES:
            return False
        beside.start()
        return True

    def fail(self, why: str) -> StoreFailed:
        """Write no more from here on."""
        self.failure = self.failure or why
        return StoreFailed(self.failure)

    def fail_with(self, error: BaseException) -> StoreFailed:
        """The disk has failed."""
        return self.fail(f"the disk failed, and nothing is stored from here on ({error})")

    def close(self) -> None:
        """Leave nothing in the WAL, where that is possible."""
        if self._beside is not None:
            self._beside.close()
        if self.failure is None:
            with contextlib.suppress(apsw.Error):
                self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.connection.close()

    def _grew(self, connection: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _roll_back(self) -> None:
        with contextlib.suppress(apsw.Error):
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def _told(self, error: BaseException) -> BaseException:
        if not isinstance(error, (apsw.Error, MemoryError, OSError)):
            return error
        if isinstance(error, apsw.FullError) or self._over_quota(error):
            return StoreFull("there is no room on the disk: nothing of this was stored")
        return self.fail_with(error)

    def _over_quota(self, error: BaseException) -> bool:
        """A quota is a full disk with another number."""
        wrote = getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_WRITE
        return wrote and self.connection.system_errno == errno.EDQUOT
