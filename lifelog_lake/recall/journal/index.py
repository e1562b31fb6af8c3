"""All revisions and attachments on disk: quick to ask, disposable.

A SQLite file below the home that follows the logs of the tables ``journal`` and ``attachment``, and
the spool. It never decides what is kept: a missing, damaged or foreign one is filled anew. What an
entry is now is worked out over all of its revisions as they come in, so lists only look it up.
Who reads a lake that isn't this home's has one of its own, for as long as it reads.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from lifelog_lake import fsio
from lifelog_lake.errors import LakeUnreachable, Transient
from lifelog_lake.recall.journal.outbox import Outbox, Waiting
from lifelog_lake.recall.journal.reach import Reach
from lifelog_lake.recall.journal.rows import (
    ATTACHMENT,
    ATTACHMENT_COLUMNS,
    JOURNAL,
    JOURNAL_COLUMNS,
    attachment_values,
    revision_values,
    waiting_row,
)

if TYPE_CHECKING:
    import polars as pl

    from lifelog_lake.lake.store import Store
    from lifelog_lake.recall.follow import Changes, Place
    from lifelog_lake.recall.tables import Tables

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Raised when the file's tables change.
FORMAT = 2
#: Another process may make it anew: a minute or two for a million entries.
WAIT_S = 300.0
#: Rows that are put in at once.
PORTION = 20_000
#: A disk with so much room is used again after it was full.
ROOM_BYTES = 64 * 1024 * 1024
_UNWRITABLE = {
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
}
#: What a million revisions need to be put in at an even pace.
CACHE_KIB = 64 * 1024
_SCHEMA = """
CREATE TABLE revision (id TEXT NOT NULL UNIQUE, entry TEXT NOT NULL, parent TEXT,
    lamport INTEGER NOT NULL, written INTEGER NOT NULL, device TEXT NOT NULL,
    deleted INTEGER NOT NULL, at INTEGER NOT NULL, tz TEXT, created INTEGER, title TEXT NOT NULL,
    description TEXT NOT NULL, tags TEXT, metadata TEXT);
