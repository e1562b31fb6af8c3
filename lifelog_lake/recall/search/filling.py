"""Takes what was written into the tables into the index, by their logs.

Each row is read once: compaction tells nothing new (:mod:`lifelog_lake.recall.follow`). Of days
from which rows were taken, the documents leave the index, and what is there now comes back. A table
whose log isn't the one that was read counts as new.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import orjson
import polars as pl
import structlog
import tantivy
from deltalake.exceptions import DeltaError
from tantivy import Occur, Query

from lifelog_lake import fsio
from lifelog_lake.errors import LakeDamaged, SpoolError
from lifelog_lake.lake.logcheck import first_line
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.follow import Changes, Place, changes, new_rows
from lifelog_lake.recall.search.documents import (
    JOURNAL,
    SOURCES,
    Document,
    Source,
    documents,
    key_of,
    restored,
)
from lifelog_lake.recall.search.entries import ATTACHMENT, entries, touched
from lifelog_lake.recall.search.schema import indexed
from lifelog_lake.recall.search.waiting import Outlet, Waiting
from lifelog_lake.recall.tables import Tables, scan

PLACES = "places.json"
#: Documents in memory before they are handed to the index.
CHUNK = 50_000
HEAP_BYTES = 64_000_000
EPOCH = date(1970, 1, 1)

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Filled:
    """What was done: documents added or replaced, and removed; what couldn't be read, in words."""

    added: int = 0
    removed: int = 0
    unreadable: list[str] = field(default_factory=list)


def read_places(directory: Path) -> dict[str, Place]:
    """How far each table was read into an index. Raises what a missing or damaged file raises."""
    told = orjson.loads((directory / PLACES).read_bytes())
    return {name: Place(version=place[0], entry=place[1]) for name, place in told.items()}


def write_places(directory: Path, places: dict[str, Place]) -> None:
    """Keep it; durable on return."""
    content = {name: [place.version, place.entry] for name, place in places.items()}
    fsio.write_atomic(directory / PLACES, orjson.dumps(content), at="search")


