"""Two hubs at once, with and without a lease, and a device's key: on a disk and on S3."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from lifelog_lake.care import compact, tidy
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LakeDenied
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import Store
from tests.fixtures.piles import content, opened, pile
from tests.fixtures.s3 import DEVICE, S3Server
from tests.helpers import make_home, verified

ROOT = Path(__file__).resolve().parents[2]
GATE = """
import sys, time
from pathlib import Path
from tests.helpers import make_home
from lifelog_lake.lake import parse_url
home = make_home(Path(sys.argv[1]), lake=sys.argv[2], init=False)
store = parse_url(sys.argv[2], home)
def gate():
    Path(sys.argv[3]).touch()
    while not Path(sys.argv[4]).exists():
        time.sleep(0.005)
"""
#: Both have the same snapshot and the same group in hand before either merges.
WITHOUT_A_LEASE = (
    GATE
    + """
from lifelog_lake.lake import rewrite
from lifelog_lake.lake.tail import Tail
from tests.fixtures.piles import opened
handle = opened(store)
files, schema = rewrite.live_files(handle), rewrite.row_schema(handle)
gate()
found = rewrite.merge(store, Tail(store, "window", handle.version()), "window", schema, files,
    most_bytes=2**28, keep=lambda: None, now_us=lambda: time.time_ns() // 1000)
print("merged" if found.merged else "raced" if found.raced else "odd")
"""
)
WITH_A_LEASE = (
    GATE
    + """
from lifelog_lake.care import compact
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import Locked
gate()
try:
    found = compact.run(home, store, SystemClock())
    print("merged" if found.counts["files merged"] else "nothing")
except Locked:
    print("locked")
"""
)


def together(code: str, directory: Path, url: str) -> Counter[str]:
    """Two processes that go through a gate at the same moment; what they print."""
    go = directory / "go"
    ready = [directory / f"ready-{n}" for n in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(directory / "home"), url, str(mark), str(go)],
            cwd=ROOT,
            env={**os.environ, "LOG_LEVEL": "error"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for mark in ready
    ]
    try:
        deadline_s = time.monotonic() + 120
        while not all(mark.exists() for mark in ready):
            assert all(process.poll() is None for process in processes)
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        go.touch()
        said = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    return Counter(text.splitlines()[-1] for text in said)


@pytest.fixture(params=["disk", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        found: str = request.getfixturevalue("s3_url")
        return found
    return str(tmp_path / "lake")


def test_two_compactors_of_one_snapshot_double_nothing(url: str, tmp_path: Path) -> None:
    """Whether or not they know of each other. delta-rs 1.6.4 to 1.6.6 would commit both."""
    home = make_home(tmp_path / "home", lake=url)
    store: Store = parse_url(url, home)
    writer = pile(store, 30, rows=2)
    before = content(store)
    assert together(WITHOUT_A_LEASE, tmp_path, url) == {"merged": 1, "raced": 1}
    assert content(store).equals(before)
    assert len(opened(store).file_uris()) == 1
    keys = [key for key in store.keys("tables/window/date=2026-01-02") if "parquet" in key]
    assert len(keys) == 31, "the loser's file is gone"
    from tests.fixtures.piles import windows

    writer.commit(*windows(30, first=60))
    before = content(store)
    again = tmp_path / "again"
    (again / "home").parent.mkdir()
    (again / "home").symlink_to(tmp_path / "home")
    said = together(WITH_A_LEASE, again, url)
    assert said["merged"] == 1, said
    assert content(store).equals(before)
    verified(home)


def test_a_devices_key_may_not_care(
    tmp_path: Path, s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home", lake=s3_url)
    pile(parse_url(s3_url, home), 30)
    for name, value in s3_server.environment(DEVICE).items():
        monkeypatch.setenv(name, value)
    store = parse_url(s3_url, home)
    for job in (compact, tidy):
        with pytest.raises(LakeDenied, match=r"may not care .*the hub's work"):
            job.run(home, store, SystemClock())
    assert len(opened(store).file_uris()) == 30
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    store = parse_url(s3_url, home)
    assert compact.run(home, store, SystemClock()).counts["files merged"] == 30
    assert tidy.run(home, store, SystemClock(), keep_s=-5).counts["data files removed"] == 30
    verified(home)
