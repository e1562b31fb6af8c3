"""What was recorded when, minute by minute, and why not: see :mod:`lifelog_lake.ledger`.

Derived at each call from lifecycle rows, pulses and rows; the lake holds nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from lifelog_lake.clock import to_us, utc
from lifelog_lake.lake.verify import object_of
from lifelog_lake.ledger import DISABLED, MINUTE_US, STATES, ledger
from lifelog_lake.life import KINDS, Life, Time, life_of, waiting_from
from lifelog_lake.recall.tables import TIME
from lifelog_lake.recall.timeline import span

SCHEMA = pl.Schema(
    {
        "device": pl.String(),
        "stream": pl.String(),
        "at": TIME,
        "end": TIME,
        "state": pl.Enum(STATES),
        "reason": pl.String(),
        "minutes": pl.Int64(),
    }
)
HOURS = pl.Schema(
    {
        "at": TIME,
        "state": pl.Enum(STATES),
        "minutes": pl.Int64(),
        "reasons": pl.List(pl.String()),
    }
)
BLACK = "only black frames: the display is off, or may not be captured"
MUTE = "only digital silence: the microphone is muted, or may not be used"
#: Rows that hold nothing: what to say of them.
_BLANK: Mapping[str, tuple[pl.Expr, str]] = {
    "screen": (pl.col("black").fill_null(value=False), BLACK),
    # A level is never told of a file that was left out.
    "audio": (
        pl.col("level_dbfs").is_null() & ~pl.col("dropped").fill_null(value=False),
        MUTE,
    ),
}
#: Reasons of an hour that are told; the longest ones.
MOST_REASONS = 5

Scan = Callable[[str], pl.LazyFrame]
Rows = Callable[[str, datetime, datetime], pl.LazyFrame]


def coverage(
    scan: Scan,
    rows: Rows,
    start: datetime | date | str,
    end: datetime | date | str | None,
    streams: Sequence[str] | str | None,
    devices: Sequence[str] | str | None,
    now_us: int,
) -> pl.DataFrame:
    """See :meth:`lifelog_lake.recall.lake.Lake.coverage`; ``scan`` and ``rows`` are the lake's."""
    first, last = span(start, end)
    begin, stop = to_us(first), min(to_us(last), now_us)
    wanted = [streams] if isinstance(streams, str) else streams
    chosen = [devices] if isinstance(devices, str) else devices
    told: list[tuple[object, ...]] = []
    if begin < stop:
        for device, life in _lives(scan, chosen).items():
            for stream in life.streams:
                if wanted is None or stream in wanted:
                    told += _spans(rows, device, life, stream, begin, stop)
    return pl.DataFrame(told, schema=SCHEMA, orient="row").sort("device", "stream", "at")


