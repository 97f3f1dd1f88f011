"""Standard input and output beside an event loop: neither a slow terminal nor a quiet pipe holds up the connection.

Both are threads that die with the process: a read or write that never returns must not keep it from ending.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator
from typing import IO, Any

import click

from .client import note

_BLOCK = 64 << 10
_LINE = 4 << 20  # a payload holds at most 1,000,000 bytes, and base64 or escapes are what makes it longer
_AHEAD = 4  # blocks read before the first is taken


class Unreadable(click.ClickException):
    """Standard input is a directory, say, or not open for reading."""

    def show(self, file: IO[Any] | None = None) -> None:
        note(self.message)


async def read_lines(descriptor: int = 0) -> AsyncIterator[list[bytes]]:
    """The lines of standard input without their ends: all that there are at a time, until its end."""
    rest = b""
    async for block in _blocks(descriptor):
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _LINE:
            raise ValueError(f"a line of standard input is longer than {_LINE} bytes")
        if lines:
            yield lines
    if rest:
        yield [rest]


async def _blocks(descriptor: int) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    blocks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)

    def pump() -> None:
        block: bytes | OSError = b"-"
        while block and not isinstance(block, OSError):
            room.acquire()
            try:
                block = os.read(descriptor, _BLOCK)
            except OSError as error:
                block = error
            try:
                loop.call_soon_threadsafe(blocks.put_nowait, block)
            except RuntimeError:  # the loop has ended; nobody wants the rest
                return

    threading.Thread(target=pump, daemon=True).start()
    while block := await blocks.get():
        if isinstance(block, OSError):
            raise Unreadable(f"standard input cannot be read: {block.strerror}") from None
        room.release()
        yield block


class Output:
    """Standard output: `await write(data)` returns when all of it has gone. Raises BrokenPipeError."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._pump, daemon=True).start()

    async def write(self, data: bytes) -> None:
        written = self._loop.create_future()
        self._waiting.put((data, written))
        await written

    def _pump(self) -> None:
        while True:
            data, written = self._waiting.get()
            error: OSError | None = None
            try:
                _write_all(self._descriptor, data)
            except OSError as failed:
                error = failed
            try:
                self._loop.call_soon_threadsafe(_settle, written, error)
            except RuntimeError:
                return


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _settle(written: asyncio.Future[None], error: OSError | None) -> None:
    if not written.done():
        written.set_result(None) if error is None else written.set_exception(error)
