"""Compaction: a day of eight devices that ship each minute, and the same behind ten times the
history.

The reference is delta-rs's own ``optimize.compact`` on a copy; it neither compares hashes nor sorts
nor compares rows nor syncs. Files are of our kind; only the commits that brought them are fewer
than they would be (a hundred files each), as they aren't what is measured.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import psutil
import pyarrow as pa
from deltalake import DeltaTable

from lifelog_lake.care import compact, tidy
from lifelog_lake.clock import US_PER_S, to_us
from lifelog_lake.home import Home
from lifelog_lake.lake import datafile, parse_url
from lifelog_lake.lake.local import LocalTarget
from lifelog_lake.lake.store import entry_key
from tests.bench.pairs import Row, compare
from tests.fixtures import piles
from tests.helpers import FixedClock, make_home, window

DEVICES, COMMITS, ROWS = 8, 1440, 5
A_COMMIT = 100
TODAY = date(2026, 1, 2)
#: The day is over and quiet, so that it becomes one file.
CLOCK_US = to_us(datetime(2030, 1, 1, tzinfo=UTC))
#: By the store's own clock nothing is old yet.
EVERYTHING_S = 20 * 365 * 86_400
MOST_RATIO = 1.3
MOST_BYTES = 3.0


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """A day against the engine; a day after a short and a long history; a day by the hour."""
    commits = COMMITS // 20 if quick else COMMITS
    rounds = 3 if quick else 7
    day = _lake(directory / "day", days=0, devices=DEVICES, commits=commits)
    yield from _against_the_engine(directory, day, DEVICES * commits, rounds)
    yield from _history(directory, commits, 20 if quick else 365, rounds)
    yield from _by_the_hour(directory, 60 if quick else COMMITS)


def _against_the_engine(directory: Path, day: Home, files: int, rounds: int) -> Iterator[Row]:
    written = read = 0

    def ours() -> float:
        nonlocal written, read
        home = _copy(day, directory / "ours")
        store = parse_url(home.lake_url, home)
        began_s = time.perf_counter()
        found = compact.run(home, store, FixedClock(CLOCK_US))
        took_s = time.perf_counter() - began_s
        assert found.counts["files merged"] == files
        assert found.counts["files written"] == 1
        written, read = found.counts["bytes written"], found.counts["bytes read"]
        return took_s

    def engine() -> float:
        home = _copy(day, directory / "engine")
        url = parse_url(home.lake_url, home).table_url("window")
        began_s = time.perf_counter()
        DeltaTable(url).optimize.compact()
        return time.perf_counter() - began_s

    yield compare(
        f"compaction of {files:,} files of a day / delta-rs optimize.compact", ours=ours,
        base=engine, units=files, unit="files", rounds=rounds, warm_up=1,
    )  # fmt: skip
    yield Row(
        name=f"bytes written for a byte merged, {files:,} files", ours=f"{written:,}",
        base=f"{read:,}", value=f"{written / read:.3f}", goal=f"at most {MOST_BYTES:g}",
        met=written / read <= MOST_BYTES,
    )  # fmt: skip
    yield Row(
        name="memory of this process afterwards, highest", ours="-", base="-",
        value=f"{_peak_mib()} MiB",
    )  # fmt: skip
    home = _copy(day, directory / "ours")
    store = parse_url(home.lake_url, home)
    compact.run(home, store, FixedClock(CLOCK_US))
    began_s = time.perf_counter()
    found = tidy.run(home, store, FixedClock(CLOCK_US), keep_s=-EVERYTHING_S)
    took_s = time.perf_counter() - began_s
    yield Row(
        name=f"tidying after it: {found.counts['data files removed']:,} files removed", ours="-",
        base="-", value=f"{took_s:.1f} s",
    )  # fmt: skip


def _history(directory: Path, commits: int, days: int, rounds: int) -> Iterator[Row]:
    """One device's day in a table of so many days, and of ten times as many."""
    lakes = {
        factor: _lake(
            directory / f"history-{factor}", days=days * factor, devices=1, commits=commits
        )
        for factor in (1, 10)
    }
    took: dict[int, list[float]] = {1: [], 10: []}
    for _ in range(rounds):
        for factor, lake in lakes.items():
            home = _copy(lake, directory / "copy")
            store = parse_url(home.lake_url, home)
            began_s = time.perf_counter()
            found = compact.run(home, store, FixedClock(CLOCK_US))
            took[factor].append(time.perf_counter() - began_s)
            assert found.counts["files merged"] == commits
    ratios = [long / short for short, long in zip(took[1], took[10], strict=True)]
    ratio = statistics.median(ratios)
    yield Row(
        name=f"a day of {commits:,} files behind {days * 10:,} days / behind {days:,}",
        ours=f"{statistics.median(took[10]) * 1000:.0f} ms",
        base=f"{statistics.median(took[1]) * 1000:.0f} ms",
        value=f"{ratio:.2f}", goal=f"at most {MOST_RATIO}", met=ratio <= MOST_RATIO, rounds=rounds,
    )  # fmt: skip


