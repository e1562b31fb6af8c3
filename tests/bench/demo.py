"""``lifelog demo``: how long twenty million invented events take, and what they need.

Another process fills a lake, as a person does. There is no baseline: the goal is minutes, and
memory that doesn't grow with the days.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl

import lifelog_lake
from tests.bench.pairs import Row

DAYS, EVENTS_PER_DAY = 1_000, 20_000
LAST_DAY = "2026-05-31"
MOST_S, MOST_MIB = 300, 1_024


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """One lake of years; with ``quick`` a twentieth of the days, without a goal for the time."""
    days = DAYS // 20 if quick else DAYS
    started_s = time.perf_counter()
    peak_mib = fill(directory, days)
    took_s = time.perf_counter() - started_s
    lake = lifelog_lake.open_lake(str(directory / "lake"))
    rows = sum(lake.scan(name).select(pl.len()).collect().item() for name in lake.streams())
    tables, blobs = (_mib(directory / "lake" / name) for name in ("tables", "blobs"))
    name = f"lifelog demo, {rows:,} events of {days} days"
    yield Row(
        name=f"{name}: time",
        ours=f"{rows / took_s:,.0f} events/s",
        base="",
        value=f"{took_s:.0f} s",
        goal=None if quick else f"at most {MOST_S} s",
        met=None if quick else took_s <= MOST_S,
    )
    yield Row(
        name=f"{name}: memory, highest",
        ours=f"tables {tables} MiB, blobs {blobs} MiB",
        base="",
        value=f"{peak_mib} MiB",
        goal=f"at most {MOST_MIB} MiB",
        met=peak_mib <= MOST_MIB,
    )


def _mib(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) >> 20


def fill(home: Path, days: int) -> int:
    """Make or finish a demo lake that ends at :data:`LAST_DAY`; highest memory in MiB."""
    words = ("demo", f"--days={days}", f"--events-per-day={EVENTS_PER_DAY}", f"--end={LAST_DAY}")
    process = subprocess.Popen(
        [sys.executable, "-m", "lifelog_lake", "--home", str(home), *words],
        stdout=subprocess.DEVNULL,
    )
    peak_mib = _highest_mib(process)
    if process.returncode:
        raise SystemExit(f"lifelog demo ended with {process.returncode}.")
    return peak_mib


def _highest_mib(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end. Not ru_maxrss: that counts what the parent had before the program began."""
    highest_kib = 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    highest_kib = int(line.split()[1])
        time.sleep(0.05)
    return highest_kib // 1024
