"""An event loop in a thread of its own, for those who call from outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .errors import ConnectionLost

R = TypeVar("R")


class LoopThread:
    """Runs until it is stopped. The thread is a daemon: a script that forgets to close still ends."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tickwire client", daemon=True)
        self._thread.start()
        self.running = True

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of a coroutine. An interruption (Ctrl-C) cancels it and goes through."""
        if not self.running:
            work.close()
            raise ConnectionLost("the client is closed; connect() makes another one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, step: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(step)

    def stop(self) -> None:
        if self.running:
            self.running = False
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
