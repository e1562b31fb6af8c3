"""Kills what embeds texts and what keeps their vectors at one fault point after the other.

``python -m tests.crash.meaning DIR [MOST]``: as :mod:`tests.crash.search`. The work is one run of
the job ``embed`` in several commits, and a search that takes the vectors in. Prints one JSON line a
kill. The model is loaded before anything forks.
"""

from __future__ import annotations

import logging
import shutil
import sys
from collections import Counter
from pathlib import Path

import orjson
import structlog

from lifelog_lake import fsio
from lifelog_lake.care import embed
from lifelog_lake.home import Home, open_home
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.recall.meaning import nearest
from lifelog_lake.recall.search.request import Request
from tests.crash import workload
from tests.crash.search import told
from tests.crash.sweep import Killer, Point, Recorder, fork, out_of_process, place, run, wait
from tests.fixtures.derived import add
from tests.fixtures.meaning import make_embeddings, meaning_finder, model_place, one_model
from tests.helpers import window

TITLES = ("Buy bread", "Order rolls", "A cake for Ada", "Tax return", "Flat tyre", "Train to Bonn")
#: What is found in the end: one title is that of two windows.
WANTED = [*TITLES[:3], *TITLES[2:]]
# So that a run passes several commits.
embed.COMMIT, embed.BATCH = 2, 1


def opened(root: Path) -> Home:
    return open_home(root / "home", flags={"search": {"semantic": True, "model": model_place()}})


def prepare(base: Path) -> None:
    """A lake of which a part is embedded, and some more titles."""
    workload.make_home(base, None)
    home = opened(base)
    add(home, *(window(n, data={"title": title}) for n, title in enumerate(TITLES[:3])))
    work(base)
    add(home, *(window(n, data={"title": title}) for n, title in enumerate(TITLES[2:], 9)))


def work(root: Path) -> None:
    """The run that is killed."""
    home = opened(root)
    make_embeddings(home)
    found(home)


def found(home: Home) -> list[str]:
    """What is near to all of the titles, by their titles."""
    finder = meaning_finder(home)
    pages = [finder.find(Request(query=title, semantic=True)).hits for title in TITLES]
    finder.close()
    return [
        str(hit.document.title)
        for hits in pages
        for hit in hits
        if hit.similarity is not None and hit.similarity > 0.99
    ]


def problems(root: Path) -> list[str]:
    """Run once more, and say what isn't as if nobody had been killed."""
    home = opened(root)
    make_embeddings(home)
    said = []
    if found(home) != WANTED:
        said.append(f"found: {found(home)}")
    made = open_lake(home.lake_url).scan("embedding").collect()
    if (made.height, made["text_sha256"].n_unique()) != (len(TITLES), len(TITLES)):
        said.append(f"{made.height} rows of {made['text_sha256'].n_unique()} texts")
    state = next((home.path / "index" / "meaning").rglob("state.json"))
    if orjson.loads(state.read_bytes())["count"] != len(TITLES):
        said.append(f"vectors: {state.read_text()}")
    if len(list(state.parent.glob("*.vectors"))) != 1:
        said.append("files were left")
    if any(make_embeddings(home).counts.values()):
        said.append("something was left to do")
    shutil.rmtree(home.path / "index")
    if any(make_embeddings(home).counts.values()) or found(home) != WANTED:
        said.append("without an index something else is found")
    return said


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


def sweep(directory: Path, most: int = 0) -> None:
    """Kill where each fault point is passed first and last; with ``most`` at so many of them."""
    one_model(model_place())
    embed.Model = nearest.Model = one_model  # type: ignore[assignment, misc]
    base = directory / "base"
    base.mkdir()
    run(lambda: prepare(base))
    counts = Counter(record(base, directory))
    print(orjson.dumps({"points": counts}).decode(), flush=True)
    points = [(name, number) for name, count in counts.items() for number in {0, count - 1}]
    for point in points[:: -(-len(points) // most) if most else 1]:
        told(point[0], *one(base, directory, point))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sweep(Path(sys.argv[1]), int([*sys.argv[2:], 0][0]))
