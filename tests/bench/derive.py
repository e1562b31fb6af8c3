"""What is derived from twenty million invented events: small pictures, and a year at a glance.

The demo bench's lake is used if it ran before. The year is asked for by turns: from the daily
summaries, and from the tables themselves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from lifelog_lake.care import summaries, thumbnails
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.clock import SystemClock
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import parse_url
from lifelog_lake.recall.lake import Lake, open_lake
from tests.bench import demo
from tests.bench.pairs import Row

MOST_MS = 500.0
END = date.fromisoformat(demo.LAST_DAY)
ROUNDS, RAW_ROUNDS = 21, 3
YEAR = timedelta(days=365)


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Both jobs on the whole lake, both again with nothing to do, then the year."""
    path = directory.parent / "demo"
    if not (path / "lake" / "lake.json").exists():
        demo.fill(path, demo.DAYS // 20 if quick else demo.DAYS)
    home = open_home(path)
    lake = open_lake(home.lake_url)
    rows = sum(lake.summary()["rows"])
    for job in (thumbnails, summaries):
        first, took_s = _timed(job.run, home)
        again, idle_s = _timed(job.run, home)
        assert not any(again.counts.values()), again.words()
        done = sum(first.counts.values())
        yield Row(
            name=f"{job.JOB} of {rows:,} events, from nothing",
            ours=f"{done / took_s:,.0f}/s",
            base="",
            value=f"{took_s:.1f} s, {first.words()}",
        )
        yield Row(
            name=f"{job.JOB}, nothing to do", ours="", base="", value=f"{idle_s * 1000:.0f} ms"
        )
    yield _year(lake, rows, quick=quick)


def _timed(job: Callable[..., Outcome], home: Home) -> tuple[Outcome, float]:
    began_s = time.perf_counter()
    done = job(home, parse_url(home.lake_url, home), SystemClock())
    return done, time.perf_counter() - began_s


def _year(lake: Lake, rows: int, *, quick: bool) -> Row:
    """Rows by day, stream and device, and time by day, device and program."""
    span = END - YEAR, END + timedelta(days=1)
    fast, slow = [], []
    for number in range(3 if quick else ROUNDS):
        began_s = time.perf_counter()
        summed = lake.days(*span), lake.app_days(*span)
        fast.append((time.perf_counter() - began_s) * 1000)
        if number >= RAW_ROUNDS:
            continue
        began_s = time.perf_counter()
        told = _raw(lake, *span)
        slow.append((time.perf_counter() - began_s) * 1000)
        assert _same(summed, told), "the summaries say something else"
    summed_ms, raw_ms = statistics.median(fast), statistics.median(slow)
    return Row(
        name=f"a year's days from the summaries / from the tables, {rows:,} events in the lake",
        ours=f"{summed_ms:.0f} ms",
        base=f"{raw_ms:.0f} ms",
        value=f"{summed_ms:.0f} ms",
        goal=f"at most {MOST_MS:.0f} ms",
        met=None if quick else summed_ms <= MOST_MS,
        rounds=len(fast),
    )


def _raw(lake: Lake, first: date, last: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    streams = [name for name in lake.streams() if name != "thumbnail"]
    counts = pl.collect_all(
        [
            lake.scan(name)
            .filter(pl.col("date") >= first, pl.col("date") < last)
            .group_by("date", "device", stream=pl.lit(name))
            .agg(rows=pl.len())
            for name in streams
        ]
    )
    return pl.concat(counts), lake.usage(first, last, by=("day", "device", "app"))


def _same(summed: tuple[pl.DataFrame, pl.DataFrame], told: tuple[pl.DataFrame, ...]) -> bool:
    """The same rows in any order."""

    def rows(frame: pl.DataFrame, *columns: str) -> set[tuple[object, ...]]:
        return set(frame.select(columns).iter_rows())

    counted, spent = ("date", "stream", "device", "rows"), ("day", "device", "app", "time")
    return rows(summed[0], *counted) == rows(told[0], *counted) and rows(summed[1], *spent) == rows(
        told[1], *spent
    )
