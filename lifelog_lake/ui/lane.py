"""The altair lane: what was recorded when, one bar a run of events, one lane a stream and device.

altair costs 1.8 s and 200 MB, so this module is imported only after the first frames are on the
screen. Everything works offline: the widget brings vega along.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import altair as alt
import polars as pl

from lifelog_lake import fsio
from lifelog_lake.config import default_home
from lifelog_lake.events import STREAMS

#: A lane is drawn with at most so many bars: what lies closer than this share joins.
RESOLUTION = 400
LANE_PX = 26

#: Characters that would turn a label's direction, or can't be seen.
_UNSEEN = r"[\p{Cc}\p{Cf}]"
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'


def enable_offline() -> None:
    """Have the chart widget bring vega along instead of fetching it.

    Making the bundle takes 2 s and starts a JavaScript engine in this process, so it is kept in
    the home, one file for each pair of versions. Idempotent; a missing file is made again.
    """
    widget = alt.JupyterChart
    if widget._is_offline:
        return
    name = f"jupyterchart-{alt.__version__}-{version('vl-convert-python')}.js"
    path = default_home() / "index" / name
    try:
        widget._esm = path.read_text("utf-8")
        widget._is_offline = True
    except FileNotFoundError:
        widget.enable_offline(True)
        fsio.make_dirs(path.parent, at="bundle")
        fsio.write_atomic(path, str(widget._esm).encode(), at="bundle")


def runs(events: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """Events joined to runs: columns ``lane, start, end, events``, clipped to the span.

    ``events`` has the columns of ``lake.timeline``. Two events join when less than the span's
    share :data:`RESOLUTION` lies between them, so the result is small however long the day.
    """
    gap = (end - start) / RESOLUTION
    labels = {name: stream.label for name, stream in STREAMS.items()}
    label = pl.col("stream").replace(labels)
    if events["device"].n_unique() > 1:
        label = label + " · " + pl.col("device").str.replace_all(_UNSEEN, "�")
    return (
        events.with_columns(
            lane=label,
            start=pl.col("at").clip(start, end),
            end=pl.coalesce("end", "at").clip(start, end),
        )
        .sort("lane", "start")
        .with_columns(
            run=(pl.col("start") - pl.col("end").cum_max().shift() > gap)
            .fill_null(value=True)
            .cum_sum()
            .over("lane")
        )
        .group_by("lane", "run", maintain_order=True)
        .agg(pl.col("start").min(), pl.col("end").max(), pl.len().alias("events"))
        # A single moment must still be seen.
        .with_columns(pl.max_horizontal("end", pl.col("start") + max(gap, timedelta(seconds=1))))
        .select("lane", "start", "end", "events")
    )


def lane_chart(
    events: pl.DataFrame,
    start: datetime,
    end: datetime,
    on_brush: Callable[[int, int], None],
) -> Any:
    """The lane as a widget. ``on_brush`` is called with ms since 1970 UTC of a brushed span."""
    enable_offline()
    drawn = runs(events, start, end)
    lanes = drawn["lane"].unique().sort().to_list()
    rows = [
        {
            "lane": row["lane"],
            "start": _ms(row["start"]),
            "end": _ms(row["end"]),
            "events": row["events"],
        }
        for row in drawn.iter_rows(named=True)
    ]
    # Not "domain": with an x2 channel vega-lite joins that with itself and warns.
    brush = alt.selection_interval(name="brush", encodings=["x"])
    scale = alt.Scale(domainMin=_ms(start), domainMax=_ms(end), nice=False)
    axis = alt.Axis(tickCount=8, grid=False, format="%H:%M", labelOverlap="greedy")
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(height=14, cornerRadius=3)
        .encode(
            x=alt.X("start:T", scale=scale, title=None, axis=axis),
            x2="end:T",
            y=alt.Y(
                "lane:N",
                title=None,
                scale=alt.Scale(domain=lanes),
                axis=alt.Axis(labelLimit=120, ticks=False, domain=False),
            ),
            tooltip=[
                alt.Tooltip("lane:N", title="Lane"),
                alt.Tooltip("start:T", title="From", format="%H:%M:%S"),
                alt.Tooltip("end:T", title="To", format="%H:%M:%S"),
                alt.Tooltip("events:Q", title="Events"),
            ],
        )
        .add_params(brush)
        .properties(
            width="container", height=LANE_PX * max(1, len(lanes)), background="transparent"
        )
        .configure(font=_FONT)
        .configure_view(stroke=None)
    )
    widget = alt.JupyterChart(
        chart, embed_options={"actions": False, "renderer": "svg"}, debounce_wait=250
    )

    def brushed(change: Any) -> None:
        span = change["new"].value.get("start")
        if span and span[1] > span[0]:
            on_brush(int(span[0]), int(span[1]))

    widget.selections.observe(brushed, names=["brush"])
    return widget


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
