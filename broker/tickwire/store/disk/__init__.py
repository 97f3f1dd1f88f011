"""Sections on disk: one directory, one SQLite database in it, one writer. What `commit` returned from is kept.

`store` is what the core sees. A commit goes through `plan` (the rows it is made of) and `writer` (the transaction, and
what becomes of errors). `state` is what is known in memory, read by `opening` at the start. `reading` is for the other
thread, `retention` drops the oldest, `place` is the directory with its lock and its reserve, `check` reads all of it.
"""

from .check import Finding, Report, check
from .errors import StoreError
from .store import DiskStore

__all__ = ["DiskStore", "Finding", "Report", "StoreError", "check"]
