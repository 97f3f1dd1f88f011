"""Why a store does not open: each error has its code, and a sentence that says what to do."""

from __future__ import annotations

from tickwire.wire.errors import TickwireError

ACCEPT = "start once with the loss accepted, which begins a new epoch"


class StoreError(TickwireError):
    """The store cannot be opened. Nothing in it was changed."""

    code = "store_failed"


class StoreLocked(StoreError):
    code = "store_locked"

    def __init__(self, directory: str, pid: int | None) -> None:
        self.pid = pid
        whose = f"process {pid}" if pid else "another process"
        super().__init__(f"{directory} is in use by {whose}: stop that one, or name another directory")


class StoreReadOnly(StoreError):
    code = "store_read_only"

    def __init__(self, directory: str, why: str) -> None:
        super().__init__(f"{directory} cannot be written ({why}): give it to the user that runs this, or name another")


class NotADirectory(StoreError):
    code = "store_not_a_directory"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not a directory: name another path")


class StoreForeign(StoreError):
    code = "store_foreign"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not a database of Tickwire: move it away, or name another directory")


class StoreMissing(StoreError):
    code = "store_missing"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is not there: this is not the directory of a store")


class StoreNewer(StoreError):
    code = "store_newer"

    def __init__(self, path: str, version: int, known: int) -> None:
        text = f"{path} has format {version}, and this version of Tickwire knows formats up to {known}: use a newer one"
        super().__init__(text)


class StoreTruncated(StoreError):
    code = "store_truncated"

    def __init__(self, path: str, size: int, expected: int) -> None:
        text = f"{path} was cut: it has {size} bytes of {expected}. Put a copy of the whole directory back, or {ACCEPT}"
        super().__init__(text)


class StoreDamaged(StoreError):
    code = "store_damaged"

    def __init__(self, path: str, what: str) -> None:
        self.what = what
        text = f"{path}: {what}. `tickwire check-data` tells all; put a copy of the whole directory back, or {ACCEPT}"
        super().__init__(text)


class StoreUnreadable(StoreError):
    """The disk itself answered with an error."""

    code = "store_failed"

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} cannot be opened: {why}")


class NoRoomToOpen(StoreError):
    code = "store_full"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} cannot be opened, since its disk is full: a few megabytes are needed")


class SqliteTooOld(StoreError):
    code = "sqlite_too_old"

    def __init__(self, version: str, needed: str) -> None:
        text = f"SQLite {version} can damage a database in WAL mode: {needed} or later is needed (pip install -U apsw)"
        super().__init__(text)
