"""Entries and files as they stand, for who reads the lake: the timeline, its lanes, notebooks.

A table of the journal has all revisions. What is shown is an entry's newest one, at its own time,
and nothing of what was deleted; of this home's lake also what the spool still holds.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import BinaryIO

import polars as pl

from lifelog_lake.clock import to_us
from lifelog_lake.errors import LakeUnreachable, Transient
from lifelog_lake.home import Home
from lifelog_lake.lake import read_identity, require_known
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.journal import pages
from lifelog_lake.recall.journal.index import JournalIndex, index_path
from lifelog_lake.recall.journal.model import Attachment, Entry, metadata_text
from lifelog_lake.recall.journal.pages import Query, Snapshot
from lifelog_lake.recall.journal.rows import ATTACHMENT, JOURNAL
from lifelog_lake.recall.journal.spooled import SpoolOutbox

__all__ = ["ENTRIES", "EVENTS", "JOURNAL", "STREAMS", "Standing"]

#: The streams that stand for something else than their rows.
STREAMS = frozenset({JOURNAL, ATTACHMENT})
_TIME = pl.Datetime("us", "UTC")
#: Events of both, with the columns that they have of those that all streams share.
EVENTS = pl.Schema(
    {
        "id": pl.String(),
        "device": pl.String(),
        "at": _TIME,
        "tz": pl.String(),
        "title": pl.String(),
        "description": pl.String(),
        "blob": pl.String(),
        "blob_bytes": pl.Int64(),
        "media_type": pl.String(),
    }
)
_FILE = {
    "key": pl.String(),
    "name": pl.String(),
    "media_type": pl.String(),
    "size_bytes": pl.Int64(),
    "sha256": pl.String(),
}
ENTRIES = pl.Schema(
    {
        "id": pl.String(),
        "device": pl.String(),
        "at": _TIME,
        "end": _TIME,  # an entry is a moment: none has one, as with any event that hasn't
        "tz": pl.String(),
        "created_at": _TIME,
        "updated_at": _TIME,
        "title": pl.String(),
        "description": pl.String(),
        "tags": pl.List(pl.String()),
        "metadata": pl.String(),
        "files": pl.List(pl.Struct(_FILE)),
    }
)


class Standing:
    """What stands in a lake's journal; ``home`` if it is that home's lake."""

    def __init__(self, store: Store, home: Home | None) -> None:
        def lake() -> tuple[Store, str]:
            if home is not None:
                return store, require_known(home, store).mark
            if (identity := read_identity(store)) is None:
                raise LakeUnreachable(f"There is no lake at {store.url}.", hint="Mount its disk.")
            return store, identity.mark

        self._lake = lake
        self._home = home
        self._outbox = None if home is None else SpoolOutbox.of(home)
        self._index = self._opened()

    def events(self, stream: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Entries, or files, between two times (``end`` exclusive): the columns of EVENTS.

        An entry's ``id`` is its own, the same through all revisions.
        """
        query = Query(start=to_us(start), end=to_us(end), newest_first=False)

        def entries(db: sqlite3.Connection) -> list[tuple[object, ...]]:
            return [_event(entry) for entry in Snapshot(db).entries(query)]

        def files(db: sqlite3.Connection) -> list[tuple[object, ...]]:
            return [_file_event(file) for file in pages.attachments(db, to_us(start), to_us(end))]

        return _frame(self._asked().ask(entries if stream == JOURNAL else files), EVENTS)

    def entries(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Entries between two times (``end`` exclusive), oldest first: the columns of ENTRIES."""
        query = Query(start=to_us(start), end=to_us(end), newest_first=False)
        found = self._asked().ask(lambda db: list(map(_entry, Snapshot(db).entries(query))))
        return _frame(found, ENTRIES)

    def waiting(self, sha256: str) -> BinaryIO | None:
        """The content of a file that this home hasn't shipped yet; None if none waits."""
        return None if self._outbox is None else self._outbox.content(ATTACHMENT, sha256)

    def _asked(self) -> JournalIndex:
        if (away := self._index.refresh()) is not None:
            raise away
        return self._index

    def _opened(self) -> JournalIndex:
        if self._home is not None:
            # Another person's home, a full disk: reading goes on without it.
            with contextlib.suppress(Transient, OSError):
                return JournalIndex(index_path(self._home.path), self._lake, self._outbox)
        return JournalIndex(None, self._lake, self._outbox)


def _event(entry: Entry) -> tuple[object, ...]:
    now = entry.current
    text = now.description or None
    return (entry.id, now.device, now.at, now.tz, now.title or None, text, None, None, None)


def _file_event(file: Attachment) -> tuple[object, ...]:
    content = (file.sha256, file.size_bytes, file.media_type)
    return (file.id, file.device, file.uploaded_at, None, file.name, None, *content)


def _entry(entry: Entry) -> tuple[object, ...]:
    now = entry.current
    return (
        *(entry.id, now.device, now.at, None, now.tz, now.created_at, now.written_at, now.title),
        *(now.description, list(now.tags), metadata_text(now.metadata)),
        [{name: getattr(file, name) for name in _FILE} for file in entry.attachments],
    )


def _frame(rows: Sequence[tuple[object, ...]], schema: pl.Schema) -> pl.DataFrame:
    plain = {name: pl.Int64() if type_ == _TIME else type_ for name, type_ in schema.items()}
    return pl.DataFrame(rows, plain, orient="row").cast(
        {n: t for n, t in schema.items() if t == _TIME}
    )
