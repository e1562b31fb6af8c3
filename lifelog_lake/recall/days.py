"""Daily summaries: what a lake holds by day, stream and device, and minutes by program.

They are a table beside the streams', ``tables/_days``, which the hub's job
:mod:`lifelog_lake.care.summaries` makes of them. It holds nothing of its own: deleted, it is made
anew with the same content.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl
import tzlocal
from deltalake.exceptions import TableNotFoundError

from lifelog_lake.errors import LakeUnreachable, UsageError
from lifelog_lake.lake.identity import read_identity
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.tables import TIME, scan
from lifelog_lake.recall.timeline import day_of, span

TABLE = "_days"
#: Time of a program in a quarter of an hour: see :func:`lifelog_lake.recall.usage.by_quarter`.
APP = pl.Struct(
    {
        "at": TIME,
        "host": pl.String(),
        "app": pl.String(),
        "time_us": pl.Int64(),
        "host_us": pl.Int64(),
        "device_us": pl.Int64(),
    }
)
SCHEMA = pl.Schema(
    {
        "date": pl.Date(),
        "stream": pl.String(),
        "device": pl.String(),
        "rows": pl.Int64(),
        "contents": pl.Int64(),
        "blob_bytes": pl.Int64(),
        "first_at": TIME,
        "last_at": TIME,
        "hosts": pl.List(pl.String()),
        "apps": pl.List(APP),
        "month": pl.String(),
    }
)
_SHOWN = ("date", "stream", "device", "rows", "contents", "blob_bytes", "first_at", "last_at")


def days(
    store: Store,
    start: date | str,
    end: date | str | None,
    streams: Sequence[str] | str | None,
    devices: Sequence[str] | str | None,
) -> pl.DataFrame:
    """See :meth:`lifelog_lake.recall.lake.Lake.days`."""
    first = _day(start)
    last = first + timedelta(days=1) if end is None else _day(end)
    found = _between(store, first, last).filter(pl.col("rows") > 0)
    if streams is not None:
        found = found.filter(
            pl.col("stream").is_in([streams] if isinstance(streams, str) else list(streams))
        )
    found = _of(found, devices)
    return _collected(store, found.select(_SHOWN).sort("date", "stream", "device"))


def app_days(
    store: Store,
    start: datetime | date | str,
    end: datetime | date | str | None,
    devices: Sequence[str] | str | None,
) -> pl.DataFrame:
    """See :meth:`lifelog_lake.recall.lake.Lake.app_days`."""
    first, last = span(start, end)
    told = _of(_between(store, first.date(), last.date() + timedelta(days=1)), devices)
    told = told.filter(pl.col("stream").is_in(["window", "afk"]))
    return put_together(_collected(store, told.select("device", "hosts", "apps")), first, last)


def put_together(rows: pl.DataFrame, first: datetime, last: datetime) -> pl.DataFrame:
    """Time by local day, device and program within a range, of rows that summarise its days.

    As in usage(): a host that told of presence counts by it, another one by its whole device's,
    and a device that told nothing counts whole.
    """
    hosts = rows.select("device", host="hosts").explode("host").drop_nulls().unique()
    spent = rows.select("device", "apps").explode("apps").drop_nulls("apps").unnest("apps")
    spent = spent.filter(pl.col("at") >= first, pl.col("at") < last)
    spent = spent.join(hosts.with_columns(by_host=True), on=["device", "host"], how="left")
    known = pl.col("device").is_in(hosts["device"].unique().implode())
    counted = pl.when("by_host").then("host_us").when(known).then("device_us").otherwise("time_us")
    local = pl.col("at").dt.convert_time_zone(str(tzlocal.get_localzone()))
    return (
        spent.group_by("device", "app", day=local.dt.date())
        .agg(time=pl.duration(microseconds=counted.sum()))
        .filter(pl.col("time") > timedelta(0))
        .select("day", "device", "app", "time")
        .sort("day", "time", "device", "app", descending=[False, True, False, False])
    )


def _between(store: Store, first: date, last: date) -> pl.LazyFrame:
    """The rows of some days, the last one excluded."""
    return scan(store, TABLE).filter(
        pl.col("month").is_between(pl.lit(f"{first:%Y-%m}"), pl.lit(f"{last:%Y-%m}")),
        pl.col("date") >= first,
        pl.col("date") < last,
    )


def _of(rows: pl.LazyFrame, devices: Sequence[str] | str | None) -> pl.LazyFrame:
    if devices is None:
        return rows
    return rows.filter(
        pl.col("device").is_in([devices] if isinstance(devices, str) else list(devices))
    )


def _collected(store: Store, rows: pl.LazyFrame) -> pl.DataFrame:
    try:
        return rows.collect()
    except (TableNotFoundError, FileNotFoundError):
        if read_identity(store) is None:
            raise LakeUnreachable(
                f"There is no lake at {store.url} any more.", hint="Mount its disk."
            ) from None
        raise UsageError(
            "This lake has no daily summaries yet.",
            hint="The hub makes them while lifelog up runs.",
        ) from None


def _day(value: date | str) -> date:
    found = day_of(value) if isinstance(value, str) else value
    if found is None:
        raise UsageError(f"{str(value)[:40]!r} isn't a day.", hint="Write 2026-01-02 or today.")
    return found.date() if isinstance(found, datetime) else found
