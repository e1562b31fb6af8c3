"""The altair lanes: what was recorded when, one lane a stream and device.

altair costs 1.8 s and 200 MB, so this module is imported only after the first frames are on the
screen. Everything works offline: the widget brings vega along. Colours are the names of the page's
CSS variables, so that light and dark are the page's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from importlib.metadata import version
from typing import Any

import altair as alt
import polars as pl

from lifelog_lake import fsio
from lifelog_lake.config import default_home
from lifelog_lake.events import STREAMS
from lifelog_lake.recall.detail import CAPTURED
from lifelog_lake.ui.bars import COLOURS, OTHER, bars, groups, totals
from lifelog_lake.ui.text import duration, plain

LANE_PX = 21
LABELS_PX = 88
#: Characters of a device's name above its lanes.
NAME_CHARS = 40
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'
_STATES = {"Active": "active", "Away": "away", "Speech": "speech"}

# `title` is the tooltip's heading; a line without a value is left out.
_TOOLTIP = (
    "merge({title: datum.what}, datum.detail ? {Mainly: datum.detail} : {}, "
    "datum.time ? {Time: datum.time} : {}, "
    "{From: timeFormat(datum.start, '%H:%M:%S'), To: timeFormat(datum.end, '%H:%M:%S')})"
)


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


def lane_chart(
    events: pl.DataFrame,
    start: datetime,
    end: datetime,
    on_brush: Callable[[int, int], None],
    known: Mapping[str, str],
) -> tuple[Any, str, dict[str, str]]:
    """The lanes as a widget, their legend as HTML, and the colour of each program that has one.

    ``events`` has the columns of :mod:`lifelog_lake.recall.detail`; ``on_brush`` is called with ms
    since 1970 UTC of a brushed span. A program keeps the colour that it is ``known`` by.
    """
    enable_offline()
    grouped = groups(events, start, end)
    apps = app_colours([app for app, _ in totals(grouped, "window") if app != OTHER], known)
    colours = _colours(grouped, apps)
    lanes = _lanes(grouped)
    places = {lane: str(place) for place, lane in enumerate(lanes)}
    drawn = [
        {
            "lane": places[row["device"], row["stream"]],
            "start": _ms(row["start"]),
            "end": _ms(row["end"]),
            "colour": colours[row["stream"], row["group"]],
            "what": _what(row),
            "detail": plain(row["detail"]),
            "time": duration(row["busy_us"]) if row["busy_us"] else "",
        }
        for row in bars(grouped, start, end).iter_rows(named=True)
    ]
    widget = alt.JupyterChart(
        _chart(drawn, lanes, start, end),
        embed_options={"actions": False, "renderer": "svg"},
        debounce_wait=250,
    )

    def brushed(change: Any) -> None:
        span = change["new"].value.get("start")
        if span and span[1] > span[0]:
            on_brush(int(span[0]), int(span[1]))

    widget.selections.observe(brushed, names=["brush"])
    return widget, _legend(grouped, colours), apps


def _lanes(grouped: pl.DataFrame) -> list[tuple[str, str]]:
    """Device and stream of each lane, top down; a device's heading has an empty stream."""
    there = {(device, stream) for device, stream in grouped.select("device", "stream").iter_rows()}
    devices = sorted({device for device, _ in there})
    lanes = []
    for device in devices:
        if len(devices) > 1:
            lanes.append((device, ""))
        lanes += [(device, stream) for stream in CAPTURED if (device, stream) in there]
    return lanes


