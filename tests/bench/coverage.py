"""The ledger of every minute: two weeks as the heat map asks for them, and all that there is.

A device with a pulse and a row of each of three streams a minute, started and stopped each day,
with a loss a day.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from lifelog_lake.clock import utc
from lifelog_lake.events import Event, new_event
from lifelog_lake.home import open_home
from lifelog_lake.lake import init_lake
from lifelog_lake.recall.coverage import by_hour
from lifelog_lake.recall.lake import Lake, open_lake
from tests.bench.pairs import Row
from tests.fixtures.pulses import MINUTE_US, entry, life, pulse, record
from tests.helpers import T0, FixedClock

DAYS, QUICK_DAYS = 60, 2
DAY_US = 1440 * MINUTE_US
STREAMS = {"screen": {"monitor": 1, "black": False}, "window": {"app": "a", "title": "t"},
           "audio": {"level_dbfs": -40.0}}  # fmt: skip
ROUNDS = 5


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Fill a lake, then ask it."""
    days = QUICK_DAYS if quick else DAYS
    home = open_home(directory / "home", flags={"spool": {"min_free_bytes": 0}})
    init_lake(home)
    for number in range(days):
        record(home, *_day(T0 + number * DAY_US))
    lake, end = open_lake(home.lake_url), utc(T0 + days * DAY_US)
    for name, length in (("two weeks", timedelta(days=14)), ("all of it", timedelta(days=days))):
        yield _ask(f"coverage of {name}", lake, end - length, end, quick=quick)


def _day(begin: int) -> list[Event]:
    """A day's rows: twenty hours of recording, ten minutes of them lost."""
    end = begin + 1200 * MINUTE_US
    lost = begin + 600 * MINUTE_US
    events = [life("started", begin), life("stopped", end)]
    events.append(
        life("missed", lost, end=lost + 10 * MINUTE_US, stream="screen", collector="screen")
    )
    for minute in range(1200):
        at = begin + minute * MINUTE_US
        events.append(pulse(at, [entry(name, name, at, spool_oldest_at=None) for name in STREAMS]))
        events += [
            new_event(name, at=at, end=at + MINUTE_US, data=data)
            for name, data in STREAMS.items()
            if name != "screen" or not lost <= at < lost + 10 * MINUTE_US
        ]
    return events


def _ask(what: str, lake: Lake, start: datetime, end: datetime, *, quick: bool) -> Row:
    clock = FixedClock(T0 + 3650 * DAY_US)
    took = []
    for _ in range(2 if quick else ROUNDS):
        began_s = time.perf_counter()
        found = lake.coverage(start, end, clock=clock)
        by_hour(found, "Europe/Berlin")
        took.append((time.perf_counter() - began_s) * 1000)
    lost = found.filter(state="lost", stream="screen")["minutes"].sum()
    assert lost >= 10
    return Row(
        name=f"{what}, by the hour: {found['minutes'].sum():,} minutes of {len(STREAMS)} streams",
        ours="",
        base="",
        value=f"{statistics.median(took):.0f} ms",
        rounds=len(took),
    )
