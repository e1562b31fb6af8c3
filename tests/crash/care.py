"""Kills compaction and tidying at one fault point after the other, on a disk or on S3.

``python -m tests.crash.care DIR all|some [s3://bucket/prefix [MOST]]``. The table is read as it was
left, then care goes on as the next run does, and the table is read again: each time it must hold
just the rows that it held before.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections import Counter
from pathlib import Path

import orjson
import structlog

from lifelog_lake import fsio
from lifelog_lake.care import compact, tidy
from lifelog_lake.clock import SystemClock
from lifelog_lake.lake import checkpoint, datafile
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.verify import verify
from tests.crash import sweep, workload
from tests.crash.sweep import Killer, Point, Recorder, out_of_process, run
from tests.fixtures.piles import Writer, windows

STREAM = "window"
CLOCK = SystemClock()


def prepare(base: Path, lake: str | None) -> None:
    """Two dozen small files and more, checkpoints between, a file that no log names."""
    workload.make_home(base, lake and f"{lake}/base")
    store = workload.store_of(base)
    writer = Writer(store)
    first = 0
    for commits in (14, 5, 5):
        writer.commit(*windows(commits, rows=2, first=first))
        checkpoint.make(store, STREAM)
        first += 2 * commits
    writer.commit(*windows(3, rows=2, first=first))
    orphan = datafile.split_by_day(writer.rows(windows(1)[0]))[0][1]
    datafile.write(store, STREAM, "2026-01-02", orphan)


def work(root: Path) -> None:
    """One run of care. Everything counts as old, even by a server that tells whole seconds."""
    home = workload.open_made(root)
    store = workload.store_of(root)
    found = [compact.run(home, store, CLOCK), tidy.run(home, store, CLOCK, keep_s=-5)]
    if findings := [finding for each in found for finding in each.findings]:
        raise RuntimeError(str(findings))


def ship_on(root: Path) -> None:
    """Another device's rows come and go as before."""
    Writer(workload.store_of(root), device="phone").commit(*windows(1))


def rows(root: Path) -> str:
    """A digest of all rows that processes can compare; empty files of a listing are an error."""
    table = workload.table_of(workload.store_of(root), STREAM)
    found = sorted(repr(row) for row in table.to_pyarrow_table().to_pylist())
    return f"{len(found)} {hashlib.sha256(repr(found).encode()).hexdigest()}"


def problems(root: Path) -> list[str]:
    """What verify says."""
    report = verify(workload.store_of(root), read_data=True)
    return [f"verify: {item.kind} {item.where} {item.message}" for item in report.findings]


def left(root: Path) -> list[str]:
    """What care should have removed in the end, and didn't."""
    store: Store = workload.store_of(root)
    files = workload.table_of(store, STREAM).file_uris()
    there = [key for key in store.keys(f"tables/{STREAM}") if key.endswith(".parquet")]
    data = [key for key in there if "_delta_log" not in key]
    found = [] if len(files) <= 2 else [f"{len(files)} files are in use"]
    if len(data) != len(files):
        found.append(f"{len(data)} files are there, {len(files)} are in use")
    if store.disk is not None:
        found += [f"{path.name} was left" for path in store.disk.rglob(".tmp-*")]
    return found


def looked(root: Path, expected: str, when: str) -> list[str]:
    """What is wrong with the lake as it is."""
    found = [f"{when}: {each}" for each in problems(root)]
    return found if rows(root) == expected else [*found, f"{when}: other rows"]


def after(root: Path, expected: str) -> list[str]:
    """Look, go on as the next run does, and look again; then rows come as before."""
    found = looked(root, expected, "after the kill")
    work(root)
    found += looked(root, expected, "after the next run")
    ship_on(root)
    work(root)
    return [*found, *problems(root), *left(root)]


def one(base: Path, directory: Path, point: Point, expected: str) -> tuple[list[str], int]:
    """Kill once and say what is wrong."""
    root = sweep.place(base, directory)

    def killed() -> None:
        fsio.install_hook(Killer(point))
        work(root)

    code = sweep.wait(sweep.fork(killed))
    try:
        return out_of_process(directory, lambda: after(root, expected)), code
    except RuntimeError as error:
        return [str(error)], code


def chosen(names: list[str], which: str) -> list[Point]:
    """``some``: once after each kind of operation, as what is before one is after another; ``all``:
    before and after, where each comes first and last."""
    if which == "all":
        return sweep.chosen(names, "plain")
    return [point for point in sweep.chosen(names, "") if point[0].endswith(".done")]


def main(directory: Path, which: str, lake: str | None = None, most: str = "0") -> None:
    """Print the points, then one JSON line a kill."""
    base = directory / "base"
    base.mkdir()
    run(lambda: prepare(base, lake))
    expected = out_of_process(directory, lambda: rows(base))
    root = sweep.place(base, directory)
    out = directory / "points.json"

    def noted() -> None:
        recorder = Recorder()
        fsio.install_hook(recorder)
        work(root)
        out.write_bytes(orjson.dumps(recorder.names))

    run(noted)
    names: list[str] = orjson.loads(out.read_bytes())
    print(orjson.dumps({"points": Counter(names)}).decode(), flush=True)
    points = chosen(names, which)
    for point in points[:: -(-len(points) // int(most)) if int(most) else 1]:
        found, code = one(base, directory, point, expected)
        line = {"point": point[0], "number": point[1], "exit": code, "problems": found}
        print(orjson.dumps(line).decode(), flush=True)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    main(Path(sys.argv[1]), *sys.argv[2:])
