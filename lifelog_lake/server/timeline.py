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

from tornado.web import authenticated

from lifelog_lake.clock import iso, to_us
from lifelog_lake.errors import UsageError
from lifelog_lake.events import STREAMS
from lifelog_lake.server import query
from lifelog_lake.server.base import LifelogHandler, explained
from lifelog_lake.server.reading import LakeReader, Span

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 500
MOST_OFFSET = 100_000_000
#: Times reach a browser in milliseconds, so an event of the same millisecond counts as "by then".
_MOMENT = timedelta(milliseconds=1)


class TimelineHandler(LifelogHandler):
    """Serves a page of events; GET."""

    @authenticated
    @explained
    async def get(self) -> None:
        """A page of the events of a span."""
        span = query.span(self)
        streams = tuple(dict.fromkeys(self.get_query_arguments("stream")))
        devices = tuple(self.get_query_arguments("device", strip=False))
        offset = query.number("offset", query.single(self, "offset") or "0", 0, MOST_OFFSET)
        limit = query.number("limit", query.single(self, "limit") or "60", 1, MOST_ROWS)
        around, moment = self._moment("around"), self._moment("moment")

        def page() -> dict[str, object]:
            events = _events(self.reader, span, streams, devices, moment)
            return _page(events, offset, limit, around)

        self.answer(await self.reader.run(page))

    def _moment(self, name: str) -> datetime | None:
        given = query.single(self, name)
        return query.time(name, given) if given else None


class SummaryHandler(LifelogHandler):
    """Serves what a span holds; GET."""

    @authenticated
    @explained
    async def get(self) -> None:
        """Counts of events by stream and device."""
        self.answer(await self.reader.run(_summary, self.reader, query.span(self)))


class LakeHandler(LifelogHandler):
    """Serves what lake this is; GET."""

    @authenticated
    @explained
    async def get(self) -> None:
        """Whether it holds demo data."""
        lake = await self.reader.run(lambda: self.reader.lake)
        self.answer({"demo": None if lake.demo is None else dict(lake.demo)})


def _events(
    reader: LakeReader,
    span: Span,
    streams: tuple[str, ...],
    devices: tuple[str, ...],
    moment: datetime | None,
) -> pl.DataFrame:
    import polars as pl

    from lifelog_lake.recall.detail import CAPTURED

    if unknown := [name for name in streams if name not in CAPTURED]:
        raise UsageError(
            f"There is no stream {unknown[0][:40]!r}.", hint=f"Known: {', '.join(CAPTURED)}."
        )
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
