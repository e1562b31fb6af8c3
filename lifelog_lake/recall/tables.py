"""What the tables hold, by their logs alone: which files, of which days, with how many rows.

Opening a table costs more the longer its log is, and a timeline opens all of them. So a lake keeps
what it last saw of each log and looks at each call whether that is still the newest version: two
looks at its entries. The rows are never kept, and the names of files only for the one call, as
vacuum may take them away a week after compaction has replaced them.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lifelog_lake.errors import LakeDamaged
from lifelog_lake.lake.logcheck import first_line
from lifelog_lake.lake.store import Store, entry_key
from lifelog_lake.recall.schema import polars_schema

#: Statistics of another writer may be cut to milliseconds.
SLACK = timedelta(milliseconds=1)
#: Opening a table waits for the disk and decodes: a few at once are quicker, many are not.
THREADS = 4
TIME = pl.Datetime("us", "UTC")
#: A pulse's entries gain fields as columns are gained; older files lack them.
_NESTED = pl.ScanCastOptions(missing_struct_fields="insert", extra_struct_fields="ignore")

FILES = pl.Schema(
    {
        "path": pl.String(),
        "date": pl.Date(),
        "rows": pl.Int64(),
        "bytes": pl.Int64(),
        "first_at": TIME,
        "last_at": TIME,
        "last_end": TIME,
        "ends": pl.Boolean(),  # whether a row may have an end …
        "content": pl.Boolean(),  # … or a blob
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """One version of a table. ``files`` has the columns of :data:`FILES`, one row a data file.

    ``schema`` is the table's own (``stored``) with what the catalogue has beyond it. Statistics
    that a file lacks are null: such a file may hold anything. ``plain`` is false for a table to
    which another writer gave what takes more than reading its files, such as deletion vectors.
    """

    store: Store
    stream: str
    version: int
    schema: pl.Schema
    stored: frozenset[str]
    files: pl.DataFrame
    plain: bool

    @property
    def missing(self) -> dict[str, pl.DataType]:
        """The catalogue's columns that the table hasn't got yet."""
        return {name: type_ for name, type_ in self.schema.items() if name not in self.stored}

    def rows(self, start: datetime, end: datetime, reach: timedelta | None) -> pl.LazyFrame:
        """The rows that overlap a range, however early they began; without an end: a moment.

        Reads only the files that may have such rows. One whose log doesn't tell how far its rows
        last is looked at if its day is at most ``reach`` before the range; without a reach always.
        """
        late_enough = pl.col("last_at").is_null() | (pl.col("last_at") + SLACK >= start)
        untold = pl.col("last_end").is_null()
        if reach is not None:
            untold &= pl.col("date") >= (start - reach).date()
        lasts = pl.col("ends") & (untold | (pl.col("last_end") + SLACK > start))
        wanted = self.files.filter(
            pl.col("date") <= end.date(),
            pl.col("first_at").is_null() | (pl.col("first_at") - SLACK < end),
            ((pl.col("date") >= start.date()) & late_enough) | lasts,
        )
        return self._read(wanted["path"].to_list()).filter(
            pl.col("at") < end, (pl.col("at") >= start) | (pl.col("end") > start)
        )

    def on(self, days: Collection[date], *, named: bool = False) -> pl.LazyFrame:
        """The rows of some days (UTC), by when they began; ``named`` as :meth:`newest` does."""
        wanted = self.files.filter(pl.col("date").is_in(sorted(days)))
        rows = self._read(wanted["path"].to_list(), named=named)
        return rows.filter(pl.col("date").is_in(sorted(days)))

    def since(self, start: datetime, *, named: bool = False) -> pl.LazyFrame:
        """The rows from a time on; ``named`` as :meth:`newest` does."""
        wanted = self.files.filter(
            pl.col("date") >= start.date(),
            pl.col("last_at").is_null() | (pl.col("last_at") + SLACK >= start),
        )
        return self._read(wanted["path"].to_list(), named=named).filter(pl.col("at") >= start)

    def newest(self, files: int, since: datetime) -> pl.LazyFrame:
        """The rows of the few files that reach furthest, of those that reach beyond a time; with
        ``path``: the file that a row lies in (null where another writer's features hide it)."""
        found = self.files.filter(pl.col("last_at") >= since)
        found = found.sort("last_at", descending=True).head(files)
        return self._read(found["path"].to_list(), named=True)

    def with_content(self) -> pl.LazyFrame:
        """The rows that have a blob."""
        paths = self.files.filter("content")["path"].to_list()
        return self._read(paths).filter(pl.col("blob_bytes").is_not_null())

    def _read(self, paths: Sequence[str], *, named: bool = False) -> pl.LazyFrame:
        path = {"path": pl.String()} if named else {}
        if not paths:
            return pl.LazyFrame(schema={**self.schema, **path})
        root, options = self.store.table_url(self.stream), self.store.scan_options
        if not self.plain:
            whole = pl.scan_delta(root, storage_options=options)
            return whole.with_columns(pl.lit(None, type_).alias(n) for n, type_ in path.items())
        stored = pl.Schema({name: t for name, t in self.schema.items() if name != "date"})
        return pl.scan_parquet(
            [f"{root}/{path}" for path in paths],
            storage_options=options,
            schema=stored,
            glob=False,
            hive_partitioning=False,
            missing_columns="insert",
            extra_columns="ignore",
            cast_options=_NESTED,
            include_file_paths="path" if named else None,
        ).with_columns(date=pl.col("at").dt.date())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    handle: DeltaTable
    mark: str | None
    contents: Contents


class Tables:
    """The newest :class:`Contents` of each table of a lake; safe for several threads."""

    def __init__(self, target: Store) -> None:
        self._target = target
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, threading.Lock] = {}

    def of(self, stream: str) -> Contents:
        """What a stream's table holds now. Raises :class:`LakeDamaged` if its log can't be read."""
        with self._locks.setdefault(stream, threading.Lock()):
            store = self._target
            kept = self._kept.get(stream)
            if kept is not None and kept.mark == _mark(store, stream, kept.contents.version):
                if _mark(store, stream, kept.contents.version + 1) is None:
                    return kept.contents
                handle = _brought_up(kept.handle) or _opened(store, stream)
            else:  # new here, its entry cleaned up, or another table in its place
                handle = _opened(store, stream)
            contents = _contents(store, stream, handle)
            mark = _mark(store, stream, contents.version)
            self._kept[stream] = _Kept(handle=handle, mark=mark, contents=contents)
            return contents

    def of_all(self, streams: Sequence[str]) -> list[Contents]:
        """The same for several streams at once."""
        if len(streams) < 2:
            return [self.of(stream) for stream in streams]
        with ThreadPoolExecutor(min(THREADS, len(streams))) as threads:
            return list(threads.map(self.of, streams))


