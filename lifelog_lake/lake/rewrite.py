"""Several data files of a partition into one, with the same rows.

Each file's hash is compared with its name before its rows count for anything; one that differs is
told and left alone. The rows are sorted by time, written as every file of the lake is, read back,
and compared with what they were by number and digest. Only then the log says that the one stands
for the others (``dataChange`` false), unless an entry since the snapshot removed any of them.

The new file's name never comes twice, though its rows may: a nonce in its metadata sees to it. So
a vacuum that is about to delete what a killed merge left can't hit the file of the next one.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from lifelog_lake.lake import datafile
from lifelog_lake.lake.digest import digest
from lifelog_lake.lake.schema import PARTITION
from lifelog_lake.lake.store import Store, table_key
from lifelog_lake.lake.tail import Action, Tail

ORDER = ("at", "device", "epoch", "seq")
#: Read at the same time: waiting for a server, or decoding.
THREADS = 4
#: So much is read at once, and between two looks at the lease.
BITE_FILES, BITE_BYTES = 64, 8 * 2**20
#: Protocol versions of a table whose files are nothing but its rows.
MOST_READER, MOST_WRITER = 1, 2
_OURS = re.compile(rf"{PARTITION}=\d{{4}}-\d\d-\d\d/([0-9a-f]{{64}})\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFile:
    """A data file as the log has it; ``path`` relative to the table. Only files named by their
    hash, of a known number of rows, can be merged."""

    path: str
    date: str
    size_bytes: int
    rows: int
    modified_us: int


class Unfit(Exception):
    """A file that isn't what the log or its name says; the text says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What became of a group. ``merged`` is empty if nothing was committed: too little was fit,
    others changed the table (``raced``), or the result was wrong (``failed`` says how). ``unfit``
    is path -> why."""

    merged: tuple[LiveFile, ...] = ()
    written: datafile.DataFile | None = None
    raced: bool = False
    failed: str = ""
    unfit: dict[str, str]


def is_plain(handle: DeltaTable) -> bool:
    """Whether the table's files are nothing but its rows: no features of other writers."""
    protocol = handle.protocol()
    return bool(
        protocol.min_reader_version <= MOST_READER and protocol.min_writer_version <= MOST_WRITER
    )


def live_files(handle: DeltaTable) -> list[LiveFile]:
    """The files of a version that can be merged."""
    actions = pa.table(handle.get_add_actions(flatten=True))
    days = actions[f"partition.{PARTITION}"]
    rows = actions["num_records"] if "num_records" in actions.column_names else pa.nulls(len(days))
    found = zip(
        actions["path"].to_pylist(),
        days.to_pylist(),
        actions["size_bytes"].to_pylist(),
        rows.to_pylist(),
        actions["modification_time"].to_pylist(),
        strict=True,
    )
    return [
        LiveFile(path=path, date=str(day), size_bytes=size, rows=count, modified_us=ms * 1000)
        for path, day, size, count, ms in found
        if _OURS.fullmatch(path) and path.startswith(f"{PARTITION}={day}/") and count
    ]


def row_schema(handle: DeltaTable) -> pa.Schema:
    """The columns of the table's files."""
    fields = pa.schema(handle.schema().to_arrow())
    return pa.schema([pa.field(f.name, f.type) for f in fields if f.name != PARTITION])


