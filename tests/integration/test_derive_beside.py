"""Deriving beside all that goes on in a lake: devices that append, compaction, a reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from lifelog_lake.lake import parse_url
from lifelog_lake.lake.verify import verify
from lifelog_lake.recall.lake import open_lake
from tests.fixtures.derived import (
    add,
    make_summaries,
    make_thumbnails,
    pictured,
    raw_counts,
    wanted,
)
from tests.helpers import make_home, window

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 240
#: Frames whose contents other devices show, too, and windows of several days; as its own device.
APPEND = """
import sys, time
from pathlib import Path
from tests.fixtures.derived import DAY_S, lasting, pictured
from tests.fixtures.oracle import ship_until_well
from tests.helpers import make_home
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
root, url, number, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
home = make_home(root, lake=url)
shipper, spool, until_s, n = Shipper.of(home), Spool.of(home), time.monotonic() + seconds, 0
while n < 2 or time.monotonic() < until_s:
    start = (n % 40) * DAY_S + n * 60
    spool.append([pictured(start, f"device {number} frame {n}"), pictured(start + 1, f"all {n}")])
    spool.append([lasting("window", start, start + 50, app=f"app {n % 3}", title="x")])
    spool.append([lasting("afk", start, start + 30, status="not-afk")])
    ship_until_well(shipper)
    n += 1
"""
DERIVE = """
import sys
from pathlib import Path
from tests.fixtures.derived import make_summaries, make_thumbnails
from tests.helpers import make_home
home, stop = make_home(Path(sys.argv[1]), lake=sys.argv[2]), Path(sys.argv[3])
runs = 0
while runs < 2 or not stop.exists():
    make_thumbnails(home)
    make_summaries(home)
    runs += 1
"""
COMPACT = """
import sys, time
from pathlib import Path
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from lifelog_lake.lake import parse_url
store, stop = parse_url(sys.argv[1]), Path(sys.argv[2])
while not stop.exists():
    for stream in store.streams():
        try:
            handle = DeltaTable(store.table_url(stream), storage_options=store.table_options)
            handle.optimize.compact()
        except (DeltaError, OSError):
            pass  # another commit came first
    time.sleep(0.2)
"""
#: Whoever reads meanwhile finds every file, nothing twice, and never less than before.
READ = """
import sys
from pathlib import Path
from lifelog_lake.errors import UsageError
from lifelog_lake.recall.lake import open_lake
lake, stop = open_lake(sys.argv[1]), Path(sys.argv[2])
made = days = looks = 0
while looks < 2 or not stop.exists():
    found = lake.scan("thumbnail").select("id", "source_sha256").collect()
    assert found["source_sha256"].is_unique().all()
    assert found.height >= made, (found.height, made)
    made = found.height
    try:
        held = lake.days("2026-01-01", "2027-01-01")
        lake.app_days("2026-01-01", "2027-01-01")
    except UsageError:
        continue  # there are none yet
    assert not held.select("date", "stream", "device").is_duplicated().any()
    assert held.height >= days, (held.height, days)
    days, looks = held.height, looks + 1
"""


def python(code: str, *words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "LOG_LEVEL": "error"})


def beside(tmp_path: Path, url: str, devices: int, seconds: float) -> None:
    hub = make_home(tmp_path / "hub", lake=url)
    add(hub, pictured(0), window(0))
    make_thumbnails(hub)
    stop = tmp_path / "stop"
    others = [
        python(DERIVE, tmp_path / "hub", url, stop),
        python(DERIVE, tmp_path / "second hub", url, stop),
        python(COMPACT, url, stop),
        python(READ, url, stop),
    ]
    appending = [python(APPEND, tmp_path / f"device {n}", url, n, seconds) for n in range(devices)]
    try:
        assert [one.wait(WAIT_S + seconds) for one in appending] == [0] * devices
        stop.touch()
        assert [one.wait(WAIT_S) for one in others] == [0] * len(others)
    finally:
        for one in (*others, *appending):
            if one.poll() is None:
                one.kill()
                one.wait()
    make_thumbnails(hub)
    make_summaries(hub)
    lake = open_lake(url)
    made = lake.scan("thumbnail").collect()
    assert sorted(made["source_sha256"]) == sorted(wanted(hub))
    assert made["blob"].null_count() == 0
    streams = [name for name in lake.streams() if name != "thumbnail"]
    assert lake.days("2026-01-01", "2027-01-01").equals(raw_counts(hub, streams))
    whole = lake.usage("2026-01-01", "2027-01-01", by=["app"])
    days = lake.app_days("2026-01-01", "2027-01-01").group_by("app").agg(pl.col("time").sum())
    assert dict(days.iter_rows()) == dict(whole.iter_rows())
    report = verify(parse_url(url), read_data=True)
    assert report.findings == [], "\n".join(map(str, report.findings))


def test_deriving_beside_devices_compaction_and_a_reader(tmp_path: Path) -> None:
    beside(tmp_path, str(tmp_path / "lake"), 2, 0)


@pytest.mark.soak  # each part of it runs on S3 in tests/crash/test_derive.py
def test_the_same_on_s3(tmp_path: Path, s3_url: str) -> None:
    beside(tmp_path, s3_url, 1, 0)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_minute_with_eight_devices(tmp_path: Path) -> None:
    beside(tmp_path, str(tmp_path / "lake"), 8, 60)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_minute_with_eight_devices_on_s3(tmp_path: Path, s3_url: str) -> None:
    beside(tmp_path, s3_url, 8, 60)
