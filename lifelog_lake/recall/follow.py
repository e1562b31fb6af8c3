"""What was written into a table since its log was last read, entry by entry.

Whoever derives something from a table remembers a :class:`Place`: a version, and a print of that
version's log entry. If the log has another entry there by now, or none (a copy was put back, a
restore, a table made anew, a clean-up beyond it), the whole table counts as new. Otherwise only
the entries after it are read, and of those only what changed data: compaction tells nothing new.

A derived table keeps its places as two application transactions in the commit of its rows, so that
rows and place can't part.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar
from urllib.parse import unquote

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lifelog_lake.lake.entries import read_entry
from lifelog_lake.lake.schema import PARTITION
from lifelog_lake.lake.store import Store, entry_key, log_key, table_key
from lifelog_lake.recall.tables import Tables

T = TypeVar("T")

#: Files that are read while one is worked on.
AHEAD = 8
#: Entries that are read before what they tell is worked on: memory is bounded by it.
MOST_ENTRIES = 500
#: A file whose log doesn't say how far its rows last is taken to reach into the next day.
UNTOLD = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a log was read: a version, and 52 bits of the sha256 of its entry."""

    version: int
    entry: int

    def marks(self, name: str) -> dict[str, int]:
        """The place as application transactions under a name."""
        return {name: self.version, f"{name}:entry": self.entry}


#: What was read of a table that isn't there.
NOWHERE = Place(version=-1, entry=0)


def place_of(watermark: Callable[[str], int], name: str) -> Place | None:
    """The place that a table remembers under a name; ``watermark`` gives -1 for none."""
    version, entry = watermark(name), watermark(f"{name}:entry")
    return None if entry < 0 else Place(version=version, entry=entry)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A data file that brought rows: its path in the table, their day, the day they last into."""

    path: str
    day: date
    last_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What was written up to ``place``. ``rewritten`` are days from which rows were taken.

    ``whole``: these are all files of the table, as what was read before counts no longer.
    """

    place: Place
    files: tuple[NewFile, ...]
    rewritten: frozenset[date]
    whole: bool

    @property
    def days(self) -> set[date]:
        """Every day on which something changed."""
        return {file.day for file in self.files} | self.rewritten


def changes(store: Store, tables: Tables, stream: str, after: Place | None) -> Changes | None:
    """What was written into a table after a place, at most some hundred entries; None for nothing.

    Ask again from the place that it gives. Raises :class:`~lifelog_lake.errors.LakeDamaged` for a
    log that can't be read.
    """
    if after is None or after.entry != _print(_entry(store, stream, after.version)):
        return _whole(store, tables, stream, after)
    files: list[NewFile] = []
    rewritten: set[date] = set()
    place = after
    while place.version < after.version + MOST_ENTRIES:
        content = _entry(store, stream, place.version + 1)
        if content is None:
            break
        place = Place(version=place.version + 1, entry=_print(content))
        path = store.place(entry_key(stream, place.version))
        for action in read_entry(content, path):
            if (added := action.get("add")) and added["dataChange"]:
                files.append(_new_file(added))
            if (removed := action.get("remove")) and removed["dataChange"]:
                rewritten.add(_day(removed))
    if place == after:
        return None
    return Changes(place=place, files=tuple(files), rewritten=frozenset(rewritten), whole=False)


def new_rows(
    store: Store,
    tables: Tables,
    stream: str,
    found: Changes,
    columns: Sequence[str],
    unreadable: Callable[[str], None],
) -> Iterator[pl.DataFrame]:
    """Some columns of the rows that changes brought, file by file, the newest day first.

    Of days that lost rows, or whose files were compacted and removed since, all that is there now.
    ``unreadable`` is told each file that is missing or damaged.
    """
    anew = set(found.rewritten)

    def read(path: str) -> pl.DataFrame:
        return _read(store, stream, path, columns)

    files = sorted(found.files, key=lambda one: one.day, reverse=True)
    wanted = [file for file in files if file.day not in anew]
    for file, reading in _ahead(read, wanted, lambda file: file.path):
        try:
            if file.day not in anew:
                yield reading.result()
        except FileNotFoundError:
            anew.add(file.day)
        except (OSError, pa.ArrowException):
            unreadable(file.path)
    if not anew:
        return
    there = tables.of(stream).files.filter(pl.col("date").is_in(sorted(anew)))
    for path, reading in _ahead(read, there["path"].to_list(), str):
        try:
            yield reading.result()
        except (OSError, pa.ArrowException):
            unreadable(path)


def _ahead(
    read: Callable[[str], pl.DataFrame], items: Sequence[T], path: Callable[[T], str]
) -> Iterator[tuple[T, Future[pl.DataFrame]]]:
    """Read files a few ahead: on S3 each one waits for its answer."""
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="follow") as threads:
        under_way: deque[tuple[T, Future[pl.DataFrame]]] = deque()
        try:
            for item in items:
                under_way.append((item, threads.submit(read, path(item))))
                if len(under_way) > AHEAD:
                    yield under_way.popleft()
            while under_way:
                yield under_way.popleft()
        finally:
            for _, reading in under_way:
                reading.cancel()


def _whole(store: Store, tables: Tables, stream: str, after: Place | None) -> Changes | None:
    if next(iter(store.keys(log_key(stream))), None) is None:
        if after == NOWHERE:
            return None
        return Changes(place=NOWHERE, files=(), rewritten=frozenset(), whole=True)
    contents = tables.of(stream)
    entry = store.read(entry_key(stream, contents.version))
    known = contents.files.filter(pl.col("date").is_not_null())
    ends = pl.when("ends").then(pl.col("last_end").dt.date()).otherwise("date")
    untold = pl.col("date") + UNTOLD
    days = known.select("path", "date", last=pl.max_horizontal("date", ends.fill_null(untold)))
    return Changes(
        place=Place(version=contents.version, entry=_print(entry)),
        files=tuple(NewFile(path=path, day=day, last_day=last) for path, day, last in days.rows()),
        rewritten=frozenset(),
        whole=True,
    )


def _entry(store: Store, stream: str, version: int) -> bytes | None:
    try:
        return store.read(entry_key(stream, version)) if version >= 0 else None
    except FileNotFoundError:
        return None


def _print(content: bytes | None) -> int:
    """52 bits, so that any reader of JSON holds them; -1 without an entry."""
    return -1 if content is None else int(hashlib.sha256(content).hexdigest()[:13], 16)


def _day(action: dict[str, object]) -> date:
    """The partition of a file that the log names; other writers may leave it to the path."""
    values = action.get("partitionValues")
    if isinstance(values, dict) and PARTITION in values:
        return date.fromisoformat(values[PARTITION])
    return date.fromisoformat(unquote(str(action["path"])).partition(f"{PARTITION}=")[2][:10])


def _new_file(added: dict[str, object]) -> NewFile:
    day = _day(added)
    last = day + UNTOLD
    if isinstance(stats := added.get("stats"), str):
        told = orjson.loads(stats)
        if end := told.get("maxValues", {}).get("end"):
            last = datetime.fromisoformat(end).date()
        elif told.get("nullCount", {}).get("end") == told.get("numRecords"):
            last = day
    return NewFile(path=unquote(str(added["path"])), day=day, last_day=max(day, last))


def _read(store: Store, stream: str, path: str, columns: Sequence[str]) -> pl.DataFrame:
    with store.open(f"{table_key(stream)}/{path}") as file:
        content = pq.ParquetFile(file, page_checksum_verification=True).read(list(columns))
    frame = pl.from_arrow(content)
    assert isinstance(frame, pl.DataFrame)
    return frame
