"""Brings the pages of the WAL home beside the commits, in a thread and with a connection of its own."""

from __future__ import annotations

import queue
import threading

import apsw


class Checkpointer:
    """One pass after another, each begun by `start`. Between two of them the others may ask what became of the last."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.home = 0  # pages of this WAL that are in the database by now
        self.error: apsw.Error | None = None  # of the last pass
        self._connection = connection
        self._ended = threading.Event()
        self._ended.set()
        self._passes: queue.SimpleQueue[bool] = queue.SimpleQueue()
        # A daemon: where the disk hangs for ever, the process can still end.
        self._thread = threading.Thread(target=self._run, name="tickwire-checkpoint", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    def start(self) -> None:
        """Begin a pass over what is in the WAL now. None may be running."""
        self._ended.clear()
        self._passes.put(True)

    def wait(self) -> None:
        """Until no pass is running."""
        self._ended.wait()

    def close(self) -> None:
        self._passes.put(False)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while self._passes.get():
            self.error = None
            try:
                # Passive: commits go on behind the last page of the pass, and readers where they are.
                _, self.home = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error as error:
                self.error = error
            self._ended.set()
