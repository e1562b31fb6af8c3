"""Which frames wait to be read: on disk, quick to ask, disposable.

A SQLite file that follows two tables: ``screen`` puts contents in, ``ocr`` takes them out. It
decides nothing: a missing, damaged or foreign one is filled anew from the tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import structlog

from lifelog_lake import fsio
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.follow import Place, changes, new_rows
from lifelog_lake.recall.tables import Tables

log = structlog.get_logger(__name__)

SOURCE, STREAM = "screen", "ocr"
#: Raised when the file's tables change.
FORMAT = 1
WAIT_S = 60.0
_FRAME = ("id", "cont", "device", "at", "tz", "blob", "monitor", "black")
_READ = ("source_sha256", "transform", "transform_version", "languages")
_TABLES = """
CREATE TABLE kind (name TEXT, mark TEXT);
CREATE TABLE done (blob BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE waits (blob BLOB PRIMARY KEY, at INTEGER, frame TEXT, device TEXT, monitor INTEGER,
  tz TEXT);
CREATE INDEX waits_at ON waits (at);
CREATE TABLE place (stream TEXT PRIMARY KEY, version INTEGER, entry INTEGER);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A content to be read, and the frame that stands for all that show it."""

    blob: str
    frame: str
    device: str
    monitor: int | None
    at: int
    tz: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Whose readings count: of ``transform``, in these languages, at least this version."""

    transform: str
    languages: str
    least_version: int


class OcrQueue:
    """The queue below a home's path, for one lake and one engine."""

    def __init__(self, home: Path, store: Store, engine: Engine) -> None:
        self._path = home / "index" / "ocr.db"
        self._store = store
        self._engine = engine
        self._tables = Tables(store)
        fsio.make_dirs(self._path.parent, at="index")
        try:
            self._db = self._opened()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            log.warning("ocr_queue_made_anew", reason=str(error))
            self._start_over()

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def refresh(self) -> None:
        """Take in what was committed to both tables. Raises :class:`LakeDamaged`."""
        self._follow_read()
        self._follow_frames()

    def newest(self, count: int) -> list[Frame]:
        """The newest that wait, at most so many."""
        rows = self._db.execute(
            "SELECT hex(blob), frame, device, monitor, at, tz FROM waits "
            "ORDER BY at DESC, blob LIMIT ?",
            (count,),
        )
        return [
            Frame(blob=blob.lower(), frame=frame, device=device, monitor=monitor, at=at, tz=tz)
            for blob, frame, device, monitor, at, tz in rows
        ]

    def among(self, blobs: Sequence[str]) -> set[str]:
        """Those of some contents that still wait."""
        names = [bytes.fromhex(blob) for blob in blobs]
        marks = ",".join("?" * len(names))
        rows = self._db.execute(
            f"SELECT hex(blob) FROM waits WHERE blob IN ({marks})",  # noqa: S608 - marks
            names,
        )
        return {blob.lower() for (blob,) in rows}

    def waiting(self) -> int:
        """How many wait."""
        return int(self._db.execute("SELECT count(*) FROM waits").fetchone()[0])

    # -- following --------------------------------------------------------------------------

    def _follow_read(self) -> None:
        while True:
            found = changes(self._store, self._tables, STREAM, self._place(STREAM))
            if found is None:
                return
            if found.rewritten or (found.whole and self._place(STREAM) is not None):
                self._empty()  # what was read may be gone
                continue
            with self._db:
                for rows in new_rows(
                    self._store, self._tables, STREAM, found, _READ, _unreadable(STREAM)
                ):
                    self._done(rows)
                self._move(STREAM, found.place)

    def _done(self, rows: pl.DataFrame) -> None:
        if not set(_READ) <= set(rows.columns):
            return
        counts = rows.filter(
            pl.col("source_sha256").str.contains("^[0-9a-f]{64}$"),
            pl.col("transform") == self._engine.transform,
            pl.col("languages") == self._engine.languages,
            pl.col("transform_version") >= self._engine.least_version,
        )
        blobs = [(bytes.fromhex(blob),) for blob in counts["source_sha256"]]
        self._db.executemany("INSERT OR IGNORE INTO done VALUES (?)", blobs)
        self._db.executemany("DELETE FROM waits WHERE blob = ?", blobs)

    def _follow_frames(self) -> None:
        while True:
            found = changes(self._store, self._tables, SOURCE, self._place(SOURCE))
            if found is None:
                return
            with self._db:
                if found.whole or found.rewritten:
                    self._db.execute("DELETE FROM waits")
                for rows in new_rows(
                    self._store, self._tables, SOURCE, found, _FRAME, _unreadable(SOURCE)
                ):
                    self._add(rows)
                if found.rewritten:  # of other days everything waits again
                    self._db.execute("DELETE FROM place WHERE stream = ?", (SOURCE,))
                else:
                    self._move(SOURCE, found.place)

    def _add(self, rows: pl.DataFrame) -> None:
        missing = [name for name in _FRAME if name not in rows.columns]
        frames = (
            rows.with_columns(pl.lit(None).alias(name) for name in missing)
            .filter(
                pl.col("blob").str.contains("^[0-9a-f]{64}$"),
                pl.col("device").is_not_null(),
                pl.col("at").is_not_null(),
                pl.col("black").fill_null(value=False).not_(),
            )
            .sort("at", "id")
            .unique("blob", keep="first", maintain_order=True)
            .with_columns(us=pl.col("at").dt.epoch("us"))
        )
        self._db.executemany(
            "INSERT INTO waits SELECT ?1, ?2, ?3, ?4, ?5, ?6 "
            "WHERE NOT EXISTS (SELECT 1 FROM done WHERE blob = ?1) "
            "ON CONFLICT (blob) DO UPDATE SET at = excluded.at, frame = excluded.frame, "
            "device = excluded.device, monitor = excluded.monitor, tz = excluded.tz "
            "WHERE excluded.at < at",
            [
                (
                    bytes.fromhex(row["blob"]),
                    row["us"],
                    row["cont"] or row["id"],
                    row["device"],
                    row["monitor"],
                    row["tz"],
                )
                for row in frames.iter_rows(named=True)
            ],
        )

    # -- the file ---------------------------------------------------------------------------

    def _place(self, stream: str) -> Place | None:
        row = self._db.execute(
            "SELECT version, entry FROM place WHERE stream = ?", (stream,)
        ).fetchone()
        return None if row is None else Place(version=row[0], entry=row[1])

    def _move(self, stream: str, place: Place) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO place VALUES (?, ?, ?)", (stream, place.version, place.entry)
        )

    def _empty(self) -> None:
        with self._db:
            for table in ("done", "waits", "place"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=WAIT_S)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            (format_,) = db.execute("PRAGMA user_version").fetchone()
            mark = f"{self._store.url} {self._engine}"
            if format_ == FORMAT and db.execute("SELECT mark FROM kind").fetchone() == (mark,):
                return db
            for name in ("kind", "done", "waits", "place"):
                db.execute(f"DROP TABLE IF EXISTS {name}")
            db.executescript(_TABLES)
            db.execute("INSERT INTO kind VALUES ('engine', ?)", (mark,))
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.commit()
        except BaseException:
            db.close()
            raise
        return db

    def _start_over(self) -> None:
        for end in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)
        self._db = self._opened()


def _unreadable(stream: str) -> Callable[[str], None]:
    def note(path: str) -> None:  # lifelog verify names it too
        log.warning("ocr_rows_unreadable", stream=stream, path=path)

    return note
