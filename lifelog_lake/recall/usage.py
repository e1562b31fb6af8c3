"""Where the time went: by program, title or site, without the time away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import polars as pl
import tzlocal

from lifelog_lake.errors import UsageError
from lifelog_lake.recall.joins import during
from lifelog_lake.recall.timeline import span

#: What time can be counted by.
KEYS = ("app", "title", "site", "device", "day", "weekday", "hour")
#: Every zone of today is a multiple of this from UTC, so no local hour begins inside one.
QUARTER = timedelta(minutes=15)
#: Programs that show sites. A page counts while one of them is in front.
BROWSERS = (
    r"(?i)firefox|librewolf|waterfox|qutebrowser|(^|[^a-z])(chrome|chromium|brave|edge|msedge|opera"
    r"|vivaldi|safari|epiphany|falkon|arc|zen|navigator)([^a-z]|$)"
)

Rows = Callable[[str, datetime, datetime], pl.LazyFrame]


def usage(
    rows: Rows,
    start: datetime | date | str,
    end: datetime | date | str | None,
    by: str | Sequence[str],
    *,
    afk: bool,
    devices: Sequence[str] | str | None,
) -> pl.DataFrame:
    """See :meth:`lifelog_lake.recall.lake.Lake.usage`; ``rows`` gives those of a stream."""
    keys = [by] if isinstance(by, str) else list(dict.fromkeys(by))
    if unknown := [key for key in keys if key not in KEYS]:
        raise UsageError(
            f"Time isn't counted by '{unknown[0]}'.", hint=f"Count by: {', '.join(KEYS)}."
        )
    if "site" in keys and "app" in keys:
        raise UsageError("A site has no program.", hint="Count by one of app and site.")
    first, last = span(start, end)

    def load(stream: str, *columns: str) -> pl.DataFrame:
        found = _lasting(rows(stream, first, last), *columns)
        if devices is not None:
            chosen = [devices] if isinstance(devices, str) else list(devices)
            found = found.filter(pl.col("device").is_in(chosen))
        return found.collect()

    if "site" in keys:
        spent = load("web", "url", "title").with_columns(site=site(pl.col("url")))
        fronts = load("window", "app").filter(pl.col("app").str.contains(BROWSERS))
        spent = _while(spent, fronts, fronts)
    else:
        spent = load("window", "app", "title")
    if not afk:
        presence = load("afk", "status")
        spent = _while(spent, presence.filter(pl.col("status") == "not-afk"), presence)
    whole = pl.DataFrame(
        {"at": [first], "end": [last]}, {n: spent.schema[n] for n in ("at", "end")}
    )
    return _counted(during(spent, whole), keys)


def by_quarter(rows: Rows, start: datetime, end: datetime) -> pl.DataFrame:
    """Time of each program in each quarter of an hour, so that :func:`usage` can be put together.

    Which time counts depends on what hosts tell of presence in the whole of a range, and that is
    known only when it is asked for. So there are three sums of µs: ``time_us``, all of it;
    ``host_us``, of it while the host's own presence was told; ``device_us``, while that of any
    host of the device was. Columns: device, host, app, at (of the quarter, UTC) and these.
    """
    whole = pl.DataFrame({"at": [start], "end": [end]}).cast(pl.Datetime("us", "UTC"))
    spent = during(_lasting(rows("window", start, end), "app").collect(), whole)
    presence = _lasting(rows("afk", start, end), "status").collect()
    there = presence.filter(pl.col("status") == "not-afk")
    sums = {
        "time_us": spent,
        "host_us": during(spent, there, by=("device", "host")),
        "device_us": during(spent, there, by="device"),
    }
    keys = ("device", "host", "app", "at")
    lasted = (pl.col("end") - pl.col("at")).dt.total_microseconds().sum()
    parts = [
        _quarters(part)
        .group_by("device", "host", "app", at=pl.col("at").dt.truncate("15m"))
        .agg(lasted.alias(name))
        for name, part in sums.items()
    ]
    summed = pl.concat(parts, how="diagonal").group_by(keys).agg(pl.col(*sums).sum())
    return summed.filter(pl.col("time_us") > 0).sort(keys)


def told_of_presence(rows: Rows, start: datetime, end: datetime) -> pl.DataFrame:
    """On which days (UTC) of a range a device's hosts told of presence: date, device, host."""
    moment = timedelta(microseconds=1)
    found = _lasting(rows("afk", start, end)).select(
        "device",
        "host",
        date=pl.date_ranges(
            pl.max_horizontal("at", pl.lit(start)).dt.date(),
            pl.max_horizontal("at", pl.min_horizontal("end", pl.lit(end)) - moment).dt.date(),
        ),
    )
    return found.explode("date").unique().sort("date", "device", "host").collect()


def _lasting(rows: pl.LazyFrame, *columns: str) -> pl.LazyFrame:
    """Rows that have an end, and whose they are.

    One device may have taken in the activity of several hosts: a bucket's name says which.
    """
    host = pl.col("bucket").str.extract(r"^[^_]*_(.+)$").fill_null("")
    return rows.filter(pl.col("end").is_not_null()).select(
        "device", "at", "end", *columns, host=host
    )


def _while(target: pl.DataFrame, holding: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The target while something holds on the same device and host.

    A row whose host isn't among the ``known`` ones goes by its whole device; a device that knows
    nothing of the condition isn't restricted by it.
    """
    hosts = known.select("device", "host").unique()
    there = target.join(hosts.select("device").unique(), on="device", how="semi")
    named = there.join(hosts, on=["device", "host"], how="semi")
    unnamed = there.join(hosts, on=["device", "host"], how="anti")
    free = target.join(hosts, on="device", how="anti")
    return pl.concat(
        [
            during(named, holding, by=("device", "host")),
            during(unnamed, holding, by="device"),
            free,
        ]
    )


def _counted(spent: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    if {"day", "weekday", "hour"} & set(keys):
        spent = _quarters(spent)
    local = pl.col("at").dt.convert_time_zone(str(tzlocal.get_localzone()))
    spent = spent.with_columns(
        day=local.dt.date(), weekday=local.dt.weekday(), hour=local.dt.hour()
    )
    counted = spent.group_by(keys).agg(time=(pl.col("end") - pl.col("at")).sum())
    return counted.filter(pl.col("time") > timedelta(0)).sort(
        "time", *keys, descending=[True, *[False] * len(keys)]
    )


def _quarters(spent: pl.DataFrame) -> pl.DataFrame:
    """The rows cut at each quarter of an hour, so that none lies in two local hours or days."""
    begun = pl.col("at").dt.truncate("15m")
    return (
        spent.with_columns(_quarter=pl.datetime_ranges(begun, "end", QUARTER, closed="left"))
        .explode("_quarter")
        .with_columns(
            at=pl.max_horizontal("at", "_quarter"),
            end=pl.min_horizontal("end", pl.col("_quarter") + QUARTER),
        )
    )


def site(url: pl.Expr) -> pl.Expr:
    """The site of an address: its host without ``www.``, else its scheme (``file:``)."""
    host = url.str.extract(r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?([^/?#]+)")
    return pl.coalesce(
        host.str.to_lowercase().str.strip_prefix("www."), url.str.extract(r"^([A-Za-z][\w+.-]*:)")
    )