def app_colours(apps: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """A colour for each program, its own if it had one before and nobody else has it now."""
    free = [f"var(--ll-app-{number})" for number in range(1, COLOURS + 1)]
    chosen: dict[str, str] = {}
    for app in apps:
        if known.get(app) in free:
            chosen[app] = known[app]
            free.remove(known[app])
    for app in apps:
        if app not in chosen:
            chosen[app] = free.pop(0)
    return chosen


def _colours(grouped: pl.DataFrame, apps: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """The CSS variable of each stream's groups."""
    colours = {}
    for stream, group in grouped.select("stream", "group").unique().iter_rows():
        name = _STATES.get(group, "other" if stream in ("window", "afk") else stream)
        own = apps.get(group) if stream == "window" else None
        colours[stream, group] = own or f"var(--ll-{name})"
    return colours


def _chart(
    drawn: list[dict[str, object]], lanes: list[tuple[str, str]], start: datetime, end: datetime
) -> Any:
    labels = [
        STREAMS[stream].label if stream else plain(device)[:NAME_CHARS] for device, stream in lanes
    ]
    tracks = [
        {"lane": str(place), "start": _ms(start), "end": _ms(end)}
        for place, (_, stream) in enumerate(lanes)
        if stream
    ]
    # Not "domain": with an x2 channel vega-lite joins that with itself and warns.
    x = alt.X(
        "start:T",
        scale=alt.Scale(domainMin=_ms(start), domainMax=_ms(end), nice=False),
        title=None,
        axis=alt.Axis(
            tickCount=alt.ExprRef("width < 500 ? 4 : 12"),
            grid=False,
            format=_format(end - start),
            labelOverlap="greedy",
            labelFontSize=12,
        ),
    )
    heading: Any = {
        "condition": {"test": "headings[toNumber(datum.value)]", "value": "bold"},
        "value": "normal",
    }
    y = alt.Y(
        "lane:N",
        title=None,
        scale=alt.Scale(domain=[str(place) for place in range(len(lanes))]),
        axis=alt.Axis(
            labelExpr="labels[toNumber(datum.value)]",
            labelFontWeight=heading,
            labelFontSize=12,
            labelAlign="left",
            labelPadding=LABELS_PX,
            labelLimit=0,
            minExtent=LABELS_PX,
            maxExtent=LABELS_PX,
            ticks=False,
            domain=False,
        ),
    )
    brush = alt.selection_interval(name="brush", encodings=["x"])
    base = alt.Chart().encode(x=x, x2="end:T", y=y)
    track = base.mark_bar(height=13, cornerRadius=3, color="var(--ll-sunken)").properties(
        data=alt.Data(values=tracks)
    )
    bar = (
        base.mark_bar(height=13, cornerRadius=2, clip=True)
        .encode(
            color=alt.Color("colour:N", scale=None, legend=None),
            tooltip={"value": {"expr": _TOOLTIP}},
            description=alt.Description("what:N"),
        )
        .properties(data=alt.Data(values=drawn))
        .add_params(brush)
    )
    return (
        alt.layer(track, bar)
        .add_params(
            alt.param(name="labels", value=labels),
            alt.param(name="headings", value=[not stream for _, stream in lanes]),
        )
        .properties(width="container", height=LANE_PX * len(lanes), background="transparent")
        .configure(font=_FONT)
        .configure_view(stroke=None)
    )


def _format(length: timedelta) -> str:
    if length <= timedelta(minutes=20):
        return "%H:%M:%S"
    return "%H:%M" if length <= timedelta(hours=26) else "%a %d %b"


def _what(row: dict[str, Any]) -> str:
    label = STREAMS[row["stream"]].label
    said = row["name"] if row["stream"] not in ("audio", "screen") else None
    if row["group"] == "Speech":
        said = "Speech"
    return f"{label}: {plain(said)}" if said else label


def _legend(grouped: pl.DataFrame, colours: dict[tuple[str, str], str]) -> str:
    """What the colours stand for and the time of each, as HTML."""
    items = []
    for stream in ("afk", "window", "audio"):
        for group, lasted_us in totals(grouped, stream):
            if lasted_us and (stream != "audio" or group == "Speech"):
                items.append(
                    f'<li><span class="ll-swatch" style="background:{colours[stream, group]}">'
                    f"</span><bdi>{escape(plain(group))}</bdi> <b>{duration(lasted_us)}</b></li>"
                )
    return f'<ul class="ll-legend">{"".join(items)}</ul>' if items else ""


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
