"""Events of all streams between two times, slices joined.

It costs what the range holds, not what lies before it: see :mod:`lifelog_lake.recall.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
import tzlocal

from lifelog_lake.clock import MAX_US, MIN_US, utc
from lifelog_lake.errors import UsageError
from lifelog_lake.events import STREAMS
from lifelog_lake.recall.journal.standing import EVENTS, Standing
from lifelog_lake.recall.journal.standing import STREAMS as WRITTEN
from lifelog_lake.recall.tables import Contents, Tables

#: Most rows are at most this long: a slice is, an interval of sound too.
LONGEST_ROW = timedelta(minutes=10)
#: Streams whose long events aren't sliced: one may have begun at any time before a range.
_WHOLE = WRITTEN | {"lifecycle", "alert"}

SCHEMA = pl.Schema(
    {
        "stream": pl.String(),
        "device": pl.String(),
        "id": pl.String(),
        "at": pl.Datetime("us", "UTC"),
        "end": pl.Datetime("us", "UTC"),
        "label": pl.String(),
        "text": pl.String(),
        "blob": pl.String(),
        "blob_bytes": pl.Int64(),
        "media_type": pl.String(),
        "duration": pl.Duration("us"),
        "app": pl.String(),
        "title": pl.String(),
        "url": pl.String(),
        "tz": pl.String(),
        "time_quality": pl.String(),
    }
)
#: By the correction that a row's time contains.
_QUALITY = (
    pl.when(pl.col("skew_us").is_null())
    .then(pl.lit("unknown"))
    .when(pl.col("skew_us") == 0)
    .then(pl.lit("checked"))
    .otherwise(pl.lit("corrected"))
)

#: The columns that say in a few words what an event of a stream was.
_WORDS = {
    "window": ("app", "title"),
    "web": ("title", "url"),
    "afk": ("status",),
    "sensor": ("name", "value", "unit"),
    "lifecycle": ("kind", "reason"),
    "alert": ("message",),
    "ocr": ("text",),
    "transcript": ("text",),
}


def timeline(
    tables: Tables,
    there: Sequence[str],
    start: datetime | date | str,
    end: datetime | date | str | None,
    streams: Sequence[str] | str | None,
    devices: Sequence[str] | str | None,
    standing: Callable[[], Standing],
) -> pl.DataFrame:
    """See :meth:`lifelog_lake.recall.lake.Lake.timeline`; ``there`` are the streams with tables."""
    first, last = span(start, end)
    known = [name for name in there if name in STREAMS]
    if streams is None:
        names = [name for name in known if not STREAMS[name].derived and name != "pulse"]
    else:
        wanted = [streams] if isinstance(streams, str) else list(streams)
        if unknown := [name for name in wanted if name not in STREAMS]:
            raise UsageError(
                f"There is no stream '{unknown[0]}'.", hint=f"Known: {', '.join(STREAMS)}."
            )
        names = [name for name in known if name in wanted]
    chosen = [devices] if isinstance(devices, str) else devices
    found = pl.DataFrame(schema=SCHEMA)
    if names:
        written = [name for name in names if name in WRITTEN]
        names = [name for name in names if name not in WRITTEN]
        frames = [
            _events(contents, name, first, last, chosen)
            for name, contents in zip(names, tables.of_all(names), strict=True)
        ]
        frames += [_written(standing(), name, first, last, chosen) for name in written]
        found = pl.concat(pl.collect_all(frames))
    zone = str(tzlocal.get_localzone())
    return found.with_columns(local=pl.col("at").dt.convert_time_zone(zone)).sort(
        "at", "stream", "id"
    )


def reach(stream: str) -> timedelta | None:
    """How long before a range to look into files whose log doesn't tell; None: all of them."""
    return None if stream in _WHOLE else LONGEST_ROW


