"""What a lake holds, at a glance: as a frame and as HTML for a notebook.

Rows, times and sizes come from the tables' logs. Only who recorded lately is read from rows, those
of the last :data:`LATELY`, so that it costs the same after years.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape

import polars as pl
import tzlocal

from lifelog_lake.clock import MAX_US, utc
from lifelog_lake.events import STREAMS
from lifelog_lake.recall.tables import TIME, Contents

#: How far back from a stream's newest row its devices are looked for.
LATELY = timedelta(days=31)
_NEVER = utc(MAX_US)

SCHEMA = pl.Schema(
    {
        "stream": pl.String(),
        "label": pl.String(),
        "rows": pl.Int64(),
        "first_at": TIME,
        "last_at": TIME,
        "lag": pl.Duration("us"),
        "files": pl.Int64(),
        "data_bytes": pl.Int64(),
        "blob_bytes": pl.Int64(),
        "devices": pl.List(
            pl.Struct(
                {
                    "device": pl.String(),
                    "last_at": TIME,
                    "lag": pl.Duration("us"),
                    "ingested_at": TIME,
                }
            )
        ),
    }
)


def summary(tables: Mapping[str, Contents], now: datetime | None = None) -> pl.DataFrame:
    """See :meth:`lifelog_lake.recall.lake.Lake.summary`."""
    now = now or datetime.now(UTC)
    streams = sorted(tables, key=[*STREAMS, *tables].index)
    collected = pl.collect_all(
        [frame for name in streams for frame in (_lately(tables[name]), _content(tables[name]))]
    )
    rows = []
    for name, devices, blobs in zip(streams, collected[::2], collected[1::2], strict=True):
        files = tables[name].files
        last_at = files["last_at"].max()
        assert last_at is None or isinstance(last_at, datetime)
        rows.append(
            {
                "stream": name,
                "label": STREAMS[name].label if name in STREAMS else name,
                "rows": files["rows"].sum(),
                "first_at": files["first_at"].min(),
                "last_at": last_at,
                "lag": None if last_at is None else now - last_at,
                "files": files.height,
                "data_bytes": files["bytes"].sum(),
                "blob_bytes": blobs.item() or 0,
                "devices": [
                    {**row, "lag": now - row["last_at"]} for row in devices.iter_rows(named=True)
                ],
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)


def _content(contents: Contents) -> pl.LazyFrame:
    # A slice names the content of its event's first once more.
    first = contents.with_content().filter(pl.col("cont").is_null())
    return first.select(pl.col("blob_bytes").sum())


def _lately(contents: Contents) -> pl.LazyFrame:
    """Each device's newest row, of those that recorded within :data:`LATELY` of the newest."""
    newest = contents.files["last_at"].max()
    rows = (
        contents.since(newest - LATELY) if isinstance(newest, datetime) else contents.since(_NEVER)
    )
    return (
        rows.group_by("device")
        .agg(last_at=pl.col("at").max(), ingested_at=pl.col("ingested_at").max())
        .sort("last_at", descending=True)
    )


def as_html(
    found: pl.DataFrame, url: str, generation: int, demo: Mapping[str, object] | None
) -> str:
    """The summary as a table for a notebook; every text is escaped, light and dark both work."""
    zone = tzlocal.get_localzone()
    mark = ""
    if demo is not None:
        mark = " <strong>This is demo data</strong>, made up by lifelog demo."
    head = (
        f"<div><strong>Lake</strong> {escape(url)} <span style='{_FAINT}'>generation "
        f"{generation}, times in {escape(str(zone))}</span>{mark}</div>"
    )
    if not found["rows"].sum():
        return head + (
            "<div>It is empty. Start recording with <code>lifelog up</code>, or fill it with "
            "made-up days to look around: <code>lifelog demo</code>.</div>"
        )
    titles = ("Stream", "Rows", "From", "To", "Data", "Content", "Newest row of each device")
    body = "".join(_row(row, zone) for row in found.iter_rows(named=True) if row["rows"])
    total = found.select(pl.col("rows", "data_bytes", "blob_bytes").sum()).row(0, named=True)
    cells = ["All", f"{total['rows']:,}", "", "", size(total["data_bytes"])]
    cells += [size(total["blob_bytes"]), ""]
    return (
        f"{head}<table style='margin:.5em 0'><thead>{_line(titles, 'th')}</thead>"
        f"<tbody>{body}{_line(cells, 'td', 'font-weight:600')}</tbody></table>"
    )


_FAINT = "opacity:.7"


def _row(row: Mapping[str, object], zone: object) -> str:
    devices = row["devices"]
    assert isinstance(devices, list)
    lines = [f"<bdi>{escape(d['device'] or '?')}</bdi>: {ago(d['lag'])}" for d in devices]
    cells = [
        escape(str(row["label"])),
        f"{row['rows']:,}",
        _day(row["first_at"], zone),
        _day(row["last_at"], zone),
        size(row["data_bytes"]),
        size(row["blob_bytes"]) if row["blob_bytes"] else "",
        "<br>".join(lines),
    ]
    return _line(cells, "td")


def _line(cells: Sequence[str], tag: str, style: str = "") -> str:
    """A row; numbers right, texts left."""
    sides = ("left", "right", "left", "left", "right", "right", "left")
    inner = "".join(
        f"<{tag} style='text-align:{side};vertical-align:top;{style}'>{cell}</{tag}>"
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{inner}</tr>"


def _day(at: object, zone: object) -> str:
    if not isinstance(at, datetime):
        return ""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"  # type: ignore[arg-type]


def size(count: object) -> str:
    """Bytes for a person: ``1.4 GB``; powers of 1,000."""
    assert isinstance(count, int)
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def ago(lag: timedelta) -> str:
    """A lag for a person: ``3 min ago``, ``in the future`` for a clock that is ahead."""
    seconds = lag.total_seconds()
    if seconds < -60:
        return "in the future"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit} ago"
    return "now"