def _by_the_hour(directory: Path, commits: int) -> Iterator[Row]:
    """One device's day as it comes, compaction each hour: bytes rewritten for a byte written."""
    home = _lake(directory / "hours", days=0, devices=0, commits=0)
    store = parse_url(home.lake_url, home)
    assert isinstance(store, LocalTarget)
    start_us = to_us(datetime.combine(TODAY, datetime.min.time(), UTC))
    appended = written = 0
    began_s = time.perf_counter()
    for hour in range(24):
        files = [
            _file(store, f"{TODAY}", _rows(1, hour * 60 + minute))
            for minute in range(commits // 24)
        ]
        appended += sum(file.size_bytes for file in files)
        _commit(store, files)
        clock = FixedClock(start_us + (hour + 1) * 3600 * US_PER_S)
        written += compact.run(home, store, clock).counts["bytes written"]
    written += compact.run(home, store, FixedClock(CLOCK_US)).counts["bytes written"]
    took_s = time.perf_counter() - began_s
    files_left = len(DeltaTable(store.table_url("window")).file_uris())
    yield Row(
        name=f"a day of {commits:,} commits, compacted each hour: bytes rewritten a byte written",
        ours=f"{written:,}", base=f"{appended:,}",
        value=f"{written / appended:.2f}, {files_left} files stay, {took_s:.1f} s in all",
        goal=f"at most {MOST_BYTES:g}", met=written <= MOST_BYTES * appended,
    )  # fmt: skip


def _lake(directory: Path, *, days: int, devices: int, commits: int) -> Home:
    """A home whose window table has one file on each of so many days, and a day of small ones."""
    home = make_home(directory)
    store = parse_url(home.lake_url, home)
    assert isinstance(store, LocalTarget)
    piles.Writer(store).table.snapshot()
    if days:
        past = _rows(9, 0, count=3000)
        dates = [f"{TODAY - timedelta(days=number)}" for number in range(1, days + 1)]
        _commit(store, [_file(store, day, past) for day in dates])
    files = [
        _file(store, f"{TODAY}", _rows(device, minute))
        for minute in range(commits)
        for device in range(devices)
    ]
    for start in range(0, len(files), A_COMMIT):
        _commit(store, files[start : start + A_COMMIT])
    DeltaTable(store.table_url("window")).create_checkpoint()
    return home


def _rows(device: int, minute: int, count: int = ROWS) -> pa.Table:
    events = [window(minute * 60 + n * 60 // count) for n in range(count)]
    rows = piles.rows("window", events, minute * count, f"device-{device}")
    return rows.drop_columns(["date"])


def _file(store: LocalTarget, day: str, rows: pa.Table) -> datafile.DataFile:
    """As :func:`datafile.write` does it, but for the syncs."""
    content = datafile.encode(rows)
    path = f"date={day}/{hashlib.sha256(content).hexdigest()}.parquet"
    place = store.place(f"tables/window/{path}")
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    return datafile.DataFile(
        path=path, date=day, size_bytes=len(content), rows=rows.num_rows,
        stats=datafile.statistics(rows),
    )  # fmt: skip


def _commit(store: LocalTarget, files: Sequence[datafile.DataFile]) -> None:
    version = 0
    while store.place(entry_key("window", version)).exists():
        version += 1
    lines = [
        {
            "add": {
                "path": file.path,
                "size": file.size_bytes,
                "partitionValues": {"date": file.date},
                "modificationTime": 0,
                "dataChange": True,
                "stats": file.stats,
            }
        }
        for file in files
    ]
    content = b"\n".join(map(orjson.dumps, lines))
    assert store.write_new(entry_key("window", version), content, at="bench")


def _copy(home: Home, directory: Path) -> Home:
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(home.path, directory)
    return make_home(directory, init=False)


def _peak_mib() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return psutil.Process().memory_info().rss >> 20
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) >> 10
