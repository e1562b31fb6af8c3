"""The timeline's routes: pages of events, what a span holds, and what lake this is.

``/lifelog/api/timeline``: events of a span, newest first, for lists with virtual rows. Query:
``start`` and ``end`` (RFC 3339 with an offset), ``stream`` and ``device`` (each any number of
times; none = all), ``moment`` (only what went on then), ``offset``, ``limit``, ``around``. Answer:
``{"total", "offset", "events": [{"stream", "device", "id", "at", "end", "name", "detail", "url",
"speech", "level_dbfs", "blob", "blob_bytes", "media_type"}]}``, and with ``around`` the ``index``
of the newest event that began by then.

``/lifelog/api/summary``: ``{"streams": [{"name", "label", "events"}], "devices": [{"name",
"events"}], "newest_at"}`` of a span; ``newest_at`` is the whole lake's, given when the span is
empty.

``/lifelog/api/lake``: ``{"demo"}``, what made a lake of demo data, or null.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from lifelog_lake.clock import iso, to_us, utc
from lifelog_lake.events import STREAMS
from lifelog_lake.server.api.models import (
    LakeOut,
    SpanQuery,
    SummaryOut,
    TimelineOut,
    TimelineQuery,
)
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation
from lifelog_lake.server.problem import Problem
from lifelog_lake.server.reading import LakeReader, Span

if TYPE_CHECKING:
    import polars as pl

LONGEST = timedelta(days=400)
#: Times reach a browser in milliseconds, so an event of the same millisecond counts as "by then".
_MOMENT = timedelta(milliseconds=1)


class TimelineHandler(ApiHandler):
    """Serves a page of events; GET."""

    @operation(
        "getTimeline", "Events of a span of all streams, newest first, by their number.",
        scopes=("read",), query=TimelineQuery, problems=(503,),
        answers={200: Answer(doc="A page.", schema=TimelineOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """For lists with virtual rows; programs take events."""
        asked: TimelineQuery = self.arguments
        span = span_of(asked)
        streams = tuple(dict.fromkeys(asked.stream))
        around, moment = _utc(asked.around), _utc(asked.moment)

        def page() -> dict[str, object]:
            events = _events(self.reader, span, streams, asked.device, moment)
            return _page(events, asked.offset, asked.limit, around)

        self.answer(await self.reader.run(page))


class SummaryHandler(ApiHandler):
    """Serves what a span holds; GET."""

    @operation(
        "getSummary", "How many events a span has, by stream and device.",
        scopes=("read",), query=SpanQuery, problems=(503,),
        answers={200: Answer(doc="Counts.", schema=SummaryOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """An empty one tells when the newest event of the lake was."""
        self.answer(await self.reader.run(_summary, self.reader, span_of(self.arguments)))


class LakeHandler(ApiHandler):
    """Serves what lake this is; GET."""

    @operation(
        "getLake", "What lake this is.", scopes=("read",), problems=(503,),
        answers={200: Answer(doc="What made it, if it is of demo data.", schema=LakeOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """Whether it holds demo data."""
        lake = await self.reader.run(lambda: self.reader.lake)
        self.answer({"demo": None if lake.demo is None else dict(lake.demo)})


def span_of(asked: SpanQuery) -> Span:
    """The span that is asked for; raises Problem if it is empty or too long."""
    span = Span(start=utc(asked.start), end=utc(asked.end))
    if not timedelta(0) < span.end - span.start <= LONGEST:
        raise Problem(
            status=400,
            detail="The span is empty or too long.",
            hint=f"end must lie after start, at most {LONGEST.days} days.",
        )
    return span


def _utc(at: int | None) -> datetime | None:
    return None if at is None else utc(at)


def _events(
    reader: LakeReader,
    span: Span,
    streams: tuple[str, ...],
    devices: tuple[str, ...],
    moment: datetime | None,
) -> pl.DataFrame:
    import polars as pl

    from lifelog_lake.recall.detail import CAPTURED

    events = reader.events(span, streams or CAPTURED, devices)
    if moment is not None:
        events = events.filter(
            pl.col("at") < moment + _MOMENT,
            (pl.col("end") > moment) | (pl.col("at") >= moment),
        )
    return events


def _page(
    events: pl.DataFrame, offset: int, limit: int, around: datetime | None
) -> dict[str, object]:
    page: dict[str, object] = {
        "total": events.height,
        "offset": offset,
        "events": _rows(events.slice(offset, limit)),
    }
    if around is not None and events.height:
        later = int((events["at"] >= around + _MOMENT).sum())
        page["index"] = min(later, events.height - 1)
    return page


def _summary(reader: LakeReader, span: Span) -> dict[str, object]:
    import polars as pl

    from lifelog_lake.recall.detail import CAPTURED

    counts = (
        reader.events(span, CAPTURED, ()).group_by("stream", "device").agg(pl.len().alias("events"))
    )
    by_stream = dict(counts.group_by("stream").agg(pl.col("events").sum()).iter_rows())
    by_device = counts.group_by("device").agg(pl.col("events").sum()).sort("device")
    summary: dict[str, object] = {
        "streams": [
            {"name": name, "label": STREAMS[name].label, "events": by_stream[name]}
            for name in CAPTURED
            if name in by_stream
        ],
        "devices": by_device.rename({"device": "name"}).to_dicts(),
        "newest_at": None,
    }
    if counts.height == 0 and (newest := reader.newest_at()) is not None:
        summary["newest_at"] = iso(to_us(newest))
    return summary


def _rows(events: pl.DataFrame) -> list[dict[str, object]]:
    return [
        {
            name: iso(to_us(value)) if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        for row in events.iter_rows(named=True)
    ]