def by_hour(found: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Minutes of each state by the hour of a zone, of :func:`coverage`; all streams together, but
    for the time in which one was disabled.

    Columns: at (when the hour begins), state, minutes (of all streams), reasons (the longest
    ones, each with its streams).
    """
    local = pl.col("at").dt.convert_time_zone(zone)
    return (
        found.filter((pl.col("state") != "off") | (pl.col("reason") != DISABLED))
        .with_columns(
            part=pl.datetime_ranges(
                local.dt.truncate("1h").dt.convert_time_zone("UTC"),
                pl.col("end") - timedelta(microseconds=1),
                # A zone may change its offset by half an hour within a span.
                interval="30m",
            )
        )
        .explode("part")
        .with_columns(
            at=pl.max_horizontal("at", "part"),
            end=pl.min_horizontal("end", pl.col("part") + timedelta(minutes=30)),
        )
        .filter(pl.col("end") > pl.col("at"))
        .with_columns(
            minutes=(pl.col("end") - pl.col("at")).dt.total_minutes(),
            hour=local.dt.truncate("1h").dt.convert_time_zone("UTC"),
        )
        .group_by("hour", "state", "reason")
        .agg(pl.col("minutes").sum(), pl.col("stream").unique().sort())
        .with_columns(said=pl.format("{}: {}", pl.col("stream").list.join(", "), "reason"))
        .sort("minutes", "said", descending=[True, False])
        .group_by("hour", "state", maintain_order=True)
        .agg(
            pl.col("minutes").sum(),
            reasons=pl.col("said").filter(pl.col("reason") != "").head(MOST_REASONS),
        )
        .rename({"hour": "at"})
        .sort("at", "state")
        .match_to_schema(HOURS)
    )


def _lives(scan: Scan, devices: Sequence[str] | None) -> dict[str, Life]:
    """What each device told of itself."""
    told = scan("lifecycle").filter(pl.col("kind").is_in(sorted(KINDS)))
    told = told.drop_nulls(["device", "at"])  # another program's
    beats = scan("pulse").select("device", "at", "epoch", "seq").drop_nulls()
    if devices is not None:
        told = told.filter(pl.col("device").is_in(list(devices)))
        beats = beats.filter(pl.col("device").is_in(list(devices)))
    columns = ["device", "epoch", "seq", "at", "end", "kind", "collector", "stream", "reason"]
    lifecycle, ticks = pl.collect_all([told.select(*columns, "extra"), beats])
    marks = _marks(lifecycle, ticks)
    pulses = (
        scan("pulse")
        .select("device", "at", "epoch", "seq", "streams")
        # Read only the days that a pulse is wanted of.
        .filter(pl.col("at").is_in(marks["at"].unique().sort().implode()))
        .join(marks.lazy(), on=["device", "at", "epoch", "seq"], how="semi")
        .collect()
    )
    rows, beats_of = _plain(lifecycle), _plain(pulses)
    return {name: life_of(rows.get(name, []), beats_of.get(name, [])) for name in sorted(rows)}


def _marks(lifecycle: pl.DataFrame, ticks: pl.DataFrame) -> pl.DataFrame:
    """The first and the last pulse between any two rows of a device that tell of runs."""
    edges = (
        lifecycle.filter(pl.col("kind").is_in(["started", "stopped", "crashed", "clock_step"]))
        .select("device", pl.col("at").alias("edge"))
        .sort("edge")
    )
    placed = ticks.sort("at").join_asof(
        edges, left_on="at", right_on="edge", by="device", check_sortedness=False
    )
    ends = placed.sort("epoch", "seq").group_by("device", "edge", maintain_order=True)
    newest = placed.sort("epoch", "seq").group_by("device", maintain_order=True)
    columns = ["device", "at", "epoch", "seq"]
    return pl.concat(
        [one.select(columns) for one in (ends.first(), ends.last(), newest.last())]
    ).unique()


def _plain(rows: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Rows by device as objects, times in µs."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        found.setdefault(row["device"], []).append(_in_us(row))
    return found


def _in_us(row: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, datetime):
            plain[name] = to_us(value)
        elif name == "extra":
            plain[name] = object_of(value)
        elif isinstance(value, list):
            plain[name] = [_in_us(one) for one in value if one is not None]
        else:
            plain[name] = value
    return plain


def _spans(
    rows: Rows, device: str, life: Life, stream: str, begin: int, stop: int
) -> list[tuple[object, ...]]:
    touched, blank = _touched(rows, device, stream, begin, stop)
    shipped_to = None
    if (waiting := waiting_from(life, stream)) is not None:
        oldest, newest = waiting
        since = rows(stream, utc(newest), utc(newest + 1)).filter(
            pl.col("device") == device, pl.col("at") == utc(newest)
        )
        if since.head(1).collect().is_empty():
            shipped_to = oldest
    found = ledger(life, stream, begin, stop, rows=touched, blank=blank, shipped_to=shipped_to)
    return [
        (
            device, stream, utc(one.start), utc(one.end), one.state, one.reason,
            (one.end - one.start) // MINUTE_US,
        )
        for one in found
    ]  # fmt: skip


def _touched(
    rows: Rows, device: str, stream: str, begin: int, stop: int
) -> tuple[list[Time], list[tuple[int, int, str]]]:
    """When there are rows of a stream, by the minute: those with something in them, and blanks."""
    empty, why = _BLANK.get(stream, (pl.lit(value=False), ""))
    minute = pl.col("at").dt.epoch("us") // MINUTE_US
    last = (pl.col("end").fill_null(pl.col("at")).dt.epoch("us") - 1) // MINUTE_US
    found = (
        rows(stream, utc(begin), utc(stop))
        .filter(pl.col("device") == device)
        .select(first=minute, last=pl.max_horizontal(minute, last), blank=empty)
        .unique()
        .sort("first")
        .collect()
    )
    rowed: list[Time] = []
    blanks: list[tuple[int, int, str]] = []
    for start, end, nothing in found.iter_rows():
        if nothing:
            blanks.append((start * MINUTE_US, (end + 1) * MINUTE_US, why))
        else:
            rowed.append((start * MINUTE_US, (end + 1) * MINUTE_US))
    return rowed, blanks
