"""Parquet files of the lake, written by ourselves: durable, checksummed, named by their content.

Bit flips in Parquet go unnoticed by its readers (98 of 150 came back as wrong rows), so a file's
name is the sha256 of its bytes, and each page has a checksum.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lifelog_lake.lake.schema import PARTITION, STATISTICS, day_text, stats_time
from lifelog_lake.lake.store import Store, table_key

#: Columns whose values hardly repeat: a dictionary of them is built only to be thrown away.
UNIQUE = frozenset({"id", "seq", "at", "end"})
_HASHED = re.compile(r"([0-9a-f]{64})\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file to be added to a table: path relative to it, size, statistics as Delta's JSON."""

    path: str
    date: str
    size_bytes: int
    rows: int
    stats: str


def split_by_day(table: pa.Table) -> list[tuple[str, pa.Table]]:
    """The rows of each partition, without the partition column."""
    days = table[PARTITION].cast(pa.int32())
    parts = []
    for value in sorted(pc.unique(days).to_pylist()):
        part = table.filter(pc.equal(days, value)) if len(pc.unique(days)) > 1 else table
        parts.append((day_text(value), part.drop_columns([PARTITION])))
    return parts


def encode(part: pa.Table) -> bytes:
    """One partition's rows as Parquet."""
    buffer = io.BytesIO()
    pq.write_table(
        part,
        buffer,
        compression="zstd",
        write_page_checksum=True,
        write_statistics=list(STATISTICS),
        use_dictionary=[name for name in part.column_names if name not in UNIQUE],
    )
    return buffer.getvalue()


def write(store: Store, stream: str, date: str, part: pa.Table) -> DataFile:
    """Write one partition's rows into a stream's table; content and names durable on return."""
    content = encode(part)
    name = f"{PARTITION}={date}/{hashlib.sha256(content).hexdigest()}.parquet"
    store.write(f"{table_key(stream)}/{name}", content, at="data")
    return DataFile(
        path=name, date=date, size_bytes=len(content), rows=part.num_rows, stats=statistics(part)
    )


def is_whole(store: Store, stream: str, path: str) -> bool:
    """Whether a data file is there with the bytes that its name says; one that another program
    named: whether it can be read."""
    try:
        content = store.read(f"{table_key(stream)}/{path}")
        if named := _HASHED.fullmatch(path.rpartition("/")[2]):
            return hashlib.sha256(content).hexdigest() == named[1]
        pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()
    except (OSError, pa.ArrowException):
        return False
    return True


def statistics(part: pa.Table) -> str:
    """Row count, and range and nulls of :data:`STATISTICS`, as the Delta protocol's JSON.

    A column without a value has no range; its count of nulls tells it.
    """
    ranges = {name: pc.min_max(part[name].cast(pa.int64())).as_py() for name in STATISTICS}

    def told(side: str) -> dict[str, int | str]:
        found = {name: span[side] for name, span in ranges.items() if span[side] is not None}
        return {n: stats_time(v) if n in ("at", "end") else v for n, v in found.items()}

    return orjson.dumps(
        {
            "numRecords": part.num_rows,
            "minValues": told("min"),
            "maxValues": told("max"),
            "nullCount": {name: part[name].null_count for name in STATISTICS},
        }
    ).decode()
