"""What `connect` and `subscribe` give: await it, or enter it with `async with`."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, Generic, NoReturn, Protocol, TypeVar


class Entered(Protocol):
    """What ends with a block."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None: ...


T = TypeVar("T", bound=Entered)


class Opening(Generic[T]):
    """Something that opens when it is awaited or entered. Left alone it does nothing, and warns."""

    def __init__(self, what: str, open: Callable[[], Awaitable[T]], name: str) -> None:
        """`what` is the call as it is written, `name` what its result may be called."""
        self._what, self._open, self._name = what, open, name
        self._used = False
        self._opened: T | None = None

    def __await__(self) -> Generator[Any, None, T]:
        self._used = True
        return self._open().__await__()

    async def __aenter__(self) -> T:
        self._opened = opened = await self
        return opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.__aexit__(kind, error, where)

    def __aiter__(self) -> NoReturn:
        self._used = True  # this error says more than the warning would
        raise TypeError(f"it is not open yet: use `async with {self._what} as {self._name}:`, then `async for`")

    def __repr__(self) -> str:
        return f"<{self._what}, {'opened' if self._used else 'to be awaited or entered'}>"

    def __del__(self) -> None:
        if not self._used:
            text = f"{self._what} was never awaited or entered with 'async with': nothing happened"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self)
