"""A page of what a stream other than the journal holds, newest or oldest first.

The lake is read in windows of days that double while nothing is found, so the first page of a long
lake costs a day of it.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from lifelog_lake.clock import MAX_US, MIN_US, iso, to_us, utc
from lifelog_lake.errors import UsageError
from lifelog_lake.server.api.models import ListQuery
from lifelog_lake.server.problem import Problem

if TYPE_CHECKING:
    import polars as pl

    from lifelog_lake.recall.lake import Lake
    from lifelog_lake.server.reading import LakeReader

_DAY = timedelta(days=1)
_US = timedelta(microseconds=1)


def captured_page(reader: LakeReader, query: ListQuery) -> dict[str, object]:
    """``{"events", "cursor"}``. Raises :class:`Problem`, :class:`UsageError`."""
    import polars as pl

    if query.tag or query.any_tag or query.sort != "at":
        raise Problem(
            status=422,
            detail="Tags and the order of writing are the journal's alone.",
            hint="Leave stream out, or tag, any_tag and sort.",
        )
    lake = reader.lake
    after = None if query.cursor is None else _place(query)
    found: list[pl.DataFrame] = []
    missing = query.limit + 1
    for start, end in _windows(lake, query, after):
        part = _within(lake, query, start, end, after).head(missing)
        found.append(part)
        missing -= part.height
        if missing == 0:
            break
    rows = pl.concat(found).to_dicts() if found else []
    page = rows[: query.limit]
    more = len(rows) > query.limit
    return {
        "events": [
            {n: iso(to_us(v)) if isinstance(v, datetime) else v for n, v in row.items()}
            for row in page
        ],
        "cursor": _cursor(query, page[-1]) if more else None,
    }


def _windows(
    lake: Lake, query: ListQuery, after: tuple[datetime, str] | None
) -> Iterator[tuple[datetime, datetime]]:
    """Spans from the first event to look at to the last, in the order of the query."""
    first, last = lake.oldest_at([query.stream]), lake.newest_at([query.stream])
    if first is None or last is None:
        return
    low = max(first, utc(MIN_US if query.start is None else query.start))
    high = min(last + _US, utc(MAX_US if query.end is None else query.end))
    newest = query.order == "desc"
    if after is not None:
        low, high = (low, min(high, after[0] + _US)) if newest else (max(low, after[0]), high)
    length = _DAY
    while low < high:
        if newest:
            start = max(low, high - length)
            yield start, high
            high = start
        else:
            end = min(high, low + length)
            yield low, end
            low = end
        length *= 2


def _within(
    lake: Lake,
    query: ListQuery,
    start: datetime,
    end: datetime,
    after: tuple[datetime, str] | None,
) -> pl.DataFrame:
    import polars as pl

    from lifelog_lake.recall.detail import details

    newest = query.order == "desc"
    events = details(lake, query.stream, start, end).filter(pl.col("at") >= start)
    if query.device:
        events = events.filter(pl.col("device").is_in(query.device))
    if after is not None:
        at, id_ = after
        later = pl.col("id") < id_ if newest else pl.col("id") > id_
        beyond = pl.col("at") < at if newest else pl.col("at") > at
        events = events.filter(beyond | ((pl.col("at") == at) & later))
    return events.sort("at", "id", descending=newest).collect()


def _print(query: ListQuery) -> int:
    asked = query.model_dump(exclude={"cursor", "limit"}, mode="json")
    return zlib.crc32(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))


def _cursor(query: ListQuery, last: dict[str, object]) -> str:
    at = last["at"]
    assert isinstance(at, datetime)
    content = orjson.dumps([_print(query), to_us(at), last["id"]])
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _place(query: ListQuery) -> tuple[datetime, str]:
    cursor = query.cursor or ""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, orjson.JSONDecodeError):
        found = None
    match found:
        case [int(mark), int(at), str(id_)] if mark == _print(query) and MIN_US <= at <= MAX_US:
            return utc(at), id_
    raise UsageError(
        "The cursor isn't one of this list.",
        hint="Take it from the page before, and ask with the same filters and order.",
    )