def merge(
    store: Store,
    tail: Tail,
    stream: str,
    schema: pa.Schema,
    group: Sequence[LiveFile],
    *,
    most_bytes: int,
    keep: Callable[[], None],
    now_us: Callable[[], int],
) -> Merged:
    """Merge files of one partition, in their order, until their rows take ``most_bytes``.

    ``keep`` is called often and ends it by raising. ``now_us`` is asked at the commit when the
    files were replaced: they stay for as long after that as is kept. Whatever ends it, the table
    has the same rows; a new file that isn't in the log is deleted, or left to the vacuum.
    """
    taken: list[LiveFile] = []
    tables: list[pa.Table] = []
    unfit: dict[str, str] = {}
    held_bytes = 0
    for file, found in _read_all(store, stream, schema, group, keep):
        if isinstance(found, Unfit):
            unfit[file.path] = str(found)
            continue
        taken.append(file)
        tables.append(found)
        held_bytes += found.nbytes
        if held_bytes >= most_bytes:
            break
    if len(taken) < 2:
        return Merged(unfit=unfit)
    before = pa.concat_tables(tables)
    del tables
    expected = digest(before)
    rows = before.take(pc.sort_indices(before, [(name, "ascending") for name in ORDER]))
    del before
    rows = rows.replace_schema_metadata({"lifelog_lake.rewrite": uuid.uuid4().hex})
    date = group[0].date
    written = datafile.write(store, stream, date, rows)
    del rows
    new = LiveFile(
        path=written.path,
        date=date,
        size_bytes=written.size_bytes,
        rows=written.rows,
        modified_us=0,
    )
    key = f"{table_key(stream)}/{written.path}"
    try:
        if digest(_read(store, stream, schema, new)) != expected:
            raise Unfit("it has other rows than the files it was made of")
    except Unfit as error:
        store.delete(key, at="rewrite")
        return Merged(unfit=unfit, failed=f"The new file was wrong: {error}")
    keep()
    sources = {file.path for file in taken}

    def actions() -> list[Action]:
        replaced_us = now_us()
        return [*(_removed(file, replaced_us) for file in taken), _added(written)]

    if not tail.commit(
        "OPTIMIZE",
        {"predicate": f'["{PARTITION} = {date}"]'},
        actions,
        at="rewrite",
        fits=lambda: not tail.closed and not sources & tail.removed,
    ):
        store.delete(key, at="rewrite")
        return Merged(unfit=unfit, raced=True)
    return Merged(merged=tuple(taken), written=written, unfit=unfit)


def _read_all(
    store: Store,
    stream: str,
    schema: pa.Schema,
    group: Sequence[LiveFile],
    keep: Callable[[], None],
) -> Iterator[tuple[LiveFile, pa.Table | Unfit]]:
    def read(file: LiveFile) -> pa.Table | Unfit:
        try:
            return _read(store, stream, schema, file)
        except Unfit as error:
            return error

    with ThreadPoolExecutor(THREADS, thread_name_prefix="rewrite") as threads:
        for bite in _bites(group):
            keep()
            yield from zip(bite, threads.map(read, bite), strict=True)


def _bites(group: Sequence[LiveFile]) -> Iterator[list[LiveFile]]:
    bite: list[LiveFile] = []
    for file in group:
        bite.append(file)
        if len(bite) >= BITE_FILES or sum(each.size_bytes for each in bite) >= BITE_BYTES:
            yield bite
            bite = []
    if bite:
        yield bite


def _read(store: Store, stream: str, schema: pa.Schema, file: LiveFile) -> pa.Table:
    """The rows of a file whose bytes are what its name says, in the table's columns."""
    try:
        content = store.read(f"{table_key(stream)}/{file.path}")
    except FileNotFoundError:
        raise Unfit("it is missing") from None
    name = _OURS.fullmatch(file.path)
    if name is None or hashlib.sha256(content).hexdigest() != name[1]:
        raise Unfit("its bytes don't match its hash")
    try:
        found = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        if unknown := set(found.column_names) - {*schema.names, PARTITION}:
            raise Unfit(f"it has columns that the table doesn't have: {', '.join(sorted(unknown))}")
        if found.num_rows != file.rows:
            raise Unfit(f"it has {found.num_rows} rows, the log says {file.rows}")
        columns = [
            found[field.name].cast(field.type)
            if field.name in found.column_names
            else pa.nulls(found.num_rows, field.type)
            for field in schema
        ]
    except pa.ArrowException as error:
        raise Unfit(f"it can't be read: {type(error).__name__}") from None
    return pa.Table.from_arrays(columns, schema=schema)


def _removed(file: LiveFile, now_us: int) -> Action:
    return {
        "remove": {
            "path": file.path,
            "deletionTimestamp": now_us // 1000,
            "dataChange": False,
            "extendedFileMetadata": True,
            "partitionValues": {PARTITION: file.date},
            "size": file.size_bytes,
        }
    }


def _added(file: datafile.DataFile) -> Action:
    return {
        "add": {
            "path": file.path,
            "partitionValues": {PARTITION: file.date},
            "size": file.size_bytes,
            "modificationTime": time.time_ns() // 1_000_000,
            "dataChange": False,
            "stats": file.stats,
        }
    }
