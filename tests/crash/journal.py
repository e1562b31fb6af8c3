"""Kills who writes entries and attaches files, at one fault point after the other.

``python -m tests.crash.journal DIR [MOST]``; as :mod:`tests.crash.sweep`: a process of its own,
because it forks, that prints one JSON line a kill.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import deltalake
import orjson
import polars as pl
import structlog

from lifelog_lake import fsio
from lifelog_lake.errors import UnknownEntry
from lifelog_lake.home import Home
from lifelog_lake.lake.verify import verify
from lifelog_lake.recall import follow
from lifelog_lake.recall.journal import content, index
from lifelog_lake.recall.journal.exporting import export_file
from lifelog_lake.recall.journal.importing import import_file
from lifelog_lake.recall.journal.journal import Journal
from lifelog_lake.recall.journal.model import NewEntry
from tests.crash import workload
from tests.crash.sweep import Killer, Recorder, chosen, fork, out_of_process, place, run, wait
from tests.fixtures.journal import changed, journal_of, listed, upload

#: What a file holds says which it is, so that half of one is seen.
FILE = "file {}: " + "content " * 20_000


def work(root: Path) -> None:
    """The run that is killed: entries, files, edits, a delete; an export; an import of it."""
    home = workload.open_made(root)
    with journal_of(home) as journal:
        entries = []
        for number in range(2):
            text = FILE.format(number)
            entry = journal.create(NewEntry(title=f"entry {number}"))
            entries.append(entry.id)
            note(root, ["entry", entry.id, entry.current.title])
            file = journal.attach(entry.id, upload(text.encode(), f"{number}.txt", 60_000))
            note(root, ["file", entry.id, file.key, text])
        edited = changed(journal, entries[0], title="edited")
        note(root, ["entry", entries[0], edited.current.title])
        export_file(journal, root / "out.zip", "zip")
        journal.delete(entries[1])
        note(root, ["deleted", entries[1]])
        import_file(journal, root / "other.zip", "zip")
        note(root, ["imported"])


def note(root: Path, words: list[str]) -> None:
    """Write down what was acknowledged: one write, so that a kill leaves whole lines."""
    fd = os.open(root / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, orjson.dumps(words) + b"\n")
    os.close(fd)


def prepare(base: Path) -> None:
    """A home with an export of another one beside it, and one as old content of the file."""
    other = workload.make_home(base / "other")
    with journal_of(other) as journal:
        for number in range(3):
            text = FILE.format(f"of another home, {number}")
            journal.create(NewEntry(title=f"other {number}"), [upload(text.encode(), "o.txt")])
        export_file(journal, base / "other.zip", "zip")
    shutil.rmtree(base / "other")
    shutil.copy(base / "other.zip", base / "out.zip")
    workload.ship(workload.make_home(base))


def problems(root: Path) -> list[str]:
    """Go on after the kill, and say what isn't as it was acknowledged."""
    home = workload.open_made(root)
    found: list[str] = []
    path = root / "ledger"
    told = [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    with journal_of(home) as journal:
        for _ in ("from the spool", "from the lake"):
            found += look(journal, told)
            workload.ship(home)
        before = import_file(journal, root / "out.zip", "zip", dry_run=True)  # old or new, whole
        import_file(journal, root / "other.zip", "zip")
        again = import_file(journal, root / "other.zip", "zip")
        if again.entries or again.files or again.present != 6:
            found.append(f"importing again: {again}")
        titles = Counter(entry.current.title for entry in listed(journal))
        if [titles[f"other {number}"] for number in range(3)] != [1, 1, 1]:
            found.append(f"after the import: {titles}, {before}")
        found += look(journal, told)
    workload.ship(home)
    found += [
        f"verify: {item}" for item in verify(workload.store_of(root), read_data=True).findings
    ]
    found += doubles(home, root)
    return found


def look(journal: Journal, told: list[list[str]]) -> list[str]:
    """What was acknowledged must be there; what wasn't is there whole or not at all."""
    found = []
    gone = {words[1] for words in told if words[0] == "deleted"}
    titles = {words[1]: words[2] for words in told if words[0] == "entry"}
    for name, title in titles.items():
        try:
            now = journal.get(name).current.title
        except UnknownEntry:
            if name not in gone and len(told) < 6:  # killed while it was deleted, perhaps
                found.append(f"{title} is lost")
            continue
        if name in gone or now not in (title, "edited"):
            found.append(f"{title} is {now}")
    keys = {words[2] for words in told if words[0] == "file" and words[1] not in gone}
    there = set()
    for entry in listed(journal):
        for file in entry.attachments:
            there.add(file.key)
            with journal.content(file) as opened:
                text = opened.read().decode()
            if (
                not text.startswith("file ")
                or len(text) < len(FILE) - 2
                or not text.endswith("content ")
            ):
                found.append(f"half a file: {len(text)} characters")
    deleted = len(told) >= 6
    if missing := keys - there:
        found += [] if deleted else [f"{len(missing)} files are lost"]
    return found


def doubles(home: Home, root: Path) -> list[str]:
    """Rows that are in the lake more than once, and what the spool still has."""
    store = workload.store_of(root)
    found = []
    for stream in ("journal", "attachment"):
        ids = pl.Series(workload.lake_ids(root).get(stream, []))
        if ids.n_unique() != len(ids):
            found.append(f"{stream}: {len(ids) - ids.n_unique()} rows twice")
    assert store.streams()
    return found


def main(directory: Path, most: int) -> None:
    """Kill at each chosen point, go on, and print what is wrong."""
    base = directory / "base"
    base.mkdir()
    run(lambda: prepare(base))
    root = place(base, directory)
    out = directory / "points.json"

    def noted() -> None:
        recorder = Recorder()
        fsio.install_hook(recorder)
        work(root)
        out.write_bytes(orjson.dumps(recorder.names))

    run(noted)
    names = orjson.loads(out.read_bytes())
    print(orjson.dumps({"points": Counter(names)}).decode(), flush=True)
    points = chosen(names, "plain")
    for point in points[:: -(-len(points) // most) if most else 1]:
        root = place(base, directory)

        def killed(point: tuple[str, int] = point, root: Path = root) -> None:
            fsio.install_hook(Killer(point))
            work(root)

        code = wait(fork(killed))
        found = out_of_process(directory, lambda root=root: problems(root))  # type: ignore[misc]
        said = {"point": point[0], "number": point[1], "exit": code, "problems": found}
        print(orjson.dumps(said).decode(), flush=True)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    assert all((deltalake, follow, index, content))  # imported before the first fork, and not used
    main(Path(sys.argv[1]), int([*sys.argv[2:], "0"][0]))
