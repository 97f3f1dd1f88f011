"""The database: its tables, and how a connection to it is set up."""

from __future__ import annotations

import apsw

from .errors import SqliteTooOld

FORMAT = 2  # before 2 there was no journal
APPLICATION = 0x5469636B  # "Tick", so that no other database is taken for a store
NEEDED = (3, 51, 3)  # before it a reset of the WAL could lose a commit
PAGE_BYTES = 8192  # against 4 KiB: batches of 100 KB 15 % faster, sixteen small sections in a commit 5 % slower

TABLES = (
    # One row a section, in the order of commits. The data last: the rest is read without it.
    """CREATE TABLE sections(id INTEGER PRIMARY KEY, topic INTEGER, first INTEGER, end INTEGER, stamp INTEGER,
        time_us INTEGER, total INTEGER, head_sum INTEGER, data_sum INTEGER, data BLOB)""",
    "CREATE UNIQUE INDEX places ON sections(topic, first)",
    # One row a commit, for all that it changed beside the sections; those up to meta's mark are in the tables below.
    "CREATE TABLE commits(serial INTEGER PRIMARY KEY, body BLOB, checksum INTEGER)",
    "CREATE TABLE identities(serial INTEGER PRIMARY KEY, body BLOB, checksum INTEGER)",
    "CREATE TABLE topics(id INTEGER PRIMARY KEY, body BLOB, checksum INTEGER)",
    "CREATE TABLE meta(id INTEGER PRIMARY KEY, body BLOB, checksum INTEGER)",
    "CREATE TABLE groups(name TEXT PRIMARY KEY, body BLOB, checksum INTEGER) WITHOUT ROWID",
    """CREATE TABLE cursors(topic TEXT, name TEXT, cursor INTEGER, body BLOB, checksum INTEGER,
        PRIMARY KEY(topic, name)) WITHOUT ROWID""",
)


def require_sqlite() -> None:
    """Raises SqliteTooOld."""
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < NEEDED:
        raise SqliteTooOld(version, ".".join(map(str, NEEDED)))


def connect(path: str, vfs: str | None, cache_kib: int, writes: bool = True) -> apsw.Connection:
    """A connection that does nothing by itself: no checkpoints, no memory maps. Creates the file where it `writes`."""
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writes else 0)
    connection = apsw.Connection(path, flags=flags, vfs=vfs)
    try:
        _set_up(connection, vfs, cache_kib, writes)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: apsw.Connection, vfs: str | None, cache_kib: int, writes: bool) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    if vfs is not None:  # no shared memory there, so the index of the WAL is this connection's own
        connection.pragma("locking_mode", "exclusive")
    connection.set_busy_timeout(5_000)
    for name, value in (("cell_size_check", 1), ("mmap_size", 0), ("temp_store", 2), ("cache_size", -cache_kib)):
        connection.pragma(name, value)
    if writes:
        connection.pragma("synchronous", "full")
        connection.pragma("fullfsync", 1)  # macOS: what its fsync alone does not do
        connection.pragma("checkpoint_fullfsync", 1)
        connection.pragma("wal_autocheckpoint", 0)
    else:
        connection.pragma("query_only", 1)


def create(connection: apsw.Connection) -> None:
    """Make an empty store. The caller puts a transaction around this and the first row of meta."""
    connection.pragma("application_id", APPLICATION)
    connection.pragma("user_version", FORMAT)
    for statement in TABLES:
        connection.execute(statement)
