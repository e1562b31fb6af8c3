"""Kills the search index's writer at one fault point after the other.

``python -m tests.crash.search DIR [MOST]``: as :mod:`tests.crash.sweep`, whose parts it uses. The
work is two runs: one that takes in new rows, an edit, a delete and a removed day in several
commits, and one that makes the index anew. Prints one JSON line a kill.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import orjson
import structlog
from deltalake import DeltaTable

from lifelog_lake import fsio
from lifelog_lake.clock import US_PER_S
from lifelog_lake.events import Event, new_event
from lifelog_lake.lake import parse_url
from lifelog_lake.recall.search import filling
from lifelog_lake.recall.search.documents import restored
from lifelog_lake.recall.search.find import Finder
from lifelog_lake.recall.search.request import Request
from tests.crash import workload
from tests.crash.sweep import Killer, Point, Recorder, fork, out_of_process, place, run, wait
from tests.fixtures.derived import DAY_S, add
from tests.helpers import T0, window

#: What is found in the end: the doomed event lost both its rows.
WANTED = (
    *("long word", "plain word", "word 0", "word 1", "word 2", "last word"),
    *("edited word", "seen word"),
)
# So that a run passes several commits.
filling.CHUNK = 2


def titled(n: int, title: str, **more: object) -> Event:
    return window(n, data={"title": title}, **more)


def entry(entry_id: str, lamport: int, **data: object) -> Event:
    given = {"entry_id": entry_id, "lamport": lamport, **data}
    return new_event("journal", at=T0 + lamport * US_PER_S, data=given)


def prepare(base: Path) -> None:
    """A lake of which a part is indexed, and then all that can happen to it."""
    workload.make_home(base, None)
    home = workload.open_made(base)
    long, doomed = titled(5, "long word"), titled(DAY_S, "doomed word")
    first, second = entry("one", 1, title="first word"), entry("two", 1, title="second word")
    add(home, long, doomed, titled(7, "plain word"), first, second)
    finder = Finder(home.path, parse_url(home.lake_url, home))
    finder.refresh()
    finder.close()
    add(
        home,
        titled(2 * DAY_S, "long word", cont=long.id),
        titled(DAY_S + 5, "doomed word", cont=doomed.id),
        # Last, so that the shipper doesn't miss its newest row and offer all of them again.
        *(titled(20 + n, f"word {n}") for n in range(3)),
        entry("one", 2, title="edited word", parent=first.id),
        entry("two", 2, deleted=True, parent=second.id),
        new_event("ocr", at=T0, data={"source_id": "f", "text": "seen word"}),
    )
    store = parse_url(home.lake_url, home)
    DeltaTable(store.table_url("window")).delete("date = '2026-01-03'")
    add(home, titled(30, "last word"))


def work(root: Path) -> None:
    """The run that is killed, and the one after it."""
    finder = _finder(root)
    finder.refresh()
    finder.index.rebuild()
    finder.close()


def problems(root: Path) -> list[str]:
    """Run once more, and say what isn't as if nobody had been killed."""
    finder = _finder(root)
    finder.refresh()
    found = _documents(finder)
    filled = finder.refresh()
    said = [] if filled is not None and not filled.added else ["something was left"]
    directories = [path for path in finder.index.path.iterdir() if path.is_dir()]
    finder.index.rebuild()
    if found != _documents(finder):
        said.append(f"{len(found)} documents, and others when made anew")
    titles = sorted(restored(one).texts[0] for one in found)
    if titles != sorted(WANTED):
        said.append(f"found: {titles}")
    if len(directories) > 2:
        said.append(f"{len(directories)} directories")
    finder.close()
    return said


def _documents(finder: Finder) -> list[bytes]:
    hits = finder.find(Request(query="word", order="newest", limit=100)).hits
    return sorted(hit.document.stored() for hit in hits)


def _finder(root: Path) -> Finder:
    home = workload.open_made(root)
    return Finder(home.path, parse_url(home.lake_url, home))


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


def lasts_s(base: Path, directory: Path) -> float:
    """How long the work takes if nobody kills it."""
    root = place(base, directory)
    began_s = time.monotonic()
    run(lambda: work(root))
    return time.monotonic() - began_s


def at_any_moment(base: Path, directory: Path, after_s: float) -> tuple[list[str], int]:
    """The same at a moment of tantivy's own."""
    root = place(base, directory)
    pid = fork(lambda: work(root))
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    code = wait(pid)
    try:
        return out_of_process(directory, lambda: problems(root)), code
    except RuntimeError as error:
        return [str(error)], code


def sweep(directory: Path, most: int = 0) -> None:
    """Kill each time that a fault point is passed, and in between; with ``most`` at so many."""
    base = directory / "base"
    base.mkdir()
    run(lambda: prepare(base))
    counts = Counter(record(base, directory))
    print(orjson.dumps({"points": counts}).decode(), flush=True)
    points = [(name, number) for name, count in counts.items() for number in range(count)]
    for point in points[:: -(-len(points) // most) if most else 1]:
        told(point[0], *one(base, directory, point))
    moments = 3 if most else 40
    whole_s = lasts_s(base, directory)
    for number in range(moments):
        after_s = whole_s * (number + 0.5) / moments
        told("any moment", *at_any_moment(base, directory, after_s))


def told(point: str, found: list[str], code: int) -> None:
    """One line a kill."""
    print(orjson.dumps({"point": point, "exit": code, "problems": found}).decode(), flush=True)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sweep(Path(sys.argv[1]), int([*sys.argv[2:], 0][0]))
