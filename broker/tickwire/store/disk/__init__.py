"""Sections on disk: one directory, one SQLite database in it, one writer. What `commit` returned from is kept.

`store` is what the core sees. A commit becomes rows by `plan`, an `entry`; that goes to the `journal`, where it is
durable, and is `ahead` of the database until `writer` brings it home with others in one transaction (a large one goes
there at once). `state` is what is known in memory, read by `opening` at the start. `reading` is for the other thread,
`retention` drops the oldest, `place` is the directory with its lock and its reserve, `check` reads all of it.
"""

from .check import Finding, Report, check
from .errors import StoreError
from .store import DiskStore

__all__ = ["DiskStore", "Finding", "Report", "StoreError", "check"]
