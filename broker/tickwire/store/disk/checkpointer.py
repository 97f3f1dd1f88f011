"""Brings the pages of the WAL home beside the commits, and syncs it, in a thread and with a connection of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial

import apsw


class Checkpointer:
    """One pass after another, each begun by `start`. Between two of them the others may ask what became of the last."""

    def __init__(self, connection: apsw.Connection, sync_wal: Callable[[], None]) -> None:
        self.home = 0  # pages of this WAL that are in the database by now
        self.error: apsw.Error | None = None  # of the last pass
        self.synced = 0  # the serial number up to which the WAL was synced
        self.sync_error: OSError | None = None
        self._connection, self._sync_wal = connection, sync_wal
        self._ended = threading.Event()
        self._ended.set()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # A daemon: where the disk hangs for ever, the process can still end.
        self._thread = threading.Thread(target=self._run, name="tickwire-checkpoint", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def start(self) -> None:
        """Begin a pass over what is in the WAL now. None may be running."""
        self._ended.clear()
        self._jobs.put(self._pass)

    def sync(self, serial: int) -> None:
        """Make durable what is in the WAL now; then `synced` is this number."""
        self._jobs.put(partial(self._sync, serial))

    def wait(self) -> None:
        """Until no pass is running."""
        self._ended.wait()

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _pass(self) -> None:
        self.error = None
        try:
            # Passive: commits go on behind the last page of the pass, and readers where they are.
            _, self.home = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            self.error = error
        self._ended.set()

    def _sync(self, serial: int) -> None:
        try:
            self._sync_wal()
            self.synced = serial
        except OSError as error:
            self.sync_error = error
