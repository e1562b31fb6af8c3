"""What a lane draws: events joined to few bars, however many rows a day has.

The span is cut into bins. In each bin of a lane the group with the most time wins, and neighbours
of the same group become one bar. So a lane has at most as many bars as bins, and a quick change
between two programs shows the one that was in front longer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from lifelog_lake.events import STREAMS

#: Bins of a lane, and of all lanes together: each bar is an element of the page.
BINS, ALL_BINS, FEWEST_BINS = 400, 4000, 100
#: Programs with a colour of their own; the others share one.
COLOURS = 7
OTHER = "Other"
#: An interval with at least this share of speech counts as speech, and wins over mere sound.
SPEECH = 0.1
_SPEECH_WEIGHT = 5

_US = timedelta(microseconds=1)


def groups(events: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """Events clipped to the span, with ``group``: what their colour stands for.

    ``events`` has the columns of :mod:`lifelog_lake.recall.detail`. Windows are grouped by
    program, presence by its state, sound by whether somebody speaks, all else by its stream.
    """
    labels = {name: stream.label for name, stream in STREAMS.items()}
    clipped = events.with_columns(
        start=pl.col("at").clip(start, end), end=pl.coalesce("end", "at").clip(start, end)
    ).with_columns(lasted_us=(pl.col("end") - pl.col("start")).dt.total_microseconds())
    apps = (
        clipped.filter(stream="window")
        .drop_nulls("name")
        .group_by("name")
        .agg(pl.col("lasted_us").sum())
        .sort("lasted_us", "name", descending=[True, False])["name"]
        .head(COLOURS)
    )
    return clipped.with_columns(
        group=pl.when(stream="window")
        .then(pl.when(pl.col("name").is_in(apps.implode())).then("name").otherwise(pl.lit(OTHER)))
        .when(stream="afk")
        .then(pl.col("name").fill_null("Unknown"))
        .when(pl.col("stream") == "audio", pl.col("speech") >= SPEECH)
        .then(pl.lit("Speech"))
        .otherwise(pl.col("stream").replace(labels))
    )


def bars(events: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """Bars of a span, from :func:`groups`.

    Columns: ``stream, device, group, start, end, busy_us, name, detail``; ``name`` and ``detail``
    are those of the bar's longest event, ``busy_us`` the time that events take up.
    """
    lane = ["stream", "device"]
    lanes = max(1, events.select(lane).n_unique())
    bins = min(BINS, max(FEWEST_BINS, ALL_BINS // lanes))
    width_us = max(1, (end - start) // bins // _US)
    parts = (
        _union(events, [*lane, "group"])
        .with_columns(
            first=(pl.col("start") - start).dt.total_microseconds() // width_us,
            last=(pl.col("end") - start).dt.total_microseconds() // width_us,
        )
        .with_columns(bin=pl.int_ranges("first", pl.col("last") + 1))
        .explode("bin")
    )
    begins = pl.lit(start) + pl.duration(microseconds=pl.col("bin") * width_us)
    weight = pl.when(group="Speech").then(_SPEECH_WEIGHT).otherwise(1)
    winners = (
        parts.with_columns(
            start=pl.max_horizontal("start", begins),
            end=pl.min_horizontal("end", begins + pl.duration(microseconds=width_us)),
        )
        .with_columns(busy_us=(pl.col("end") - pl.col("start")).dt.total_microseconds())
        # An event that ends where a bin begins has no part in it.
        .filter((pl.col("busy_us") > 0) | (pl.col("bin") == pl.col("first")))
        .group_by(*lane, "bin", "group")
        .agg(
            pl.col("start").min(),
            pl.col("end").max(),
            pl.col("busy_us").sum(),
            pl.col("longest_us").max(),
            pl.col("name", "detail").sort_by("longest_us").last(),
        )
        .sort(pl.col("busy_us") * weight, "group", descending=[True, False])
        .unique([*lane, "bin"], keep="first", maintain_order=True)
        .sort(*lane, "bin")
    )
    new_bar = (pl.col("bin").diff() != 1) | (pl.col("group") != pl.col("group").shift())
    return (
        winners.with_columns(bar=new_bar.fill_null(value=True).cum_sum().over(lane))
        .group_by(*lane, "bar", maintain_order=True)
        .agg(
            pl.col("group").first(),
            pl.col("start").min(),
            pl.col("end").max(),
            pl.col("busy_us").sum(),
            pl.col("name", "detail").sort_by("longest_us").last(),
        )
        # A single moment must still be seen, and where a bin was shared is no gap.
        .with_columns(
            end=pl.max_horizontal("end", pl.col("start") + pl.duration(microseconds=width_us // 2)),
            following=pl.col("start").shift(-1).over(lane),
        )
        .with_columns(
            end=pl.when((pl.col("following") - pl.col("end")).dt.total_microseconds() < width_us)
            .then("following")
            .otherwise(pl.min_horizontal("end", pl.lit(end)))
        )
        .drop("bar", "following")
    )


def totals(events: pl.DataFrame, stream: str) -> list[tuple[str, int]]:
    """Time of each group of a stream in µs, the longest first; :data:`OTHER` last."""
    sums = (
        events.filter(stream=stream)
        .group_by("group")
        .agg(pl.col("lasted_us").sum())
        .sort(pl.col("group") == OTHER, -pl.col("lasted_us"), "group")
    )
    return [(group, lasted_us) for group, lasted_us in sums.iter_rows()]


def _union(events: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Events of a group that touch become one, so that what follows is small."""
    reached = pl.col("end").cum_max().shift().over(by)
    return (
        events.sort(*by, "start")
        .with_columns(run=(pl.col("start") > reached).fill_null(value=True).cum_sum().over(by))
        .group_by(*by, "run")
        .agg(
            pl.col("start").min(),
            pl.col("end").max(),
            pl.col("lasted_us").max().alias("longest_us"),
            pl.col("name", "detail").sort_by("lasted_us").last(),
        )
    )
