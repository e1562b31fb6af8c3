"""The lake on a real S3 server: everything that is read of a local one is read of this one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from deltalake import DeltaTable

from lifelog_lake.lake import parse_url
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.spool import Spool
from tests.fixtures.s3 import S3Server, listed
from tests.helpers import frame, ids, make_home, pulse, ship, verified, window

DAY = (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))


def test_what_goes_in_comes_out(tmp_path: Path, s3_server: S3Server, s3_url: str) -> None:
    home = make_home(tmp_path / "home", lake=s3_url)
    spool = Spool.of(home)
    spool.append([window(n) for n in range(5)])
    spool.append([frame(n) for n in range(3)])
    spool.append([frame(0)])
    spool.append([pulse(0)])
    done = ship(home)
    assert (done.rows, done.blobs) == (10, 3)
    assert len(ids(home, "window")) == 5
    report = verified(home)
    assert (report.blobs, report.tables) == (3, 3)
    lake = open_lake(s3_url)
    there = lake.timeline(*DAY)
    assert there.height == 9
    blob = lake.blob(there.filter(there["stream"] == "screen")["blob"][0])
    assert blob.read() == b"frame 0"
    assert blob.seek(0, 2) == 7
    assert sorted(lake.streams()) == ["pulse", "screen", "window"]
    store = parse_url(s3_url)
    table = DeltaTable(store.table_url("window"), storage_options=store.table_options)
    assert table.version() == 1
    assert "lake.json" in listed(s3_server, s3_url)
    assert not (tmp_path / "home" / "lake").exists()
