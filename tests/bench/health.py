"""One look at the fleet: what the health rules, the page and a scraper pay.

On the twenty million invented events (the demo bench's lake, if it ran before), as of its last day:
a new process, and one that has looked before. Then a lake whose last hour wasn't merged yet: a
commit a minute of each of five devices.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from lifelog_lake.care import summaries
from lifelog_lake.care.observe import Observer
from lifelog_lake.clock import SystemClock, to_us
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import init_lake, parse_url
from lifelog_lake.recall.lake import open_lake
from tests.bench import demo
from tests.bench.pairs import Row
from tests.fixtures.pulses import MINUTE_US, entry, other_device, pulse, record
from tests.helpers import FixedClock

ROUNDS = 11
DEVICES, COMMITS, QUICK_COMMITS = 5, 60, 6
STREAMS = ("screen", "audio", "window", "afk", "web", "sensor", "journal")


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Both lakes."""
    path = directory.parent / "demo"
    if not (path / "lake" / "lake.json").exists():
        demo.fill(path, demo.DAYS // 20 if quick else demo.DAYS)
    home = open_home(path)
    summaries.run(home, parse_url(home.lake_url, home), SystemClock())
    lake = open_lake(home.lake_url)
    newest = lake.newest_at(["pulse"])
    assert isinstance(newest, datetime)
    rows = sum(lake.summary()["rows"])
    yield _look(f"{rows:,} events", home, to_us(newest + timedelta(minutes=1)), quick=quick)
    small = open_home(directory / "home", flags={"spool": {"min_free_bytes": 0}})
    init_lake(small)
    commits = QUICK_COMMITS if quick else COMMITS
    now_us = SystemClock().wall_us()
    devices = [other_device(small, f"device-{number}") for number in range(DEVICES)]
    for number in range(commits):
        at = now_us - (commits - number) * MINUTE_US
        for device in devices:
            record(device, pulse(at, [entry(stream, stream, at) for stream in STREAMS]))
    name = f"{DEVICES * commits} commits of pulses that weren't merged yet"
    yield _look(name, small, now_us, quick=quick)


def _look(what: str, home: Home, now_us: int, *, quick: bool) -> Row:
    store, clock = parse_url(home.lake_url, home), FixedClock(now_us)
    fresh, again = [], []
    for _ in range(3 if quick else ROUNDS):
        observer = Observer(home, store, clock)
        for told in (fresh, again):
            began_s = time.perf_counter()
            fleet = observer.fleet()
            told.append((time.perf_counter() - began_s) * 1000)
    assert len(fleet.devices) > 1
    assert fleet.troubles == ()
    return Row(
        name=f"a look at the fleet's health, {what}",
        ours=f"again {statistics.median(again):.0f} ms",
        base="",
        value=f"the first {statistics.median(fresh):.0f} ms",
        rounds=len(fresh),
    )
