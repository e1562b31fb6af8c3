"""Reading after a year and after ten: a day's timeline must cost the same, and little.

Both lakes have the same days, so what differs is the history alone. Taken by turns; the page's
server and a notebook read with a lake that stays open, so that is what is measured, and a lake
that is opened anew each time is told beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from lifelog_lake.recall.lake import Lake, open_lake
from tests.bench import history
from tests.bench.pairs import Row

DAYS = 365
QUICK_DAYS = 40
TIMES = 10
ROUNDS = 41
MOST_MS = 60.0
MOST_RATIO = 1.3


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """The day, the same day with ten times the history, and what else a person asks for."""
    days = QUICK_DAYS if quick else DAYS
    rounds = ROUNDS // 5 if quick else ROUNDS
    short = history.make(directory / "short", days)
    long = history.make(directory / "long", days * TIMES)
    start = datetime.combine(history.LAST_DAY - timedelta(days=3), datetime.min.time(), UTC)
    end = start + timedelta(days=1)
    month = start - timedelta(days=30)
    rows = sum(history.A_DAY.values())

    def timeline(lake: Lake) -> None:
        assert lake.timeline(start, end).height == rows

    def usage(lake: Lake) -> None:
        assert lake.usage(month, end, by="app").height == len(history.APPS)

    def month_of_apps(lake: Lake) -> None:
        at = pl.col("date").is_between(month.date(), start.date())
        time = (pl.col("end") - pl.col("at")).sum()
        found = lake.scan("window").filter(at).group_by("app").agg(time=time).collect()
        assert found.height == len(history.APPS)

    def summary(lake: Lake) -> None:
        assert lake.summary()["rows"].sum() in (short.rows, long.rows)

    both = (short, long)
    day, later = _by_turns(both, timeline, rounds, opened=True)
    name = f"a day's timeline of {rows:,} events"
    yield Row(
        name=f"{name}, {short.rows:,} in the lake / at most {MOST_MS:.0f} ms",
        ours=f"{day:.1f} ms", base=f"{MOST_MS:.0f} ms", value=f"{day:.1f} ms",
        goal=f"at most {MOST_MS:.0f} ms", met=None if quick else day <= MOST_MS, rounds=rounds,
    )  # fmt: skip
    yield _compared(name, both, day, later, rounds, MOST_RATIO)
    for about, ask, opened, count in (
        (f"{name}, the lake opened anew", timeline, False, rounds // 4),
        ("time by program in a month", usage, True, rounds // 4),
        ("windows of a month by program, scanned", month_of_apps, True, rounds // 4),
        ("the summary", summary, True, 3),
    ):
        first, second = _by_turns(both, ask, count, opened=opened)
        yield _compared(about, both, first, second, count, None)


def _by_turns(
    both: tuple[history.History, history.History],
    ask: Callable[[Lake], None],
    rounds: int,
    *,
    opened: bool,
) -> tuple[float, float]:
    """Median milliseconds in the short and the long history."""
    kept = [open_lake(one.url) for one in both]
    if opened:
        for lake in kept:
            ask(lake)
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for number, one in enumerate(both):
            began = time.perf_counter()
            ask(kept[number] if opened else open_lake(one.url))
            taken[number].append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _compared(
    name: str,
    both: tuple[history.History, history.History],
    short: float,
    long: float,
    rounds: int,
    most: float | None,
) -> Row:
    ratio = long / short
    return Row(
        name=f"{name}, {both[1].rows:,} / {both[0].rows:,} in the lake",
        ours=f"{long:.1f} ms",
        base=f"{short:.1f} ms",
        value=f"{ratio:.2f}",
        goal=None if most is None else f"at most {most}",
        met=None if most is None else ratio <= most,
        rounds=rounds,
    )