class Filler:
    """One run.

    A table's place is written once the documents that it stands for are durable. While documents of
    a table are missing that come back later, it has none: killed then, the table is read anew.
    """

    def __init__(
        self,
        store: Store,
        tables: Tables,
        directory: Path,
        outlet: Outlet | None,
        told: Callable[[int], None] | None,
        *,
        meant: bool = False,
    ) -> None:
        self._meant = meant
        self._store = store
        self._outlet = outlet
        #: Entries with what waits of them, once they are worked out.
        self._with_spool: Waiting | None = None
        self._tables = tables
        self._index = tantivy.Index.open(str(directory))
        self._directory = directory
        self._places = read_places(directory)
        self._written = dict(self._places)
        self._told = told
        self._writer: tantivy.IndexWriter | None = None
        self.filled = Filled()
        #: Documents that aren't with the index yet, and those that may be there already.
        self._waiting: dict[str, Document] = {}
        self._shared: set[str] = set()
        #: Removed since the last commit: what a look finds of them is gone.
        self._gone: set[str] = set()
        self._emptied: set[str] = set()

    def run(self) -> Filled:
        """Read on in all tables and make it durable; whoever opens the index then sees it."""
        for source in SOURCES.values():
            with self._told_of(source.stream):
                self._follow(source)
        with self._told_of(JOURNAL):
            self._follow_journal()
        if self._places != self._written or self._writer is not None:
            self._commit()
        if self._with_spool is not None:
            self._with_spool.done()
        if self._writer is not None:
            self._writer.wait_merging_threads()
        return self.filled

    @contextlib.contextmanager
    def _told_of(self, stream: str) -> Iterator[None]:
        """A table that can't be read keeps no other one from being searched."""
        try:
            yield
        except (LakeDamaged, DeltaError, pl.exceptions.PolarsError) as error:
            self.filled.unreadable.append(f"{stream}: {first_line(error)}")

    def _commit(self) -> None:
        self._hand_over()
        kept = {name: place for name, place in self._written.items() if name in self._places}
        if kept != self._written:
            write_places(self._directory, kept)
        if self._writer is not None:
            with fsio.operation("search", "commit", self._directory):
                self._writer.commit()
        write_places(self._directory, self._places)
        self._written = dict(self._places)
        self._index.reload()
        self._gone.clear()
        self._emptied.clear()

    # -- events -----------------------------------------------------------------------------

    def _follow(self, source: Source) -> None:
        stream = source.stream
        while True:
            found = changes(self._store, self._tables, stream, self._places.get(stream))
            if found is None:
                return
            if found.whole:
                self._empty(stream)
                self._take(source, found)
            elif found.rewritten:
                removed = self._remove_days(stream, found.rewritten)
                self._take(source, found)
                self._take_again(source, found, removed)
            else:
                self._take(source, found)
            self._places[stream] = found.place

    def _take(self, source: Source, found: Changes) -> None:
        """Take in the rows of changes. In an empty index only slices may meet what is there."""
        orphans: set[str] = set()
        for rows in new_rows(
            self._store, self._tables, source.stream, found, source.columns, self._unreadable
        ):
            for document, shared in documents(source, rows):
                key = document.key
                if shared or not found.whole or key in orphans:
                    self._shared.add(key)
                    orphans.add(key)
                self._wait(document)

    def _remove_days(self, stream: str, days: frozenset[date]) -> dict[str, tuple[int, ...]]:
        """Remove the documents that have rows on some days; which days each of them was of."""
        if self._waiting:
            self._commit()  # what is handed over is looked up only then
        self._places.pop(stream, None)
        removed: dict[str, tuple[int, ...]] = {}
        for day in sorted(days):
            number = (day - EPOCH).days
            query = Query.boolean_query(
                [
                    (Occur.Must, self._term("stream", stream)),
                    (Occur.Must, self._term("days", number)),
                ]
            )
            removed |= {found.key: found.days for found in self._found(query)}
        for key in removed:
            self._remove(key)
        self.filled.removed += len(removed)
        return removed

    def _take_again(
        self, source: Source, found: Changes, removed: dict[str, tuple[int, ...]]
    ) -> None:
        """Take in what removed documents have on other days: an event may last over midnight."""
        numbers = {number for of in removed.values() for number in of}
        others = {EPOCH + timedelta(days=number) for number in numbers} - found.rewritten
        if not others:
            return
        found = replace(found, files=(), rewritten=frozenset(others))
        for rows in new_rows(
            self._store, self._tables, source.stream, found, source.columns, self._unreadable
        ):
            for document, _ in documents(source, rows):
                if document.key in removed:
                    self._shared.add(document.key)
                    self._wait(document)

    # -- journal ----------------------------------------------------------------------------

    def _follow_journal(self) -> None:
        """An entry is worked out of the whole table whenever a row of it comes, or waits."""
        waiting = self._spooled()  # before the tables: what is shipped meanwhile is in both
        only: set[str] | None = set(waiting.touched)
        places: dict[str, Place] = {}
        for stream in (JOURNAL, ATTACHMENT):
            place = self._places.get(stream)
            while (found := changes(self._store, self._tables, stream, place)) is not None:
                place = places[stream] = found.place
                if found.whole or found.rewritten:
                    only = None
                elif only is not None:
                    only |= self._touched(stream, found)
        if not places and not only:
            return
        waiting.begin()
        for stream in places:
            self._places.pop(stream, None)
        if only is None:
            self._empty(JOURNAL)
        for entry in only or ():
            self._remove(key_of(JOURNAL, "", entry))
        there = 0
        rows, files = (self._scan(stream, waiting) for stream in (JOURNAL, ATTACHMENT))
        for document in entries(rows, files, only):
            self._wait(document)
            there += 1
        self.filled.removed += len(only or ()) and len(only or ()) - there
        self._places |= places
        self._with_spool = waiting

    def _spooled(self) -> Waiting:
        try:
            return Waiting(self._directory, self._outlet)
        except (SpoolError, OSError) as error:  # another person's home: the lake is found anyway
            self.filled.unreadable.append(f"{JOURNAL}, what isn't shipped yet: {error}")
            return Waiting(self._directory, None)

    def _touched(self, stream: str, found: Changes) -> set[str]:
        columns = ("id", "entry_id")
        rows = new_rows(self._store, self._tables, stream, found, columns, self._unreadable)
        return set().union(*(touched(some) for some in rows))

    def _scan(self, stream: str, waiting: Waiting) -> pl.LazyFrame:
        rows = waiting.rows(stream)
        if stream not in self._store.streams():
            return rows
        return pl.concat([scan(self._store, stream), rows], how="diagonal_relaxed")

    # -- the index --------------------------------------------------------------------------

    def _wait(self, document: Document) -> None:
        key = document.key
        there = self._waiting.get(key)
        self._waiting[key] = document if there is None else there.with_row(document)
        if len(self._waiting) >= CHUNK:
            self._commit()
            if self._told is not None:
                self._told(self.filled.added)

    def _hand_over(self) -> None:
        for key, document in self._waiting.items():
            whole = document
            if key in self._shared and document.stream not in self._emptied:
                there = None if key in self._gone else self._there(key)
                if there is not None:
                    whole = there.with_row(document)
                    self._into().delete_documents_by_term("key", key)
            self._into().add_document(indexed(whole, meant=self._meant))
        self.filled.added += len(self._waiting)
        self._waiting.clear()
        self._shared.clear()

    def _there(self, key: str) -> Document | None:
        return next(iter(self._found(self._term("key", key), 1)), None)

    def _found(self, query: Query, limit: int | None = None) -> list[Document]:
        searcher = self._index.searcher()
        hits = searcher.search(query, limit or max(searcher.num_docs, 1), count=False).hits
        return [restored(searcher.doc(address)["document"][0]) for _, address in hits]

    def _remove(self, key: str) -> None:
        self._waiting.pop(key, None)
        self._into().delete_documents_by_term("key", key)
        self._gone.add(key)

    def _empty(self, stream: str) -> None:
        for key in [key for key, one in self._waiting.items() if one.stream == stream]:
            del self._waiting[key]
        self._places.pop(stream, None)
        if self._index.searcher().num_docs:
            self._into().delete_documents_by_term("stream", stream)
        self._emptied.add(stream)

    def _into(self) -> tantivy.IndexWriter:
        if self._writer is None:
            self._writer = self._index.writer(HEAP_BYTES, 1)
        return self._writer

    def _term(self, name: str, value: str | int) -> Query:
        return Query.term_query(self._index.schema, name, value, index_option="basic")

    def _unreadable(self, path: str) -> None:
        log.warning("search_rows_unreadable", path=path)  # lifelog verify names it too
        self.filled.unreadable.append(f"The data file {path} can't be read.")