CREATE INDEX revision_entry ON revision (entry);
CREATE INDEX revision_parent ON revision (parent) WHERE parent IS NOT NULL;
CREATE TABLE entry (id TEXT PRIMARY KEY, revision INTEGER NOT NULL, at INTEGER NOT NULL,
    created INTEGER NOT NULL, device TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX entry_at ON entry (at, id);
CREATE INDEX entry_created ON entry (created, id);
CREATE TABLE tag (tag TEXT, entry TEXT, PRIMARY KEY (tag, entry)) WITHOUT ROWID;
CREATE INDEX tag_entry ON tag (entry);
CREATE TABLE attachment (id TEXT PRIMARY KEY, key TEXT NOT NULL, entry TEXT NOT NULL,
    name TEXT NOT NULL, media_type TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT,
    uploaded INTEGER NOT NULL, device TEXT NOT NULL, deleted INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX attachment_key ON attachment (key);
CREATE INDEX attachment_entry ON attachment (entry);
CREATE INDEX attachment_uploaded ON attachment (uploaded);
CREATE TABLE place (name TEXT PRIMARY KEY, mark TEXT, first INTEGER, second INTEGER);
"""
_TABLES = ("revision", "entry", "tag", "attachment", "place")
_INSERT = {
    JOURNAL: f"INSERT OR IGNORE INTO revision VALUES ({','.join('?' * 14)})",
    ATTACHMENT: f"INSERT OR IGNORE INTO attachment VALUES ({','.join('?' * 10)})",
}
#: Heads that say what the entry is now. A child is later than its parent, so no ring of parents
#: (another program's) can make an entry vanish.
_RESOLVE = """
INSERT INTO entry SELECT r.entry, r.n, r.at,
    coalesce(r.created, (SELECT min(written) FROM revision WHERE entry = r.entry)), r.device
FROM (SELECT v.rowid AS n, v.*, row_number() OVER (PARTITION BY v.entry ORDER BY v.deleted,
        v.lamport DESC, v.written DESC, v.device DESC, v.id DESC) AS place
    FROM touched t JOIN revision v ON v.entry = t.entry
    WHERE NOT EXISTS (SELECT 1 FROM revision c
        WHERE c.parent = v.id AND c.entry = v.entry AND c.lamport > v.lamport)) r
WHERE r.place = 1 AND NOT r.deleted
"""


def index_path(home: Path) -> Path:
    """Where the index lies below a home's path."""
    return home / "index" / "journal.db"


class JournalIndex:
    """An index; safe in threads, and several processes may use the file.

    ``path`` is None for one that goes when it is closed. ``lake`` gives the lake's store and mark,
    or raises :class:`~lifelog_lake.errors.LakeUnreachable`; without an outbox nothing waits.
    """

    def __init__(
        self, path: Path | None, lake: Callable[[], tuple[Store, str]], outbox: Outbox | None
    ) -> None:
        self._lake = lake
        self._outbox = outbox
        self._path = path
        #: Whether a temporary copy takes the file's place: its disk is full, or can't be written.
        self._left = False
        self._lock = threading.RLock()
        self._reach = Reach(self._connected)
        self._store: Store | None = None
        self._tables: Tables | None = None
        if path is not None:
            fsio.make_dirs(path.parent, at="index")
        self._db = self._opened()

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._db.close()

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """The answer of the file as it is now."""

        def asked() -> T:
            self._db.execute("BEGIN")
            try:
                return question(self._db)
            finally:
                self._db.execute("ROLLBACK")

        return self._mended(asked)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """The file as it is now, for as long as one likes: others write meanwhile."""
        file = None if self._left else self._path
        db = sqlite3.connect(file or "", timeout=WAIT_S, isolation_level=None)
        try:
            if file is None:
                with self._lock:
                    self._db.backup(db)
            db.execute("BEGIN")
            yield db
        finally:
            db.close()

    def refresh(self) -> LakeUnreachable | None:
        """Take in what came since; why the lake can't be reached, if it can't.

        The spool goes first: what it has given up since is in the lake then. Nobody who reads waits
        while the lake is asked whether it is there.
        """
        if self._left:
            self._return()
        self._mended(self._from_outbox)
        try:
            mark = self._reach()
            self._mended(lambda: self._reach.timed(lambda: self._follow(mark)))
        except LakeUnreachable as error:
            self._mended(self._from_outbox)  # to find out may have taken a minute
            return error
        return None

    def _from_outbox(self) -> None:
        if self._outbox is not None:
            for stream in (JOURNAL, ATTACHMENT):
                self._from_spool(stream, self._outbox)

    def _follow(self, mark: str) -> str:
        if self._mark() not in (None, mark):
            self._start_over()  # another lake, or this one after a restore
            self._from_outbox()
        self._set_mark(mark)
        for stream in (JOURNAL, ATTACHMENT):
            self._from_lake(stream)
        return mark

    # -- the spool --------------------------------------------------------------------------

    def _from_spool(self, stream: str, outbox: Outbox) -> None:
        name = f"spool/{stream}"
        place = self._place(name)
        after = None if place is None else (str(place[0]), int(place[1]))
        for waiting in outbox.waiting(stream, after):
            rows = [waiting_row(fields, outbox.device) for fields in waiting.rows]
            with self._writing() as db:
                if self._place(name) == place:  # else another process has been here
                    self._put(db, stream, rows)
                    self._set_place(name, *waiting.mark, None)
                place = self._place(name)

    # -- the lake ---------------------------------------------------------------------------

    def _connected(self) -> str:
        """The lake's mark."""
        from lifelog_lake.recall.tables import Tables

        store, mark = self._lake()
        if self._tables is None or store is not self._store:
            self._store, self._tables = store, Tables(store)
        return mark

    def _from_lake(self, stream: str) -> None:
        from lifelog_lake.recall.follow import changes

        assert self._store is not None
        assert self._tables is not None
        while True:
            before = self._lake_place(stream)
            found = changes(self._store, self._tables, stream, before)
            if found is None:
                return
            anew = before is not None and (found.whole or bool(found.rewritten))
            if anew:  # rows may be gone: what waits is asked for first, then the whole table
                waits = self._outbox
                waiting = [] if waits is None else list(waits.waiting(stream, None))
                found = changes(self._store, self._tables, stream, None)
                if found is None:
                    return
                self._replace(stream, found, before, waiting)
            else:
                self._add(stream, found, before)

    def _add(self, stream: str, found: Changes, before: Place | None) -> None:
        for rows in self._portions(stream, found):
            with self._writing() as db:
                self._put(db, stream, rows)
        with self._writing():
            if self._lake_place(stream) == before:
                place = found.place
                self._set_place(f"lake/{stream}", None, place.version, place.entry)

    def _replace(
        self, stream: str, found: Changes, before: Place | None, waiting: list[Waiting]
    ) -> None:
        with self._writing() as db:
            if self._lake_place(stream) != before:
                return
            names = ("revision", "entry", "tag") if stream == JOURNAL else ("attachment",)
            for name in names:
                db.execute(f"DELETE FROM {name}")
            db.execute("DELETE FROM place WHERE name = ?", (f"spool/{stream}",))
            for rows in self._portions(stream, found):
                self._put(db, stream, rows)
            for part in waiting:
                assert self._outbox is not None
                rows = [waiting_row(fields, self._outbox.device) for fields in part.rows]
                self._put(db, stream, rows)
                self._set_place(f"spool/{stream}", *part.mark, None)
            place = found.place
            self._set_place(f"lake/{stream}", None, place.version, place.entry)

    def _portions(self, stream: str, found: Changes) -> Iterator[list[dict[str, Any]]]:
        from lifelog_lake.recall.follow import new_rows

        assert self._store is not None
        assert self._tables is not None
        columns = JOURNAL_COLUMNS if stream == JOURNAL else ATTACHMENT_COLUMNS
        ready: list[dict[str, Any]] = []  # a day has few entries, and a file is of one day
        for frame in new_rows(
            self._store, self._tables, stream, found, columns, _unreadable(stream)
        ):
            for part in _in_us(frame).iter_slices(PORTION):
                ready += part.iter_rows(named=True)
                if len(ready) >= PORTION:
                    yield ready
                    ready = []
        if ready:
            yield ready

    # -- the file ---------------------------------------------------------------------------

    def _put(self, db: sqlite3.Connection, stream: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows, and work out what their entries are now. Rows that are there change nothing."""
        usable = [row for row in rows if row.get("id") and row.get("at") is not None]
        if stream == ATTACHMENT:
            db.executemany(_INSERT[stream], map(attachment_values, usable))
            return
        values = [revision_values(row) for row in usable]
        db.executemany(_INSERT[stream], values)
        db.execute("CREATE TEMP TABLE IF NOT EXISTS touched (entry TEXT PRIMARY KEY) WITHOUT ROWID")
        db.execute("DELETE FROM touched")
        db.executemany("INSERT OR IGNORE INTO touched VALUES (?)", ((one[1],) for one in values))
        db.execute("DELETE FROM tag WHERE entry IN (SELECT entry FROM touched)")
        db.execute("DELETE FROM entry WHERE id IN (SELECT entry FROM touched)")
        db.execute(_RESOLVE)
        db.execute(
            "INSERT OR IGNORE INTO tag SELECT j.value, t.entry FROM touched t "
            "JOIN entry e ON e.id = t.entry JOIN revision r ON r.rowid = e.revision, "
            "json_each(r.tags) j WHERE r.tags IS NOT NULL"
        )

    def _place(self, name: str) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._db.execute(
            "SELECT mark, first, second FROM place WHERE name = ?", (name,)
        ).fetchone()
        return found

    def _set_place(self, name: str, mark: str | None, first: int, second: int | None) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?)", (name, mark, first, second)
        )

    def _lake_place(self, stream: str) -> Place | None:
        from lifelog_lake.recall.follow import Place

        row = self._place(f"lake/{stream}")
        return None if row is None else Place(version=row[1], entry=row[2])

    def _mark(self) -> str | None:
        row = self._place("lake")
        return None if row is None else str(row[0])

    def _set_mark(self, mark: str) -> None:
        if self._mark() is None:
            with self._writing():
                self._set_place("lake", mark, 0, None)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it by itself
                self._db.execute("ROLLBACK")
            raise

    def _mended(self, action: Callable[[], T]) -> T:
        """Do it; once more with an empty file, if this one is damaged."""
        with self._lock:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not self._leave(error):
                    raise self._unusable(error) from error
                return action()
            except sqlite3.DatabaseError as error:
                log.warning("journal_index_made_anew", reason=str(error))
                self._start_over()
                self._from_outbox()
                with contextlib.suppress(LakeUnreachable):  # then it tells what waits
                    self._follow(self._reach())
                return action()

    def _leave(self, error: sqlite3.OperationalError) -> bool:
        """Go on in a temporary copy where the file can't be written; whether that helps."""
        if self._left or self._path is None or not _is_unwritable(error):
            return False
        copy = self._connect(None)
        self._db.backup(copy)
        self._db.close()
        self._db, self._left = copy, True
        log.warning("journal_index_left", reason=str(error))
        return True

    def _return(self) -> None:
        """Back to the file, once its disk has room: it follows from where it was left."""
        assert self._path is not None
        # What still can't be opened or written stays left.
        with self._lock, contextlib.suppress(sqlite3.OperationalError, OSError):
            if self._left and shutil.disk_usage(self._path.parent).free > ROOM_BYTES:
                file = self._connect(self._path)
                self._db.close()
                self._db, self._left = file, False

    def _unusable(self, error: sqlite3.Error) -> Transient:
        return Transient(
            f"The journal's index can't be used: {error} ({self._path or 'a temporary file'}).",
            hint="Is the disk full, or may it not be written? It may be deleted any time.",
        )

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connect(self._path)
        except sqlite3.OperationalError as error:
            if self._path is None or not _is_unwritable(error):
                raise self._unusable(error) from error
            log.warning("journal_index_left", reason=str(error))
            self._left = True
            return self._connect(None)
        except sqlite3.DatabaseError:  # damaged: it is made anew of the lake
            self._remove()
            return self._connect(self._path)

    def _connect(self, path: Path | None) -> sqlite3.Connection:
        if path is not None:
            path.touch(mode=fsio.PRIVATE_FILE)  # its text is the person's own
        db = sqlite3.connect(
            path or "", timeout=WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA temp_store = MEMORY")
            db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            db.execute("BEGIN IMMEDIATE")
            (format_,) = db.execute("PRAGMA user_version").fetchone()
            if format_ != FORMAT:
                for name in _TABLES:
                    db.execute(f"DROP TABLE IF EXISTS {name}")
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _start_over(self) -> None:
        """Another process may hold the file, so its tables go, unless it can't be read at all."""
        try:
            with self._writing() as db:
                for name in _TABLES:
                    db.execute(f"DELETE FROM {name}")
        except sqlite3.DatabaseError:  # too damaged to be emptied
            self._db.close()
            self._remove()
            self._db = self._connect(self._path)

    def _remove(self) -> None:
        if self._path is not None:
            for end in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + end).unlink(missing_ok=True)


def _is_unwritable(error: sqlite3.OperationalError) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _UNWRITABLE  # what is above says more


def _in_us(frame: pl.DataFrame) -> pl.DataFrame:
    """Times as µs since 1970."""
    import polars as pl

    times = [name for name, type_ in frame.schema.items() if type_ == pl.Datetime]
    return frame.with_columns(pl.col(times).cast(pl.Datetime("us", "UTC")).dt.epoch("us"))


def _unreadable(stream: str) -> Callable[[str], None]:
    def note(path: str) -> None:  # lifelog verify names it too
        log.warning("journal_rows_unreadable", stream=stream, path=path)

    return note
