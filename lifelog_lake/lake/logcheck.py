"""Whether a table's log can be read, and says of each data file what the file itself says.

Delta has no checksum of its log. A flipped bit there can hide rows without an error: statistics
that lie let readers pass over a file, a renamed column reads as null.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from lifelog_lake.lake.schema import PARTITION, STATISTICS
from lifelog_lake.lake.store import Store, log_key

#: What Delta's engine, Arrow and the parsers raise at a damaged table.
UNREADABLE = (DeltaError, OSError, pa.ArrowException, ValueError, KeyError, TypeError)
#: Other writers may cut times in statistics to milliseconds.
SLACK = timedelta(milliseconds=1)


def is_panic(error: BaseException) -> bool:
    """Whether Delta's engine broke down, as at a damaged checkpoint: that is no Exception."""
    return type(error).__name__ == "PanicException"


def first_line(error: BaseException) -> str:
    """What an error says, in short."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def read_transactions(store: Store, stream: str) -> tuple[set[str], list[str]]:
    """Every application id that a log knows, also those whose rows are all gone; damaged files."""
    found: set[str] = set()
    damaged = []
    for key in store.keys(log_key(stream)):
        name = key.rpartition("/")[2]
        try:
            if name.endswith(".json"):
                for line in store.read(key).splitlines():
                    if "txn" in (action := orjson.loads(line)):
                        found.add(str(action["txn"]["appId"]))
            elif ".checkpoint" in name and name.endswith(".parquet"):
                content = io.BytesIO(store.read(key))
                transactions = pq.read_table(content, columns=["txn"])["txn"].drop_null()
                found.update(str(row["appId"]) for row in transactions.to_pylist())
        except FileNotFoundError:
            continue  # cleaned up behind a checkpoint meanwhile
        except UNREADABLE:
            damaged.append(name)
    return found, damaged


def denials(
    action: Mapping[str, Any], file: BinaryIO, columns: set[str], *, ours: bool
) -> Iterator[str]:
    """What the log says of a file and the file denies; ``action`` is flat, as delta-rs gives it.

    Of a file that we wrote (``ours``) the statistics must be exact, of another's they must hold.
    """
    metadata = pq.read_metadata(file)
    rows = action.get("num_records")
    if rows != metadata.num_rows and (ours or rows is not None):
        yield f"{metadata.num_rows} rows, not {rows}"
    if unknown := set(metadata.schema.to_arrow_schema().names) - columns:
        yield f"columns that the table doesn't have: {', '.join(sorted(unknown))}"
    for name in STATISTICS:
        span = _span(metadata, name)
        # A table made before these two were counted doesn't say anything of them.
        if span is None or (name in ("end", "blob_bytes") and f"max.{name}" not in action):
            continue
        said = action.get(f"min.{name}"), action.get(f"max.{name}")
        if said != span if ours else not _holds(said, span):
            yield f"'{name}' from {span[0]} to {span[1]}, not from {said[0]} to {said[1]}"
        if name == "at" and {value.date() for value in span} != {
            action.get(f"partition.{PARTITION}")
        }:
            yield f"rows of {span[0].date()}, not of {action.get(f'partition.{PARTITION}')}"


def _span(metadata: pq.FileMetaData, name: str) -> tuple[Any, Any] | None:
    """The least and the greatest value of a column; None if the file doesn't say."""
    lows, highs = [], []
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for index in range(chunks.num_columns):
            chunk = chunks.column(index)
            if chunk.path_in_schema != name:
                continue
            if chunk.statistics is None or not chunk.statistics.has_min_max:
                return None
            lows.append(chunk.statistics.min)
            highs.append(chunk.statistics.max)
    return (min(lows), max(highs)) if lows else None


def _holds(said: tuple[Any, Any], span: tuple[Any, Any]) -> bool:
    low, high = said
    slack: Any = SLACK if isinstance(span[1], datetime) else 0
    return (low is None or low <= span[0]) and (high is None or span[1] - slack <= high)