def scan(store: Store, stream: str) -> pl.LazyFrame:
    """All rows of a table, lazily, resolved when they are collected."""
    url = store.table_url(stream)
    # polars 2.1 looks for local files under their percent-encoded names: pyarrow reads those.
    odd = quote(Path(url).as_posix(), safe="/:") != Path(url).as_posix()
    return pl.scan_delta(url, use_pyarrow=odd, storage_options=store.scan_options)


def _opened(store: Store, stream: str) -> DeltaTable:
    try:
        return DeltaTable(store.table_url(stream), storage_options=store.table_options)
    except (DeltaError, OSError) as error:
        raise LakeDamaged(
            f"The table '{stream}' can't be read: {first_line(error)}.",
            hint="lifelog verify tells what is wrong with it.",
            path=store.table_url(stream),
        ) from None


def _brought_up(handle: DeltaTable) -> DeltaTable | None:
    """The handle at the newest version; None if the log was cleaned up under it."""
    try:
        handle.update_incremental()
    except (DeltaError, OSError):
        return None
    return handle


def _mark(store: Store, stream: str, version: int) -> str | None:
    """What tells a log entry from another of the same version; None if it isn't there."""
    try:
        return store.stat(entry_key(stream, version)).tag
    except FileNotFoundError:
        return None


def _contents(store: Store, stream: str, handle: DeltaTable) -> Contents:
    own = pl.Schema(handle.schema())
    return Contents(
        store=store,
        stream=stream,
        version=handle.version(),
        schema=pl.Schema({**polars_schema(stream), **own}),
        stored=frozenset(own),
        files=_files(handle),
        plain=handle.protocol().min_reader_version == 1,
    )


def _plain(paths: pl.Series) -> pl.Series:
    """Paths without the percent signs by which the log escapes other writers' names."""
    if not paths.str.contains("%", literal=True).any():
        return paths
    return pl.Series([unquote(path) for path in paths], dtype=pl.String())


def _files(handle: DeltaTable) -> pl.DataFrame:
    actions = pl.DataFrame(handle.get_add_actions(flatten=True))

    def told(name: str, type_: pl.DataType) -> pl.Expr:
        there = pl.col(name) if name in actions.columns else pl.lit(None)
        return there.cast(type_)

    rows = told("num_records", pl.Int64())

    def some(name: str) -> pl.Expr:
        return (told(f"null_count.{name}", pl.Int64()) < rows).fill_null(value=True)

    files = actions.select(
        path=_plain(actions["path"]),
        date=told("partition.date", pl.Date()),
        rows=rows,
        bytes=told("size_bytes", pl.Int64()),
        first_at=told("min.at", TIME),
        last_at=told("max.at", TIME),
        last_end=told("max.end", TIME),
        ends=some("end"),
        content=some("blob_bytes"),
    )
    return files.match_to_schema(FILES)
