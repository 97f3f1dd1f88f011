"""Opening a store: refuse what is not one or not whole, before anything in it is changed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import apsw

from .acknowledged import decode_acknowledged, encode_acknowledged
from .entry import write_entries
from .errors import NoRoomToOpen, StoreDamaged, StoreForeign, StoreMissing, StoreNewer, StoreTruncated, StoreUnreadable
from .journal import entries_after
from .loading import Loaded, Unsound, load, stands
from .place import ACKNOWLEDGED, DATABASE, WAL, Place
from .plan import put_meta
from .rows import Damaged
from .schema import APPLICATION, FORMAT, PAGE_BYTES, connect, create
from .state import Meta, State

_MAGIC = b"SQLite format 3\x00"
_CACHE_KIB = 16_384
_WAL_HEADER, _FRAME_HEADER = 32, 24


def open_database(place: Place, frames: int, accept_loss: bool = False) -> tuple[apsw.Connection, Loaded]:
    """The connection that writes, and all that the store says of itself. Raises StoreError; then nothing was changed.

    With `accept_loss` what is lost is no reason to refuse: a store that can be read goes on in a new epoch, and one
    that cannot is set aside for an empty one.
    """
    try:
        return _open(place, frames, accept_loss)
    except (StoreDamaged, StoreTruncated):
        if not accept_loss:
            raise
    place.set_aside()
    return _create(place)


def _open(place: Place, frames: int, accept_loss: bool) -> tuple[apsw.Connection, Loaded]:
    if not place.size(DATABASE):
        _require_new(place)
        return _create(place)
    _require_database(place)
    connection = _connect(place)
    try:
        if not _is_made(connection, place):
            connection.close()
            return _create(place)
        _require_whole(connection, place)
        connection.execute("BEGIN IMMEDIATE")
        loaded = _load(connection, place, frames)
        try:
            require_answered(place, loaded.state)
        except StoreDamaged:
            if not accept_loss:
                raise
            _begin_epoch(place, loaded.state)
        if connection.pragma("user_version") != FORMAT:
            connection.pragma("user_version", FORMAT)
        connection.execute("COMMIT")
    except BaseException as error:
        connection.close()
        raise _said(error, place) from None
    return connection, loaded


def _load(connection: apsw.Connection, place: Place, frames: int) -> Loaded:
    """Inside a transaction: bring home what the journal has, and read the tables."""
    meta, serial = stands(connection)
    write_entries(connection, entries_after(place, meta.epoch, serial))
    return load(connection, frames)


def open_to_look(place: Place) -> tuple[apsw.Connection, Loaded]:
    """A connection that changes nothing: it is in a transaction that is never committed, with what the journal has in
    it. Whether what was acknowledged is there is `require_answered`'s to say.
    """
    if not place.size(DATABASE):
        _require_new(place)
        raise StoreMissing(place.path(DATABASE))
    _require_database(place)
    connection = _connect(place)
    try:
        if not _is_made(connection, place):
            raise StoreMissing(place.path(DATABASE))
        _require_whole(connection, place)
        connection.pragma("cache_spill", 0)
        connection.execute("BEGIN IMMEDIATE")
        return connection, _load(connection, place, 0)
    except BaseException as error:
        connection.close()
        raise _said(error, place) from None


def _connect(place: Place) -> apsw.Connection:
    try:
        return connect(place.path(DATABASE), place.vfs, _CACHE_KIB)
    except apsw.Error as error:
        raise _said(error, place) from None


def _said(error: BaseException, place: Place) -> BaseException:
    """An error in our words."""
    path = place.path(DATABASE)
    if isinstance(error, apsw.CorruptError):
        size, expected = place.size(DATABASE) or 0, _size_in_header(place)
        if size < expected:
            return StoreTruncated(path, size, expected)
    if isinstance(
        error,
        (Unsound, apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.ConstraintError, UnicodeDecodeError),
    ):
        return StoreDamaged(path, str(error))
    if isinstance(error, apsw.FullError):
        return NoRoomToOpen(path)
    if isinstance(error, apsw.Error):
        return StoreUnreadable(path, str(error))
    return error


def _begin_epoch(place: Place, state: State) -> None:
    """Everything that was said of positions so far counts no more."""
    state.meta.epoch = secrets.randbits(48)
    place.write(ACKNOWLEDGED, encode_acknowledged(state.meta.epoch, state.serial), sync=True)


# A new one.


def _require_new(place: Place) -> None:
    """No database is there, and none was."""
    answered = _answered(place)
    if answered is not None and answered[1]:
        text = f"the database is gone, and commits up to number {answered[1]} were acknowledged"
        raise StoreDamaged(place.path(DATABASE), text)


def _create(place: Place) -> tuple[apsw.Connection, Loaded]:
    state = State(Meta(epoch=0))
    _begin_epoch(place, state)
    place.make(DATABASE)
    connection = _connect(place)
    try:
        connection.pragma("page_size", PAGE_BYTES)
        connection.pragma("journal_mode", "wal")
        with connection:
            create(connection)
            put_meta(connection, state.meta)
    except BaseException as error:
        connection.close()
        raise _said(error, place) from None
    return connection, Loaded(state)


def _is_made(connection: apsw.Connection, place: Place) -> bool:
    """Whether there is a store, or only the beginning of one whose making was cut short."""
    path = place.path(DATABASE)
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    if application == APPLICATION and version > FORMAT:
        raise StoreNewer(path, version, FORMAT)
    if application == APPLICATION and 0 < version <= FORMAT:
        if connection.pragma("journal_mode") != "wal":
            raise Unsound("it is not in WAL mode any more")
        return True
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    if tables or application or version or place.read(ACKNOWLEDGED) is None:
        raise StoreForeign(path)
    _require_new(place)
    return False


# What must be so.


def _require_database(place: Place) -> None:
    """The file begins like a database. What SQLite would say of others is said here in our words."""
    path, size = place.path(DATABASE), place.size(DATABASE) or 0
    head = place.read(DATABASE, 100) or b""
    if not head.startswith(_MAGIC[: len(head)]):
        raise StoreForeign(path)
    if len(head) < 100:
        raise StoreTruncated(path, size, PAGE_BYTES)


def _require_whole(connection: apsw.Connection, place: Place) -> None:
    """All pages are there: in the file, or in the WAL that will bring them."""
    size, page = place.size(DATABASE) or 0, connection.pragma("page_size")
    count = connection.pragma("page_count")
    if size >= count * page:
        return
    frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    if set(range(size // page + 1, count + 1)) - set(_pages_of_wal(place, page, frames)):
        raise StoreTruncated(place.path(DATABASE), size, count * page)


def _pages_of_wal(place: Place, page: int, frames: int) -> Iterator[int]:
    """The numbers of the pages in the first `frames` frames of the WAL."""
    for index in range(frames):
        yield int.from_bytes(place.read(WAL, 4, _WAL_HEADER + index * (_FRAME_HEADER + page)) or b"", "big")


def _size_in_header(place: Place) -> int:
    """How large the database says that it is."""
    head = place.read(DATABASE, 100) or b""
    page = int.from_bytes(head[16:18], "big")
    return (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")


def _answered(place: Place) -> tuple[int, int] | None:
    """The epoch, and the commit up to which all were answered; None where no store was ever here."""
    data = place.read(ACKNOWLEDGED)
    if data is None:
        return None
    try:
        return decode_acknowledged(data)
    except Damaged:
        text = "it does not say any more up to where messages were acknowledged"
        raise StoreDamaged(place.path(ACKNOWLEDGED), text) from None


def require_answered(place: Place, state: State) -> None:
    """Nothing that was acknowledged is behind the end of the database."""
    path, answered = place.path(DATABASE), _answered(place)
    if answered is None:
        raise StoreDamaged(place.path(ACKNOWLEDGED), "it is gone, so that nobody knows whether messages are lost")
    epoch, serial = answered
    if epoch != state.meta.epoch:
        raise StoreDamaged(path, "it is of another epoch than what was acknowledged here")
    if serial > state.serial:
        text = f"it ends with commit {state.serial}, and those up to {serial} were acknowledged: messages are lost"
        raise StoreDamaged(path, text)
