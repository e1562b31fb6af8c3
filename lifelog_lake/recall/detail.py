"""Events with what a page shows of them: name, detail, address, how much speech.

The columns are the same for every stream, so that one list can hold events of all of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from lifelog_lake.recall.journal.standing import STREAMS as WRITTEN
from lifelog_lake.recall.usage import site

if TYPE_CHECKING:
    from lifelog_lake.recall.lake import Lake

#: Streams that hold captured things, in the order of a page's lanes.
CAPTURED = (
    "afk",
    "window",
    "web",
    "screen",
    "audio",
    "video",
    "journal",
    "attachment",
    "sensor",
)
SCHEMA = pl.Schema(
    {
        "stream": pl.String(),
        "device": pl.String(),
        "id": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "end": pl.Datetime("us", "UTC"),
        "name": pl.String(),
        "detail": pl.String(),
        "url": pl.String(),
        "speech": pl.Float64(),
        "level_dbfs": pl.Float64(),
        "blob": pl.String(),
        "blob_bytes": pl.Int64(),
        "media_type": pl.String(),
    }
)
_OWN = ("name", "detail", "url", "speech", "level_dbfs")
_ENVELOPE = ("blob", "blob_bytes", "media_type")

_READING = pl.concat_str(
    pl.col("value").round(3).cast(pl.String), pl.col("unit"), separator=" ", ignore_nulls=True
)
_SHOWN: dict[str, dict[str, pl.Expr]] = {
    "afk": {
        "name": pl.col("status").replace({"not-afk": "Active", "afk": "Away"}),
    },
    "window": {"name": pl.col("app"), "detail": pl.col("title")},
    "web": {"name": site(pl.col("url")), "detail": pl.col("title"), "url": pl.col("url")},
    "audio": {
        "detail": pl.col("source"),
        "speech": pl.col("speech"),
        "level_dbfs": pl.col("level_dbfs"),
    },
    "sensor": {"name": pl.col("name"), "detail": _READING},
}


def details(lake: Lake, stream: str, start: datetime, end: datetime) -> pl.LazyFrame:
    """Events of a stream that overlap ``start`` to ``end`` (exclusive), in no order.

    Columns: :data:`SCHEMA`. An event's slices become one row; one that began before the range
    stands with its first slice that reaches into it. What a person wrote is as it stands now.
    """
    if stream in WRITTEN:
        return _written(lake, stream, start, end)
    shown = _SHOWN.get(stream, {})
    own = [shown.get(name, pl.lit(None)).cast(SCHEMA[name]).alias(name) for name in _OWN]
    return (
        lake.rows(stream, start, end)
        .select("device", pl.coalesce("cont", "id").alias("id"), "at", "end", *_ENVELOPE, *own)
        .group_by("id", "device")
        .agg(
            pl.col("at").min(),
            pl.col("end").max(),
            pl.col(*_OWN, *_ENVELOPE).first(ignore_nulls=True),
        )
        .select(pl.lit(stream).alias("stream"), *[n for n in SCHEMA.names() if n != "stream"])
    )


def _written(lake: Lake, stream: str, start: datetime, end: datetime) -> pl.LazyFrame:
    there = {"stream": pl.lit(stream), "name": pl.col("title"), "detail": pl.col("description")}
    missing = {name: pl.lit(None) for name in ("end", *_OWN)}
    rows = lake.standing().events(stream, start, end).lazy().with_columns(**(missing | there))
    return rows.select(pl.col(name).cast(type_) for name, type_ in SCHEMA.items())
