"""The journal: writing an entry, and a million of them listed and exported."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson

from lifelog_lake.clock import US_PER_S, utc
from lifelog_lake.events import new_id
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import init_lake, parse_url, require_known
from lifelog_lake.lake.schema import to_table
from lifelog_lake.lake.table import StreamTable
from lifelog_lake.recall.journal.journal import Journal
from lifelog_lake.recall.journal.model import NewEntry
from lifelog_lake.recall.journal.pages import Query
from lifelog_lake.recall.journal.spooled import open_journal
from lifelog_lake.recall.lake import Lake
from tests.bench import journal_api
from tests.bench.pairs import Row

ENTRIES, QUICK_ENTRIES = 1_000_000, 20_000
PORTION = 10_000
CREATES, LISTS = 2_000, 101
PAGE = 50
MOST_CREATE_MS, MOST_PAGE_MS, MOST_DAY_MS, MOST_MEMORY_MIB = 30.0, 50.0, 100.0, 64.0
T0 = 1_700_000_000 * US_PER_S

#: Exports in a process of its own: what it has at most, beyond what it had before.
EXPORT = """
import sys, time
from pathlib import Path
from lifelog_lake.home import open_home
from lifelog_lake.recall.journal.exporting import export_file
from lifelog_lake.recall.journal.pages import Query
from lifelog_lake.recall.journal.spooled import open_journal
def peak_kib():  # not ru_maxrss: that counts what the parent had before the program was loaded
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1])
journal = open_journal(open_home(Path(sys.argv[1])))
journal.page(Query())
before = peak_kib()
began = time.perf_counter()
done = export_file(journal, Path(sys.argv[2]), sys.argv[3])
took = time.perf_counter() - began
print(done.entries, took, peak_kib() - before)
"""


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Entries written one by one; then a lake of a million."""
    yield _create(directory / "small", 200 if quick else CREATES, quick=quick)
    count = QUICK_ENTRIES if quick else ENTRIES
    home = fill(directory / "large", count)
    journal = open_journal(home)
    began_s = time.perf_counter()
    journal.page(Query())
    took_s = time.perf_counter() - began_s
    yield Row(
        name=f"the index of {count:,} entries, from nothing",
        ours=f"{count / took_s:,.0f}/s",
        base="",
        value=f"{took_s:.1f} s",
    )
    yield from _pages(journal, count, quick=quick)
    journal.close()
    yield _day(home, count, quick=quick)
    for kind in ("jsonl", "zip"):
        yield _export(home, directory / f"out.{kind}", kind, count, quick=quick)
    yield from journal_api.run(directory / "api", quick=quick)


def _create(path: Path, rounds: int, *, quick: bool) -> Row:
    home = _home(path)
    journal = open_journal(home)
    took: list[float] = []
    for number in range(rounds):
        entry = NewEntry(title=f"entry {number}", description="some words " * 20, tags=("a", "b"))
        began_s = time.perf_counter()
        journal.create(entry)
        took.append((time.perf_counter() - began_s) * 1000)
    journal.close()
    p95 = statistics.quantiles(took, n=20)[-1]
    return Row(
        name="create an entry, durable, p95 (p50)",
        ours=f"{p95:.2f} ms",
        base="",
        value=f"{p95:.2f} ms ({statistics.median(took):.2f} ms)",
        goal=f"at most {MOST_CREATE_MS:.0f} ms",
        met=None if quick else p95 <= MOST_CREATE_MS,
        rounds=rounds,
    )


