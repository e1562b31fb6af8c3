"""How much the lake takes up, how it grows, and when its disk is full."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from lifelog_lake.care.facts import StorageFacts, TableFacts
from lifelog_lake.care.forecast import reached_at
from lifelog_lake.clock import US_PER_S, to_us
from lifelog_lake.events import STREAMS
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.tables import Contents

#: By how much of the past growth is told.
WEEK = timedelta(days=7)
DAY = timedelta(days=1)
DAY_US = 86_400 * US_PER_S


def storage_of(
    store: Store,
    tables: Mapping[str, Contents],
    days: pl.DataFrame,
    now: datetime,
    troubles: list[str],
) -> StorageFacts:
    """By the tables' logs, and for contents by ``days`` (date, stream, blob_bytes)."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    begun = [contents.files["first_at"].min() for contents in tables.values()]
    start = max(midnight - WEEK, min((at for at in begun if isinstance(at, datetime)), default=now))
    elapsed = max(now - start, timedelta(hours=1)) / DAY
    lately = pl.col("date").is_between(start.date(), now.date())
    content = dict(days.group_by("stream").agg(pl.col("blob_bytes").sum()).iter_rows())
    grown = dict(days.filter(lately).group_by("stream").agg(pl.col("blob_bytes").sum()).iter_rows())
    facts = []
    for stream in sorted(tables, key=[*STREAMS, *sorted(tables)].index):
        files = tables[stream].files
        last_at = files["last_at"].max()
        facts.append(
            TableFacts(
                stream=stream,
                rows=int(files["rows"].sum()),
                files=files.height,
                table_bytes=int(files["bytes"].sum()),
                content_bytes=content.get(stream, 0),
                day_bytes=(files.filter(lately)["bytes"].sum() + grown.get(stream, 0)) / elapsed,
                newest_at=to_us(last_at) if isinstance(last_at, datetime) else None,
            )
        )
    total, free = _disk(store, troubles)
    day_bytes = sum(table.day_bytes for table in facts)
    return StorageFacts(
        url=store.url,
        tables=tuple(facts),
        disk_total_bytes=total,
        disk_free_bytes=free,
        full_at=None if free is None else reached_at(to_us(now), free, day_bytes / DAY_US),
    )


def _disk(store: Store, troubles: list[str]) -> tuple[int | None, int | None]:
    if store.disk is None:
        return None, None
    try:
        usage = shutil.disk_usage(store.disk)
    except OSError as error:
        troubles.append(f"The lake's disk doesn't tell its free space: {error.strerror}")
        return None, None
    return usage.total, usage.free
