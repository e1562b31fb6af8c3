"""Time per program of a month: our lake against a real aw-server that holds the same events.

The server is asked as its own pages ask: one query of its query language. It is fed through its
import, the lake through the collector and the shipper, so both hold the same.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from lifelog_lake.recall.lake import open_lake
from tests.bench.pairs import Row, compare
from tests.fixtures.aw import WINDOW, AwServer, event, stamp, start_aw
from tests.fixtures.aw_device import AwDevice
from tests.helpers import ship

EVENTS = 148_000
QUICK_EVENTS = 8_000
DAYS = 400
BUCKET = "aw-watcher-window_bench"
FIRST = datetime(2025, 6, 1, tzinfo=UTC)
MONTH = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
QUERY = (
    f'events = query_bucket("{BUCKET}");',
    'RETURN = merge_events_by_keys(events, ["app"]);',
)


def load(server: AwServer, count: int) -> None:
    """Import a history of one person's windows, spread over :data:`DAYS`."""
    dice = random.Random(3)
    begin_ms = int(FIRST.timestamp() * 1000)
    step_ms = DAYS * 86_400_000 // count
    apps = [f"program {n}" for n in range(40)]
    weights = [1 / (n + 1) for n in range(40)]
    events = []
    for n, app in enumerate(dice.choices(apps, weights, k=count)):
        at = begin_ms + n * step_ms + dice.randrange(step_ms // 4)
        length_s = round(min(dice.expovariate(1 / 40), step_ms / 2000), 3)
        events.append(event(at, length_s, app=app, title=f"document {dice.randrange(5000)}"))
    about = {"id": BUCKET, "type": WINDOW, "client": "bench", "hostname": "bench", "data": {}}
    server.take({BUCKET: about | {"created": stamp(begin_ms), "events": events}})


def ask_server(server: AwServer) -> dict[str, float]:
    """Seconds per program of the month, from the server."""
    period = "/".join(at.isoformat() for at in MONTH)
    (found,) = server.api("query/", {"query": list(QUERY), "timeperiods": [period]})
    return {item["data"]["app"]: item["duration"] for item in found}


def ask_lake(url: str) -> dict[str, float]:
    """The same from the lake. A slice is at most five minutes long, so it began that near."""
    begin, end = MONTH
    reach = begin - timedelta(minutes=5)
    found = (
        open_lake(url)
        .scan("window")
        .filter(pl.col("date").is_between(reach.date(), end.date()))
        .filter(pl.col("at") < end, pl.col("end") > begin)
        .group_by("app")
        .agg(
            pl.sum_horizontal(
                pl.min_horizontal("end", pl.lit(end)).dt.timestamp("us"),
                -pl.max_horizontal("at", pl.lit(begin)).dt.timestamp("us"),
            ).sum()
        )
        .collect()
    )
    return {app: us / 1e6 for app, us in found.rows()}


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Load both, see that they agree, and ask them by turns."""
    count = QUICK_EVENTS if quick else EVENTS
    server = start_aw(directory / "aw")
    try:
        load(server, count)
        now = FIRST + timedelta(days=DAYS + 1)
        device = AwDevice(directory / "home", server, now=int(now.timestamp() * 1e6))
        started = time.monotonic()
        device.read()
        yield Row(
            name="reading all of ActivityWatch's history into the spool",
            ours=f"{count:,} events", base="", value=f"{time.monotonic() - started:.1f} s",
        )  # fmt: skip
        ship(device.home)
        theirs, ours = ask_server(server), ask_lake(device.home.lake_url)
        assert theirs.keys() == ours.keys()
        assert all(abs(theirs[app] - ours[app]) < 0.01 for app in ours), (theirs, ours)

        yield compare(
            f"month per app of {count:,} events: lake.scan / a real aw-server's query",
            ours=lambda: _timed(lambda: ask_lake(device.home.lake_url)),
            base=lambda: _timed(lambda: ask_server(server)),
            units=1, unit="answers", rounds=3 if quick else 15, goal=10.0,
        )  # fmt: skip
    finally:
        server.stop()


def _timed(ask: Callable[[], object]) -> float:
    begin_s = time.perf_counter()
    ask()
    return time.perf_counter() - begin_s
