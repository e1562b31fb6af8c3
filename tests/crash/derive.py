"""Kills the jobs that derive tables at one fault point after the other.

``python -m tests.crash.derive DIR [s3://bucket/prefix [MOST]]``: as :mod:`tests.crash.sweep`, whose
parts it uses. Prints one JSON line a kill.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from pathlib import Path

import orjson
import polars as pl
import structlog

from lifelog_lake import fsio
from lifelog_lake.care import summaries, thumbnails
from lifelog_lake.care.thumbnail_index import ThumbnailIndex
from lifelog_lake.clock import SystemClock
from lifelog_lake.events import Event
from lifelog_lake.lake import parse_url, s3
from lifelog_lake.lake.store import table_key
from lifelog_lake.lake.verify import verify
from lifelog_lake.recall.days import TABLE
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.recall.tables import scan
from lifelog_lake.spool import Spool
from tests.crash import workload
from tests.crash.sweep import (
    Killer,
    Point,
    Recorder,
    chosen,
    fork,
    out_of_process,
    place,
    run,
    wait,
)
from tests.fixtures.derived import DAY_S, lasting, pictured
from tests.helpers import frame

# So that the sweep passes several batches, and checkpoints too.
thumbnails.BATCH = 2


def prepare(base: Path, lake: str | None) -> None:
    """A lake of which a part is derived already, and new rows, a known content among them."""
    home = workload.make_home(base, lake and f"{lake}/base")
    _record(base, [pictured(0), frame(1, b"no picture"), *_worked(0)])
    work(base)
    _record(base, [pictured(n * DAY_S // 2) for n in range(2, 5)])
    _record(base, [pictured(9, "frame 0"), *_worked(1), *_worked(31)])
    assert home.device


def _worked(day: int) -> list[Event]:
    start = day * DAY_S + 36_000
    return [
        lasting("window", start, start + 900, app="editor", title="x"),
        lasting("afk", start, start + 600, status="not-afk"),
    ]


def _record(root: Path, events: list[Event]) -> None:
    home = workload.open_made(root)
    spool = Spool.of(home)
    for event in events:
        spool.append([event])
    workload.ship(home)


def work(root: Path) -> None:
    """The run that is killed, and the one after it."""
    home = workload.open_made(root)
    store = parse_url(home.lake_url, home)
    for job in (thumbnails, summaries):
        job.run(home, store, SystemClock())


def problems(root: Path) -> list[str]:
    """Run once more, and say what isn't as if nobody had been killed."""
    work(root)
    home = workload.open_made(root)
    store = parse_url(home.lake_url, home)
    lake = open_lake(home.lake_url)
    found = [f"verify: {item}" for item in verify(store, read_data=True).findings]
    contents = sorted(lake.scan("screen").select("blob").unique().collect()["blob"])
    made = lake.scan("thumbnail").collect()
    if sorted(made["source_sha256"]) != contents:
        found.append(f"{made.height} thumbnails of {len(contents)} contents")
    if made.filter(pl.col("blob").is_null()).height != 1:
        found.append("what is no picture isn't noted once")
    index = ThumbnailIndex(home.path, store)
    index.refresh()
    if any(index.get(row["source_sha256"]) != row["blob"] for row in made.to_dicts()):
        found.append("the index says something else")
    index.close()
    again = [job.run(home, store, SystemClock()) for job in (thumbnails, summaries)]
    found += [f"left: {outcome.words()}" for outcome in again if any(outcome.counts.values())]
    order = ("date", "stream", "device")
    summed = scan(store, TABLE).sort(order).collect()
    for key in list(store.keys(table_key(TABLE))):
        store.delete(key, at="test")
    summaries.run(home, store, SystemClock())
    if not scan(store, TABLE).sort(order).collect().equals(summed):
        found.append("made anew, the summaries are others")
    return found


def record(base: Path, directory: Path) -> list[str]:
    """The fault points that the work passes, in order."""
    root, out = place(base, directory), directory / "points.json"

    def noted() -> None:
        recorder = Recorder()
        fsio.install_hook(recorder)
        work(root)
        out.write_bytes(orjson.dumps(recorder.names))

    run(noted)
    names: list[str] = orjson.loads(out.read_bytes())
    return names


def one(base: Path, directory: Path, point: Point) -> tuple[list[str], int]:
    """Kill once, run again, and say what is wrong."""
    root = place(base, directory)

    def killed() -> None:
        fsio.install_hook(Killer(point))
        work(root)

    code = wait(fork(killed))
    try:
        return out_of_process(directory, lambda: problems(root)), code
    except RuntimeError as error:
        return [str(error)], code


def sweep(directory: Path, lake: str | None = None, most: int = 0) -> None:
    """Kill at each fault point where it comes first; with ``most`` at so many, spread over all."""
    base = directory / "base"
    base.mkdir()
    run(lambda: prepare(base, lake))
    names = record(base, directory)
    print(orjson.dumps({"points": Counter(names)}).decode(), flush=True)
    points = chosen(names, "first")
    for point in points[:: -(-len(points) // most) if most else 1]:
        found, code = one(base, directory, point)
        print(
            orjson.dumps({"point": point[0], "exit": code, "problems": found}).decode(), flush=True
        )


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    assert s3  # imported before the first fork, and not used
    lake, most = [*sys.argv[2:], None, None][:2]
    sweep(Path(sys.argv[1]), lake or None, int(most or 0))
