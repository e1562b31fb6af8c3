"""Kills a device at one fault point after the other.

``python -m tests.crash.sweep PATH DIR START STEP [s3://bucket/prefix]``: kills at each STEPth of
the points, from the STARTth on (0 1: at all); with an address the lake is there.

A process of its own, because it forks: everything is imported here and nothing used, so that each
run starts in milliseconds with no thread of Delta's runtime in it. Prints one JSON line a kill.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson
import structlog

from lifelog_lake import fsio
from lifelog_lake.lake import s3
from tests.crash import workload

T = TypeVar("T")
#: A fault point: its name, and how often it was passed before.
Point = tuple[str, int]


class Recorder:
    """Notes the name of every fault point in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def before(self, op: fsio.Op) -> None:
        self.names.append(op.name)

    def after(self, op: fsio.Op) -> None:
        self.names.append(op.name)


class Killer:
    """Kills the process at the n-th time (from 0) that it passes a fault point."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._seen: Counter[str] = Counter()

    def before(self, op: fsio.Op) -> None:
        if (op.name, self._seen[op.name]) == self._point:
            os.kill(os.getpid(), signal.SIGKILL)
        self._seen[op.name] += 1

    after = before


def fork(run: Callable[[], None]) -> int:
    """Run in a forked process; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        run()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def wait(pid: int) -> int:
    """Exit code of a forked process, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(action: Callable[[], None]) -> None:
    """Run in a forked process that must succeed."""
    if wait(fork(action)):
        raise RuntimeError("a run that wasn't killed failed; its traceback is above")


def chosen(names: list[str], path: str) -> list[Point]:
    """Which points to kill at: each where it comes first, and on the plain path last too.

    By name and count, not by place in the list: two runs aren't alike to the last operation.
    """
    counts = Counter(names)
    points = [(name, 0) for name in counts]
    if path == "plain":
        points += [(name, number - 1) for name, number in counts.items() if number > 1]
    return points


def sweep(path: str, directory: Path, lake: str | None = None, *, part: slice) -> None:
    """Kill at each chosen point, or at a part of them, restart, and print what is wrong."""
    base = directory / "base"

    def prepare() -> None:
        home = workload.make_home(base, lake and f"{lake}/base")
        workload.produce(home, base / "ledger", 2)
        workload.ship(home)
        workload.produce(home, base / "ledger", 1)

    base.mkdir()
    run(prepare)
    names = record(base, directory)
    print(orjson.dumps({"points": Counter(names)}).decode(), flush=True)
    points = chosen(names, path)
    for point in points[part]:
        started = time.monotonic()
        found, code = one(path, base, directory, point)
        print(
            orjson.dumps(
                {
                    "point": point[0],
                    "number": point[1],
                    "exit": code,
                    "problems": found,
                    "seconds": round(time.monotonic() - started, 2),
                }
            ).decode(),
            flush=True,
        )


def place(base: Path, directory: Path) -> Path:
    """A fresh copy of the base, lake and all, whose settings name its own lake."""
    root = directory / "run"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(base, root)
    config = next(root.glob("**/config.toml"))
    before = config.read_text()
    if "s3://" in before:
        number = time.monotonic_ns()
        config.write_text(before.replace("/base", f"/{number}"))
        run(lambda: copy_objects(base, root))
    else:
        config.write_text(before.replace(str(base), str(root)))
    return root


def copy_objects(base: Path, root: Path) -> None:
    """A copy of a lake in a bucket."""
    source, target = workload.store_of(base), workload.store_of(root)
    for part in ("tables", "blobs", "lake.json"):
        for key in [part] if "." in part else source.keys(part):
            target.write(key, source.read(key), at="copy")


def record(base: Path, directory: Path) -> list[str]:
    """The fault points that the work passes, in order."""
    root = place(base, directory)
    out = directory / "points.json"

    def noted() -> None:
        recorder = Recorder()
        fsio.install_hook(recorder)
        workload.work(root, root / "ledger")
        out.write_bytes(orjson.dumps(recorder.names))

    run(noted)
    names: list[str] = orjson.loads(out.read_bytes())
    return names


def one(path: str, base: Path, directory: Path, point: Point) -> tuple[list[str], int]:
    """Kill once, restart, and say what is wrong."""
    root = place(base, directory)
    ledger = root / "ledger"
    before = workload.acknowledged(ledger)

    def killed() -> None:
        fsio.install_hook(Killer(point))
        workload.work(root, ledger)

    pids = [fork(killed)]
    if path == "two-shippers":
        pids.append(fork(lambda: workload.ship(workload.open_made(root))))
    codes = [wait(pid) for pid in pids]
    required: list[tuple[str, str]] = []
    if path == "home-rolled-back":
        # What was appended after the copy and not shipped went with the home; the rest must stay.
        shipped = out_of_process(directory, lambda: workload.lake_ids(root))
        required = before + [(stream, name) for stream in shipped for name in shipped[stream]]
        config = (root / "home" / "config.toml").read_text()
        shutil.rmtree(root / "home")
        shutil.copytree(base / "home", root / "home")
        (root / "home" / "config.toml").write_text(config)
        ledger.unlink()
    if path == "lake-rolled-back":
        run(lambda: roll_lake_back(root))
    try:
        run(lambda: workload.recover(root, ledger))
    except RuntimeError as error:
        return [str(error)], codes[0]
    required += workload.acknowledged(ledger)
    found = out_of_process(directory, lambda: workload.problems(root, ledger, required=required))
    return found + [f"the other shipper ended with {code}" for code in codes[1:] if code], codes[0]


def roll_lake_back(root: Path) -> None:
    """Restore each table to an earlier version, as another program might."""
    store = workload.store_of(root)
    for stream in store.streams():
        table = workload.table_of(store, stream)
        if table.version() >= 1:
            table.restore(max(table.version() - 2, 0))


def out_of_process(directory: Path, action: Callable[[], T]) -> T:
    """The JSON-able result of an action that uses Delta, computed in a fork."""
    out = directory / "answer.json"

    def answered() -> None:
        out.write_bytes(orjson.dumps(action()))

    run(answered)
    answer: T = orjson.loads(out.read_bytes())
    return answer


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    assert s3  # imported before the first fork, and not used
    start, step, *lakes = sys.argv[3:]
    sweep(sys.argv[1], Path(sys.argv[2]), *lakes[:1], part=slice(int(start), None, int(step)))
