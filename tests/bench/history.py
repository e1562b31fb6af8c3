"""A lake with years of days in it, written many rows at once: what the benches of reading read.

Each day is alike, so that a day costs the same whatever lies before it, and only the history
differs. Files are the lake's own kind, one a day and stream, as compaction leaves them; a commit
brings a week, and checkpoints come as they do from the shipper.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction

from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.lake import datafile
from lifelog_lake.lake.checkpoint import make as make_checkpoint
from lifelog_lake.lake.identity import create
from lifelog_lake.lake.local import LocalTarget
from lifelog_lake.lake.schema import PARTITION, arrow_schema
from lifelog_lake.lake.table import StreamTable

#: Rows of a stream on each day: 13,700 together, so a year has five million.
A_DAY = {
    "screen": 5_000,
    "window": 3_500,
    "web": 2_000,
    "audio": 1_440,
    "sensor": 1_140,
    "afk": 600,
    "lifecycle": 12,
    "journal": 8,
}
#: A day begins at eight in the morning, UTC, and is this long.
BEGINS_S, LASTS_S = 8 * 3600, 15 * 3600
LAST_DAY = date(2026, 1, 31)
DAYS_A_COMMIT = 7
CHECKPOINT_EVERY = 100
APPS = ("Firefox", "Code", "Terminal", "Thunderbird", "Files", "Writer", "Player", "Chat")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Where it lies and how many rows it has."""

    url: str
    rows: int


def make(directory: Path, days: int) -> History:
    """Write a lake of so many days below a directory that doesn't exist yet."""
    target = LocalTarget(directory)
    create(target, SystemClock())
    for stream in A_DAY:
        _fill(target, stream, days)
    return History(url=target.url, rows=days * sum(A_DAY.values()))


def _fill(target: LocalTarget, stream: str, days: int) -> None:
    StreamTable(target, stream).snapshot()
    root = target.table(stream)
    first = LAST_DAY - timedelta(days=days - 1)
    template = _day(stream)
    for number, start in enumerate(range(0, days, DAYS_A_COMMIT), 1):
        stop = min(start + DAYS_A_COMMIT, days)
        files = [_write(root, template, first + timedelta(days=n), n) for n in range(start, stop)]
        handle = DeltaTable(root)
        handle.create_write_transaction(
            files,
            mode="append",
            schema=handle.schema(),
            partition_by=[PARTITION],
            commit_properties=CommitProperties(
                app_transactions=[Transaction(f"bench/{stream}/bench", stop * A_DAY[stream])]
            ),
        )
        if number % CHECKPOINT_EVERY == 0:
            make_checkpoint(target, stream)


def _day(stream: str) -> pa.Table:
    """The rows of a day of 1970; other days shift them."""
    count = A_DAY[stream]
    step_us = LASTS_S * US_PER_S // count
    numbers = np.arange(count)
    at = BEGINS_S * US_PER_S + numbers * step_us
    text = [f"Chapter {n * 7919 % 1009} of the notes, page {n % 311}" for n in range(count)]
    blob = [hashlib.sha256(str(n % 2000).encode()).hexdigest() for n in range(count)]
    stamp = pa.timestamp("us", "UTC")
    given = {
        "id": pa.array([f"{n:012x}" for n in range(count)]),
        "device": pa.array([("laptop", "desktop")[n % 2] for n in range(count)]),
        "epoch": pa.array(["bench"] * count),
        "seq": pa.array(numbers),
        "at": pa.array(at).cast(stamp),
        "end": pa.array(at + step_us).cast(stamp),
        "tz": pa.array(["Europe/Berlin"] * count),
        "ingested_at": pa.array(at).cast(stamp),
        "app": pa.array([APPS[n * 31 % len(APPS)] for n in range(count)]),
        "title": pa.array(text),
        "url": pa.array([f"https://site{n % 97}.example/page/{n % 311}" for n in range(count)]),
        "status": pa.array([("not-afk", "not-afk", "afk")[n % 3] for n in range(count)]),
        "name": pa.array(["battery"] * count),
        "value": pa.array(numbers % 100, pa.float64()),
        "kind": pa.array(["started"] * count),
        "reason": pa.array(text),
    }
    if stream in ("screen", "audio"):
        media_type = "image/webp" if stream == "screen" else "audio/ogg"
        given |= {
            "blob": pa.array(blob),
            "blob_bytes": pa.array(numbers + 40_000),
            "media_type": pa.array([media_type] * count),
        }
    schema = arrow_schema(stream)
    fields = [field for field in schema if field.name != PARTITION]
    return pa.table(
        [given.get(f.name, pa.nulls(count, f.type)).cast(f.type) for f in fields],
        schema=pa.schema(fields),
    )


def _write(root: Path, template: pa.Table, day: date, number: int) -> AddAction:
    shift = (day - date(1970, 1, 1)).days * 86_400 * US_PER_S
    rows = template
    for name in ("at", "end", "ingested_at"):
        moved = pa.array(template[name].to_numpy().astype(np.int64) + shift)
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), moved.cast(rows[name].type))
    ids = pa.array([f"{number:08x}-{value}" for value in template["id"].to_pylist()])
    rows = rows.set_column(0, "id", ids)
    place = rows.schema.get_field_index("seq")
    seq = pa.array(np.arange(template.num_rows) + number * template.num_rows)
    rows = rows.set_column(place, "seq", seq)
    content = datafile.encode(rows)
    path = f"{PARTITION}={day}/{hashlib.sha256(content).hexdigest()}.parquet"
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_bytes(content)
    return AddAction(
        path=path,
        size=len(content),
        partition_values={PARTITION: str(day)},
        modification_time=0,
        data_change=True,
        stats=datafile.statistics(rows),
    )
