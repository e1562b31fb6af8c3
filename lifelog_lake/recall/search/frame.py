"""Hits as a frame, for notebooks."""

from __future__ import annotations

import polars as pl
import tzlocal

from lifelog_lake.clock import utc
from lifelog_lake.events import STREAMS
from lifelog_lake.recall.search.find import Found, Hit

SCHEMA = pl.Schema(
    {
        "stream": pl.String(),
        "label": pl.String(),
        "device": pl.String(),
        "id": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "end": pl.Datetime("us", "UTC"),
        "title": pl.String(),
        "snippet": pl.String(),
        "marks": pl.List(pl.List(pl.Int64())),
        "app": pl.String(),
        "url": pl.String(),
        "site": pl.String(),
        "tags": pl.List(pl.String()),
        "tz": pl.String(),
        "blob": pl.String(),
        "score": pl.Float64(),
        "similarity": pl.Float64(),
    }
)


def as_frame(found: Found) -> pl.DataFrame:
    """One row a hit, in their order."""
    frame = pl.DataFrame([_row(hit) for hit in found.hits], SCHEMA, orient="row")
    zone = str(tzlocal.get_localzone())
    return frame.with_columns(local=pl.col("at").dt.convert_time_zone(zone))


def _row(hit: Hit) -> tuple[object, ...]:
    of = hit.document
    return (
        *(of.stream, STREAMS[of.stream].label, of.device, of.id),
        *(utc(of.at), None if of.end is None else utc(of.end), of.title),
        *(hit.snippet.text, [list(mark) for mark in hit.snippet.marks]),
        *(of.app, of.url, of.site, list(of.tags), of.tz, of.blob, hit.score, hit.similarity),
    )
