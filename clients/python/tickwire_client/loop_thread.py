"""An event loop in a thread of its own, for those who call from outside."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .errors import CLOSED, ConnectionLost

R = TypeVar("R")

_ENDING_TIMEOUT = 1.0  # seconds for what runs when the loop is stopped, before it is cancelled and again after


class LoopThread:
    """Runs until it is stopped. The thread is a daemon: a script that forgets to close still ends."""

    def __init__(self) -> None:
        self.running = True
        self._process = os.getpid()
        self._lock = threading.Lock()  # what is given to the loop is given before it is told to stop
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tickwire client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of a coroutine. An interruption (Ctrl-C) cancels it and goes through.

        Raises ConnectionLost where the loop is stopped, before or meanwhile.
        """
        try:
            future = self._submit(work)
        except BaseException:
            work.close()
            raise
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ConnectionLost("the client was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    def _submit(self, work: Coroutine[Any, Any, R]) -> concurrent.futures.Future[R]:
        self.check_process()
        if threading.current_thread() is self._thread:
            raise RuntimeError("on_state and on_refused run in the client's own thread, which must not wait for itself")
        with self._lock:
            if not self.running:
                raise ConnectionLost(CLOSED)
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, step: Callable[[], None]) -> None:
        """Have the loop make a call. Raises ConnectionLost where it is stopped."""
        with self._lock:
            if not self.running:
                raise ConnectionLost(CLOSED)
            self._loop.call_soon_threadsafe(step)

    def check_process(self) -> None:
        """Raise ConnectionLost in a process that was forked from the loop's: no thread came along."""
        if os.getpid() != self._process:
            raise ConnectionLost("this client belongs to the process that connected it; connect again after the fork")

    def stop(self) -> None:
        """Let what runs come to its end, cancel what does not, and end the thread."""
        if os.getpid() != self._process:
            return
        with self._lock:
            if not self.running:
                return
            self.running = False
        try:
            asyncio.run_coroutine_threadsafe(_end_all(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _end_all() -> None:
    """What a closed client's calls came to is on its way to them: cancelled at once, they would not learn it."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, late = await asyncio.wait(others, timeout=_ENDING_TIMEOUT)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_ENDING_TIMEOUT)
