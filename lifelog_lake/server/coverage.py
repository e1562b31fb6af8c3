"""What was recorded when, and why not, for the timeline's heat map.

``/lifelog/api/coverage``: minutes by hour and state. Query: ``start`` and ``end`` (RFC 3339 with an
offset), ``zone`` (IANA name whose hours they are; UTC without it), ``stream`` and ``device`` (each
any number of times; none = all). Answer: ``{"hours": [{"at", "state", "minutes", "reasons"}]}``;
``minutes`` counts those of all streams while they were enabled, ``reasons`` are the longest ones as
``streams: why``.
"""

from __future__ import annotations

from lifelog_lake.clock import iso, to_us
from lifelog_lake.errors import UsageError
from lifelog_lake.server.api.models import CoverageOut, CoverageQuery
from lifelog_lake.server.api.operation import Answer, ApiHandler, operation
from lifelog_lake.server.reading import LakeReader, Span
from lifelog_lake.server.timeline import span_of


class CoverageHandler(ApiHandler):
    """Serves the states of a span's hours; GET."""

    @operation(
        "getCoverage", "For how many minutes of each hour a span was recorded, and why not.",
        scopes=("read",), query=CoverageQuery, problems=(422, 503),
        answers={200: Answer(doc="Minutes by hour and state.", schema=CoverageOut)},
    )  # fmt: skip
    async def get(self) -> None:
        """Those of all streams that were asked for, together."""
        asked: CoverageQuery = self.arguments
        self.answer(await self.reader.run(_hours, self.reader, span_of(asked), asked))


def _hours(reader: LakeReader, span: Span, asked: CoverageQuery) -> dict[str, object]:
    from lifelog_lake.recall.coverage import by_hour

    _require_zone(asked.zone)
    found = reader.lake.coverage(span.start, span.end, asked.stream or None, asked.device or None)
    hours = by_hour(found, asked.zone).to_dicts()
    return {"hours": [{**row, "at": iso(to_us(row["at"]))} for row in hours]}


def _require_zone(name: str) -> None:
    import polars as pl

    try:  # those of zoneinfo are others on every system
        pl.Series([0], dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(name)
    except pl.exceptions.ComputeError:
        raise UsageError(
            f"There is no zone {name[:40]!r}.", hint="Give an IANA name, such as Europe/Berlin."
        ) from None