def _pages(journal: Journal, count: int, *, quick: bool) -> Iterator[Row]:
    cursor = None
    for _ in range(min(1000, count // PAGE) - 1):
        cursor = journal.page(Query(), limit=PAGE, cursor=cursor).cursor
    asked = {
        "page 1": (Query(), None),
        "page 1000": (Query(), cursor),
        "page 1 with a rare tag": (Query(tags=("rare",)), None),
        "page 1 with a common tag, by created_at": (
            Query(tags=("even",), sort="created_at"),
            None,
        ),
    }
    for name, (query, after) in asked.items():
        took = []
        for _ in range(11 if quick else LISTS):
            began_s = time.perf_counter()
            assert len(journal.page(query, limit=PAGE, cursor=after).entries) > 0
            took.append((time.perf_counter() - began_s) * 1000)
        ms = statistics.median(took)
        yield Row(
            name=f"{name} of {count:,} entries, {PAGE} a page",
            ours=f"{ms:.1f} ms",
            base="",
            value=f"{ms:.1f} ms",
            goal=f"at most {MOST_PAGE_MS:.0f} ms",
            met=None if quick else ms <= MOST_PAGE_MS,
            rounds=len(took),
        )


def _day(home: Home, count: int, *, quick: bool) -> Row:
    store = parse_url(home.lake_url, home)
    lake = Lake(store, require_known(home, store), home)
    day = (utc(T0).replace(hour=0, minute=0, second=0) + timedelta(days=500)).date()
    took = []
    for _ in range(11 if quick else LISTS):
        began_s = time.perf_counter()
        assert lake.timeline(day, streams="journal").height > 0
        took.append((time.perf_counter() - began_s) * 1000)
    ms = statistics.median(took)
    return Row(
        name=f"the timeline of a day, of {count:,} entries in 1,000 days",
        ours=f"{ms:.1f} ms",
        base="",
        value=f"{ms:.1f} ms",
        goal=f"at most {MOST_DAY_MS:.0f} ms",
        met=None if quick else ms <= MOST_DAY_MS,
        rounds=len(took),
    )


def _export(home: Home, out: Path, kind: str, count: int, *, quick: bool) -> Row:
    command = [sys.executable, "-c", EXPORT, str(home.path), str(out), kind]
    env = {**os.environ, "LIFELOG_LAKE__URL": home.lake_url}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    entries, took_s, more_kib = done.stdout.split()
    assert int(entries) == count
    more_mib = int(more_kib) / 1024
    return Row(
        name=f"export of {count:,} entries as {kind}: memory beyond a list's",
        ours=f"{count / float(took_s):,.0f}/s",
        base="",
        value=f"{more_mib:.0f} MiB, {float(took_s):.1f} s, {out.stat().st_size / 2**20:,.0f} MiB",
        goal=f"at most {MOST_MEMORY_MIB:.0f} MiB",
        met=None if quick else more_mib <= MOST_MEMORY_MIB,
    )


def _home(path: Path) -> Home:
    home = open_home(path, flags={"spool": {"min_free_bytes": 0}})
    init_lake(home)
    return home


def fill(path: Path, count: int) -> Home:
    """A lake with so many entries, a tenth of them edited once, over a thousand days."""
    home = _home(path)
    table = StreamTable(parse_url(home.lake_url, home), "journal")
    step_us = 1000 * 86_400 * US_PER_S // count
    seq = 0
    for start in range(0, count, PORTION):
        rows = []
        for number in range(start, min(start + PORTION, count)):
            at = T0 + number * step_us
            first = _row(number, at, None, 1)
            rows.append((seq, first))
            seq += 1
            if number % 10 == 0:
                rows.append((seq, _row(number, at, first["id"], 2)))
                seq += 1
        arrow = to_table("journal", rows, device="bench", epoch="bench", ingested_at=T0)
        table.snapshot().commit(arrow, "bench/journal/bench", rows[-1][0])
        table.checkpoint_if_due()
    return home


def _row(number: int, at: int, parent: object, lamport: int) -> dict[str, object]:
    tags = [*(["even"] if number % 2 == 0 else []), *(["rare"] if number % 1000 == 0 else [])]
    data = {
        "entry_id": f"entry-{number:08}",
        "parent": parent,
        "lamport": lamport,
        "deleted": False,
        "created_at": at,
        "written_at": at + lamport,
        "title": f"Entry {number}",
        "description": f"What happened then, in a few words that differ: {number * 7919}.",
        "tags": tags,
        "metadata": orjson.dumps({"number": number}).decode() if number % 3 == 0 else None,
    }
    return {"id": new_id(), "at": at, "tz": "Etc/UTC", "data": data}