def _events(
    contents: Contents,
    stream: str,
    start: datetime,
    end: datetime,
    devices: Sequence[str] | None,
) -> pl.LazyFrame:
    """The events of a stream that overlap a range; an event's slices become one row.

    A slice whose first one lies before the range stands for its event from there on.
    """
    rows = contents.rows(start, end, reach(stream))
    if devices is not None:
        rows = rows.filter(pl.col("device").is_in(list(devices)))
    words = [name for name in _WORDS.get(stream, ()) if name in STREAMS[stream].types]
    text = pl.concat_str([pl.col(name) for name in words], separator=" · ", ignore_nulls=True)
    own = {
        name: pl.col(name) if name in STREAMS[stream].types else pl.lit(None, pl.String())
        for name in ("app", "title", "url")
    }
    return (
        rows.with_columns(
            id=pl.coalesce("cont", "id"),
            text=text if words else pl.lit(None, pl.String()),
            **own,
        )
        .group_by("id", "device")
        .agg(
            pl.col("at").min(),
            pl.col("end").max(),
            pl.col("text", "blob", "blob_bytes", "media_type", "app", "title", "url", "tz").first(
                ignore_nulls=True
            ),
            time_quality=_QUALITY.sort_by("at").first(),
        )
        .with_columns(
            stream=pl.lit(stream),
            label=pl.lit(STREAMS[stream].label),
            duration=pl.col("end") - pl.col("at"),
        )
        .select(SCHEMA.names())
    )


def _written(
    standing: Standing,
    stream: str,
    start: datetime,
    end: datetime,
    devices: Sequence[str] | None,
) -> pl.LazyFrame:
    """The same of what a person wrote: as it stands, so nothing of what was deleted."""
    rows = standing.events(stream, start, end).lazy()
    if devices is not None:
        rows = rows.filter(pl.col("device").is_in(list(devices)))
    words = pl.concat_str("title", "description", separator=" · ", ignore_nulls=True)
    columns = {
        "stream": pl.lit(stream),
        "label": pl.lit(STREAMS[stream].label),
        "text": words,
        "title": pl.col("title") if "title" in STREAMS[stream].types else pl.lit(None),
        "time_quality": pl.lit("unknown"),  # as with all times that somebody gave
    }
    missing = {n: pl.lit(None) for n in SCHEMA.names() if n not in EVENTS}
    return rows.with_columns(**(missing | columns)).select(
        pl.col(name).cast(type_) for name, type_ in SCHEMA.items()
    )


def span(
    start: datetime | date | str, end: datetime | date | str | None
) -> tuple[datetime, datetime]:
    """A range in UTC. Without ``end``: the whole day of ``start``."""
    try:
        return _span(start, end)
    except OverflowError:
        raise UsageError(
            "The range lies outside the years that a calendar has.",
            hint="Give years from 1900 to 2200.",
        ) from None


def _span(
    start: datetime | date | str, end: datetime | date | str | None
) -> tuple[datetime, datetime]:
    first = _instant(start, "start")
    if end is not None:
        last = _instant(end, "end")
    elif isinstance(start, datetime):
        last = first + timedelta(days=1)
    else:
        day = day_of(start) if isinstance(start, str) else start
        last = _midnight(
            (day or first.astimezone(tzlocal.get_localzone()).date()) + timedelta(days=1)
        )
    if last < first:
        raise UsageError("The range ends before it begins.", hint="Swap start and end.")
    earliest, latest = utc(MIN_US), utc(MAX_US)
    return min(max(first, earliest), latest), min(max(last, earliest), latest)


def _instant(value: datetime | date | str, name: str) -> datetime:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise UsageError(f"'{name}' has no time zone.", hint="Give an aware datetime.")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return _midnight(value)
    if not isinstance(value, str):
        raise UsageError(f"'{name}' is a {type(value).__name__}.", hint="Give a time or its text.")
    if (day := day_of(value)) is not None:
        return _midnight(day)
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise UsageError(
            f"'{name}' isn't a time: {value[:40]!r}.",
            hint="Write 2026-01-02, 2026-01-02T15:04, today or yesterday.",
        ) from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=tzlocal.get_localzone())).astimezone(
        UTC
    )


def day_of(value: str) -> date | None:
    """The day that a text names, by this machine's clock; None for what is no day."""
    today = datetime.now(tzlocal.get_localzone()).date()
    if value == "today":
        return today
    if value == "yesterday":
        return today - timedelta(days=1)
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=tzlocal.get_localzone()).astimezone(UTC)
