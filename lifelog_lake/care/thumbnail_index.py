"""Which small picture the lake has of a content: on disk, quick to ask, disposable.

A SQLite file that follows the log of the table ``thumbnail``; the page's server and the job that
makes thumbnails share it. It never decides what is in the lake: a missing, damaged or foreign one
is filled anew from the table.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import structlog

from lifelog_lake import fsio
from lifelog_lake.care import pictures, previews
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.follow import Changes, Place, changes, new_rows
from lifelog_lake.recall.tables import Tables

log = structlog.get_logger(__name__)

STREAM = "thumbnail"
#: Raised when the file's tables change.
FORMAT = 1
#: Names in one question: SQLite takes 999 at least.
MOST_NAMES = 500
WAIT_S = 60.0
_COLUMNS = ("source_sha256", "blob", "transform", "transform_version")
#: Pictures of today's making; of an older one there is a newer or soon will be.
_CURRENT = (
    (pictures.TRANSFORM, pictures.VERSION),
    (previews.TRANSFORM, previews.VERSION),
)
_TABLES = """
CREATE TABLE made (source BLOB PRIMARY KEY, small BLOB) WITHOUT ROWID;
CREATE TABLE place (version INTEGER, entry INTEGER);
"""


def index_path(home: Path) -> Path:
    """Where the index lies below a home's path."""
    return home / "index" / "thumbnails.db"


class ThumbnailIndex:
    """The index below a home's path; safe in threads, and several processes may use the file."""

    def __init__(self, home: Path, store: Store) -> None:
        self._path = index_path(home)
        self._store = store
        self._tables = Tables(store)
        self._lock = threading.RLock()
        fsio.make_dirs(self._path.parent, at="index")
        try:
            self._db = self._opened()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._start_over()

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._db.close()

    def refresh(self) -> None:
        """Take in what was committed to the table; looks at two log entries if there is nothing.

        Raises :class:`~lifelog_lake.errors.LakeDamaged` for a table that can't be read.
        """
        with self._lock:
            try:
                self._refresh()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                log.warning("thumbnail_index_made_anew", reason=str(error))
                self._start_over()
                self._refresh()

    def get(self, sha256: str) -> str | None:
        """The hash of the small picture of a content; None if the lake has none."""
        with self._lock:
            row = self._db.execute(
                "SELECT small FROM made WHERE source = ?", (bytes.fromhex(sha256),)
            ).fetchone()
        return None if row is None or row[0] is None else row[0].hex()

    def known(self, contents: Iterable[str]) -> set[str]:
        """Those contents that the table knows, also those of which no picture could be made."""
        found: set[str] = set()
        with self._lock:
            for names in _portions([bytes.fromhex(name) for name in contents]):
                wanted = ",".join("?" * len(names))
                rows = self._db.execute(
                    f"SELECT source FROM made WHERE source IN ({wanted})",  # noqa: S608 - marks
                    names,
                )
                found.update(row[0].hex() for row in rows)
        return found

    def _refresh(self) -> None:
        while True:
            before = self._place()
            found = changes(self._store, self._tables, STREAM, before)
            if found is not None and found.rewritten:  # a small picture may be gone
                found = changes(self._store, self._tables, STREAM, None)
            if found is None:
                return
            self._take_in(found, before)

    def _take_in(self, found: Changes, before: Place | None) -> None:
        """Apply changes, unless another process has done so meanwhile."""
        rows = [
            (bytes.fromhex(source), None if small is None else bytes.fromhex(small))
            for frame in new_rows(self._store, self._tables, STREAM, found, _COLUMNS, _unreadable)
            for source, small, transform, version in frame.select(_COLUMNS).iter_rows()
            if (transform, version) in _CURRENT
        ]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if self._place() != before:
                return
            if found.whole:
                self._db.execute("DELETE FROM made")
            self._db.executemany("INSERT OR REPLACE INTO made VALUES (?, ?)", rows)
            self._db.execute("DELETE FROM place")
            place = found.place
            self._db.execute("INSERT INTO place VALUES (?, ?)", (place.version, place.entry))

    def _place(self) -> Place | None:
        row = self._db.execute("SELECT version, entry FROM place").fetchone()
        return None if row is None else Place(version=row[0], entry=row[1])

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path, timeout=WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            with db:
                db.execute("BEGIN IMMEDIATE")
                (format_,) = db.execute("PRAGMA user_version").fetchone()
                if format_ != FORMAT:
                    for name in ("made", "place"):
                        db.execute(f"DROP TABLE IF EXISTS {name}")
                    for statement in _TABLES.strip().splitlines():
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {FORMAT}")
        except BaseException:
            db.close()
            raise
        return db

    def _start_over(self) -> None:
        if hasattr(self, "_db"):
            self._db.close()
        for end in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)
        self._db = self._opened()


def _portions(names: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(names), MOST_NAMES):
        yield names[start : start + MOST_NAMES]


def _unreadable(path: str) -> None:
    log.warning("thumbnail_rows_unreadable", path=path)  # lifelog verify names it too
