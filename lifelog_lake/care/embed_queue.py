"""Which texts wait to be made vectors: on disk, quick to ask, disposable.

It follows the tables that are searched, whose texts it takes in, piece by piece, and ``embedding``,
which takes them out. It decides nothing: a missing, damaged or foreign one is filled anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import structlog

from lifelog_lake.care.queue_file import QueueFile
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.follow import changes, new_rows
from lifelog_lake.recall.meaning.pieces import VERSION, pieces, sha256
from lifelog_lake.recall.meaning.vectors import STREAM
from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.search.documents import JOURNAL, SOURCES, Document, Source, documents
from lifelog_lake.recall.search.entries import ATTACHMENT, entries, touched
from lifelog_lake.recall.tables import Tables, scan

log = structlog.get_logger(__name__)

#: Raised when the file's tables change.
FORMAT = 1
_MADE = ("text_sha256", "model_sha256")
_TABLES = """
CREATE TABLE done (piece BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE waits (piece BLOB, part TEXT, at INTEGER, source TEXT, device TEXT, tz TEXT, text TEXT,
  PRIMARY KEY (piece, part)) WITHOUT ROWID;
CREATE INDEX waits_at ON waits (at);
CREATE INDEX waits_part ON waits (part);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A piece to be made a vector, and the newest event that has it; ``at`` µs since 1970."""

    sha256: str
    text: str
    source: str
    device: str
    at: int
    tz: str | None


class EmbedQueue:
    """The queue below a home's path, for one lake and one model."""

    def __init__(self, home: Path, store: Store, model_sha256: str) -> None:
        self._store = store
        self._model = model_sha256
        self._tables = Tables(store)
        mark = f"{store.url} {model_sha256} {VERSION}"
        self._file = QueueFile(home / "index" / "embed.db", _TABLES, form=FORMAT, mark=mark)
        self._db = self._file.db

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def refresh(self) -> None:
        """Take in what was committed to the tables. Raises :class:`LakeDamaged`."""
        self._follow_made()
        for source in SOURCES.values():
            self._follow(source)
        self._follow_journal()

    def newest(self, count: int) -> list[Text]:
        """The newest that wait, at most so many, none of them twice."""
        rows = self._db.execute(
            "SELECT hex(piece), text, source, device, at, tz FROM waits "
            "ORDER BY at DESC, piece LIMIT ?",
            (count,),
        )
        found: dict[str, Text] = {}
        for name, text, source, device, at, tz in rows:
            one = Text(sha256=name.lower(), text=text, source=source, device=device, at=at, tz=tz)
            found.setdefault(one.sha256, one)
        return list(found.values())

    def among(self, names: Sequence[str]) -> set[str]:
        """Those of some pieces that still wait."""
        marks = ",".join("?" * len(names))
        rows = self._db.execute(
            f"SELECT hex(piece) FROM waits WHERE piece IN ({marks})",  # noqa: S608 - marks
            [bytes.fromhex(name) for name in names],
        )
        return {name.lower() for (name,) in rows}

    def waiting(self) -> int:
        """How many wait."""
        return int(self._db.execute("SELECT count(DISTINCT piece) FROM waits").fetchone()[0])

    # -- following --------------------------------------------------------------------------

    def _follow_made(self) -> None:
        while True:
            found = changes(self._store, self._tables, STREAM, self._file.place(STREAM))
            if found is None:
                return
            if found.rewritten or (found.whole and self._file.place(STREAM) is not None):
                self._file.empty()  # what was made may be gone
                continue
            with self._db:
                for rows in new_rows(
                    self._store, self._tables, STREAM, found, _MADE, _unreadable(STREAM)
                ):
                    self._made(rows)
                self._file.move(STREAM, found.place)

    def _made(self, rows: pl.DataFrame) -> None:
        if not set(_MADE) <= set(rows.columns):
            return
        of_model = rows.filter(
            pl.col("model_sha256") == self._model,
            pl.col("text_sha256").str.contains("^[0-9a-f]{64}$"),
        )
        names = [(bytes.fromhex(name),) for name in of_model["text_sha256"]]
        self._db.executemany("INSERT OR IGNORE INTO done VALUES (?)", names)
        self._db.executemany("DELETE FROM waits WHERE piece = ?", names)

    def _follow(self, source: Source) -> None:
        stream = source.stream
        while True:
            found = changes(self._store, self._tables, stream, self._file.place(stream))
            if found is None:
                return
            with self._db:
                if found.whole or found.rewritten:
                    self._db.execute("DELETE FROM waits WHERE part = ?", (stream,))
                for rows in new_rows(
                    self._store, self._tables, stream, found, source.columns, _unreadable(stream)
                ):
                    self._add(document for document, _ in documents(source, rows))
                if found.rewritten:  # of other days everything waits again
                    self._file.forget(stream)
                else:
                    self._file.move(stream, found.place)

    def _follow_journal(self) -> None:
        """An entry's text is worked out of the whole table whenever a row of it comes."""
        with self._db:
            only: set[str] | None = set()
            for stream in (JOURNAL, ATTACHMENT):
                place = self._file.place(stream)
                while found := changes(self._store, self._tables, stream, place):
                    place = found.place
                    if found.whole or found.rewritten:
                        only = None
                    elif only is not None:
                        for rows in new_rows(
                            self._store, self._tables, stream, found, ("id", "entry_id"),
                            _unreadable(stream),
                        ):  # fmt: skip
                            only |= touched(rows)
                    self._file.move(stream, place)
            if only is None:
                self._db.execute("DELETE FROM waits WHERE part GLOB ?", (f"{JOURNAL}/*",))
            else:
                gone = [(f"{JOURNAL}/{entry}",) for entry in only]
                self._db.executemany("DELETE FROM waits WHERE part = ?", gone)
            if only is None or only:
                self._add(entries(self._scan(JOURNAL), self._scan(ATTACHMENT), only))

    def _scan(self, stream: str) -> pl.LazyFrame:
        if stream in self._store.streams():
            return scan(self._store, stream)
        return pl.LazyFrame(schema=polars_schema(stream))

    def _add(self, found: Iterable[Document]) -> None:
        self._db.executemany(
            "INSERT INTO waits SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 "
            "WHERE NOT EXISTS (SELECT 1 FROM done WHERE piece = ?1) "
            "ON CONFLICT (piece, part) DO UPDATE SET at = excluded.at, source = excluded.source, "
            "device = excluded.device, tz = excluded.tz WHERE excluded.at > at",
            (
                (bytes.fromhex(sha256(text)), _part(one), one.at, one.id, one.device, one.tz, text)
                for one in found
                for text in pieces(one)
            ),
        )


def _part(document: Document) -> str:
    """What is taken from the queue at once: a stream, or an entry of the journal."""
    return f"{JOURNAL}/{document.id}" if document.stream == JOURNAL else document.stream


def _unreadable(stream: str) -> Callable[[str], None]:
    def note(path: str) -> None:  # lifelog verify names it too
        log.warning("embed_rows_unreadable", stream=stream, path=path)

    return note
