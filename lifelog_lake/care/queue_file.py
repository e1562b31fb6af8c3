"""The file of a queue that follows tables: SQLite below the home, disposable.

Beside the queue's own tables it has how far each table's log was read (:class:`Place`). A missing,
damaged or foreign one is begun anew, and then filled from the tables.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import structlog

from lifelog_lake import fsio
from lifelog_lake.recall.follow import Place

WAIT_S = 60.0
_KIND = """
CREATE TABLE kind (mark TEXT);
CREATE TABLE place (stream TEXT PRIMARY KEY, version INTEGER, entry INTEGER);
"""
_TABLE = re.compile(r"CREATE TABLE (\w+)")

log = structlog.get_logger(__name__)


class QueueFile:
    """An open file. ``tables`` creates the queue's own, ``form`` is raised when they change.

    ``mark`` says what the queue is of: a file with another one counts as foreign.
    """

    def __init__(self, path: Path, tables: str, *, form: int, mark: str) -> None:
        self._path = path
        self._tables = tables + _KIND
        self._names = _TABLE.findall(self._tables)
        self._form = form
        self._mark = mark
        fsio.make_dirs(path.parent, at="index")
        try:
            self.db = self._opened()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            log.warning("queue_made_anew", path=str(path), reason=str(error))
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
            self.db = self._opened()

    def close(self) -> None:
        """Let the file go."""
        self.db.close()

    def place(self, stream: str) -> Place | None:
        """How far a table's log was read."""
        row = self.db.execute(
            "SELECT version, entry FROM place WHERE stream = ?", (stream,)
        ).fetchone()
        return None if row is None else Place(version=row[0], entry=row[1])

    def move(self, stream: str, place: Place) -> None:
        """Keep it, in the transaction of what was read."""
        self.db.execute(
            "INSERT OR REPLACE INTO place VALUES (?, ?, ?)", (stream, place.version, place.entry)
        )

    def forget(self, stream: str) -> None:
        """Have a table read from its beginning."""
        self.db.execute("DELETE FROM place WHERE stream = ?", (stream,))

    def empty(self) -> None:
        """Have all of them read from their beginning, into empty tables."""
        with self.db:
            for name in self._names:
                if name != "kind":
                    self.db.execute(f"DELETE FROM {name}")  # noqa: S608 - names of ours

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=WAIT_S)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            (form,) = db.execute("PRAGMA user_version").fetchone()
            if form == self._form and db.execute("SELECT mark FROM kind").fetchone() == (
                self._mark,
            ):
                return db
            for name in self._names:
                db.execute(f"DROP TABLE IF EXISTS {name}")
            db.executescript(self._tables)
            db.execute("INSERT INTO kind VALUES (?)", (self._mark,))
            db.execute(f"PRAGMA user_version = {self._form}")
            db.commit()
        except BaseException:
            db.close()
            raise
        return db
