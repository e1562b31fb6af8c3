"""Which frames wait to be read: on disk, quick to ask, disposable.

A SQLite file that follows two tables: ``screen`` puts contents in, ``ocr`` takes them out. It
decides nothing: a missing, damaged or foreign one is filled anew from the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import structlog

from lifelog_lake.care.queue_file import QueueFile
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.follow import changes, new_rows
from lifelog_lake.recall.tables import Tables

log = structlog.get_logger(__name__)

SOURCE, STREAM = "screen", "ocr"
#: Raised when the file's tables change.
FORMAT = 2
_FRAME = ("id", "cont", "device", "at", "tz", "blob", "monitor", "black")
_READ = ("source_sha256", "transform", "transform_version", "languages")
_TABLES = """
CREATE TABLE done (blob BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE waits (blob BLOB PRIMARY KEY, at INTEGER, frame TEXT, device TEXT, monitor INTEGER,
  tz TEXT);
CREATE INDEX waits_at ON waits (at);
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
        self._store = store
        self._engine = engine
        self._tables = Tables(store)
        mark = f"{store.url} {engine}"
        self._file = QueueFile(home / "index" / "ocr.db", _TABLES, form=FORMAT, mark=mark)
        self._db = self._file.db

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

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
            found = changes(self._store, self._tables, STREAM, self._file.place(STREAM))
            if found is None:
                return
            if found.rewritten or (found.whole and self._file.place(STREAM) is not None):
                self._file.empty()  # what was read may be gone
                continue
            with self._db:
                for rows in new_rows(
                    self._store, self._tables, STREAM, found, _READ, _unreadable(STREAM)
                ):
                    self._done(rows)
                self._file.move(STREAM, found.place)

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
            found = changes(self._store, self._tables, SOURCE, self._file.place(SOURCE))
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
                    self._file.forget(SOURCE)
                else:
                    self._file.move(SOURCE, found.place)

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


def _unreadable(stream: str) -> Callable[[str], None]:
    def note(path: str) -> None:  # lifelog verify names it too
        log.warning("ocr_rows_unreadable", stream=stream, path=path)

    return note
