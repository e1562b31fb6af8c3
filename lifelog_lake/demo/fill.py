"""A plan into a lake, and out of it again.

The mark in ``lake.json`` comes first and goes last. A fill that was interrupted is done again from
its start: the files have the same names then, and a stream whose commit went through is left
alone. Removing goes on where it stopped.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from lifelog_lake import fsio
from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.demo import small
from lifelog_lake.demo.days import Contents, Days
from lifelog_lake.demo.pictures import picture
from lifelog_lake.demo.plan import Plan
from lifelog_lake.demo.rows import Numbering
from lifelog_lake.demo.scenes import PICTURED
from lifelog_lake.demo.sounds import KINDS, sound
from lifelog_lake.errors import Transient, UsageError
from lifelog_lake.home import Home
from lifelog_lake.lake import datafile
from lifelog_lake.lake.identity import (
    NAME,
    LakeIdentity,
    forget,
    init_lake,
    read_identity,
    require_known,
    write_identity,
)
from lifelog_lake.lake.local import LocalTarget
from lifelog_lake.lake.store import BLOBS, TABLES
from lifelog_lake.lake.table import StreamTable
from lifelog_lake.lake.target import parse_url

#: Streams that a home writes by itself; rows in them don't make a lake one of real days.
OWN = frozenset({"pulse", "lifecycle", "alert"})
COMPLETE, FILLING, REMOVING = "complete", "filling", "removing"
#: Left free on the lake's disk beside what the plan is estimated to need.
SPARE_BYTES = 200 * 2**20

#: Called with what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]
Item = TypeVar("Item")


def is_filled(home: Home, plan: Plan, clock: Clock | None = None) -> bool:
    """Whether the home's lake holds just this plan, whole. Home and lake are made if missing.

    Raises :class:`UsageError` if the lake holds anything else, or its disk has no room.
    """
    target = _directory(home)
    identity = init_lake(home, clock=clock or SystemClock())
    if identity.demo is None:
        _require_vacant(target)
    elif not plan.made(identity.demo) or identity.demo.get("state") == REMOVING:
        raise UsageError(
            f"The lake {target.url} holds other demo data: {describe(identity)}.",
            hint="Remove it with: lifelog demo --remove",
        )
    elif identity.demo.get("state") == COMPLETE:
        return True
    _require_room(target, plan)
    return False


def fill(home: Home, plan: Plan, progress: Progress | None = None) -> None:
    """Fill the home's lake, or finish what was interrupted; nothing if it is filled.

    The caller keeps other writers of the home away. Raises as :func:`is_filled` does.
    """
    if is_filled(home, plan):
        return
    target, identity = _directory(home), require_known(home)
    write_identity(target, replace(identity, demo=plan.mark(FILLING)))
    pool = ThreadPoolExecutor(max_workers=min(4, (os.cpu_count() or 1) + 1))
    try:
        _Fill(target, plan, pool, progress or _silent).run()
    except OSError as error:
        raise Transient(
            f"The demo data can't be written: {error.strerror} ({error.filename or target.url}).",
            hint="Mend that, then run the same command again; or: lifelog demo --remove",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt doesn't wait for what is queued
    write_identity(target, replace(identity, demo=plan.mark(COMPLETE)))


def remove(home: Home, progress: Progress | None = None) -> bool:
    """Remove the home's demo lake, whole or not; False if there is no lake.

    The next start of the home makes a new, empty one. Raises :class:`UsageError` for a lake of
    real days.
    """
    target = _directory(home)
    identity = read_identity(target)
    if identity is None:
        return False
    if identity.demo is None:
        raise UsageError(
            f"The lake {target.url} holds no demo data; nothing was removed.",
            hint="Name the home of the demo lake: lifelog demo --remove --home OTHER-DIR",
        )
    write_identity(target, replace(identity, demo={**identity.demo, "state": REMOVING}))
    parts = [*_children(target.root / TABLES), *_children(target.root / BLOBS)]
    for number, path in enumerate(parts):
        (progress or _silent)("Removing", number, len(parts))
        shutil.rmtree(path)
    forget(home)
    fsio.unlink(target.root / NAME, at="lake")
    fsio.sync_dir(target.root, at="lake")
    return True


def last_day(home: Home) -> date | None:
    """The last day of the demo data that is there, whole or not; None for none."""
    identity = read_identity(parse_url(home.lake_url))
    if identity is None or identity.demo is None:
        return None
    return date.fromisoformat(str(identity.demo["end"]))


def describe(identity: LakeIdentity) -> str:
    """A mark in words."""
    mark = identity.demo or {}
    state = {FILLING: ", unfinished", REMOVING: ", half removed"}.get(str(mark.get("state")), "")
    return (
        f"--days {mark.get('days')} --seed {mark.get('seed')} --end {mark.get('end')} "
        f"--events-per-day {mark.get('events_per_day')}{state}"
    )


def _directory(home: Home) -> LocalTarget:
    """The home's lake, if it is a directory: demo data is removed like one."""
    target = parse_url(home.lake_url, home)
    if not isinstance(target, LocalTarget):
        raise UsageError(
            f"Demo data is only put into a directory, not into {target.url}.",
            hint="Fill another home: lifelog demo --home OTHER-DIR",
        )
    return target


def _require_vacant(target: LocalTarget) -> None:
    """Only what the home says of itself may be there: captured rows are never mixed with demo."""
    for stream in target.streams():
        if stream in OWN:
            continue
        snapshot = StreamTable(target, stream).snapshot()
        if snapshot.rows():
            raise UsageError(
                f"The lake {target.url} holds captured rows; demo data is never mixed with them.",
                hint="Fill another home: lifelog demo --home OTHER-DIR",
            )


def _require_room(target: LocalTarget, plan: Plan) -> None:
    needed = plan.estimate(len(PICTURED))[1] + SPARE_BYTES
    free = shutil.disk_usage(target.root).free
    if free < needed:
        raise UsageError(
            f"The disk of {target.url} has {free >> 20} MiB free, about {needed >> 20} are needed.",
            hint="Give fewer --days, or another home: lifelog demo --home OTHER-DIR",
        )


def _children(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else []


def _silent(what: str, done: int, total: int) -> None:
    del what, done, total


class _Fill:
    def __init__(
        self, target: LocalTarget, plan: Plan, pool: ThreadPoolExecutor, progress: Progress
    ) -> None:
        self._target = target
        self._plan = plan
        self._pool = pool
        self._progress = progress

    def run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="lifelog-demo-") as scratch:
            contents = self._blobs(Path(scratch))
        days = Days(plan=self._plan, contents=contents)
        files: dict[str, list[datafile.DataFile]] = {}
        waiting: list[tuple[str, Future[datafile.DataFile]]] = []
        done = 0
        for stretch in days.stretches():
            self._progress("Days", done, self._plan.days)
            tables = days.tables(stretch)
            _take(waiting, files)  # one stretch is written while the next is made
            waiting = [
                (stream, self._pool.submit(datafile.write, self._target, stream, day, part))
                for stream, table in tables.items()
                for day, part in datafile.split_by_day(table)
            ]
            done += len(stretch)
        _take(waiting, files)
        self._progress("Days", done, self._plan.days)
        for number, stream in enumerate(sorted(files)):
            self._progress("Tables", number, len(files))
            self._commit(stream, files[stream], days.marks)
        self._progress("Tables", len(files), len(files))

    def _commit(
        self, stream: str, files: list[datafile.DataFile], marks: dict[tuple[str, str], int]
    ) -> None:
        """All of a stream in one commit, unless it is there from a run that was interrupted."""
        own = {
            _app_id(self._plan, device, stream): count - 1
            for (device, of_stream), count in marks.items()
            if of_stream == stream
        }
        table = StreamTable(self._target, stream)
        snapshot = table.snapshot()
        if all(snapshot.watermark(app_id) == last for app_id, last in own.items()):
            return
        snapshot.add(files, own)

    def _blobs(self, scratch: Path) -> Contents:
        plan = self._plan

        def put(name: str, content: bytes, sha256: str) -> None:
            source = scratch / name
            source.write_bytes(content)
            self._target.put_blob(source, sha256)
            source.unlink()

        def frame(number: int) -> tuple[str, int, str]:
            scene, variant = divmod(number, plan.variants)
            made = picture(plan.seed, PICTURED[scene], variant)
            put(f"frame-{number}", made.content, made.sha256)
            return made.sha256, len(made.content), made.frame_hash

        def minute(number: int) -> tuple[str, int, float, float]:
            kind, variant = divmod(number, plan.sounds)
            made = sound(plan.seed, KINDS[kind], variant)
            put(f"sound-{number}", made.content, made.sha256)
            return made.sha256, len(made.content), made.speech, made.level_dbfs

        sounds = range(len(KINDS) * plan.sounds)
        frames = range(len(PICTURED) * plan.variants)
        documents = small.documents(plan.seed)
        for document in documents:
            put(document.sha256, document.content, document.sha256)
        return Contents(
            sounds=list(self._each("Sounds", self._pool.map(minute, sounds), len(sounds))),
            pictures=list(self._each("Pictures", self._pool.map(frame, frames), len(frames))),
            documents=documents,
        )

    def _each(self, what: str, items: Iterable[Item], total: int) -> Iterator[Item]:
        for number, item in enumerate(items):
            self._progress(what, number, total)
            yield item
        self._progress(what, total, total)


def _take(
    waiting: list[tuple[str, Future[datafile.DataFile]]],
    files: dict[str, list[datafile.DataFile]],
) -> None:
    for stream, future in waiting:
        files.setdefault(stream, []).append(future.result())


def _app_id(plan: Plan, device: str, stream: str) -> str:
    numbering = Numbering(seed=plan.seed, device=device, stream=stream, seq=0)
    return f"{device}/{stream}/{numbering.epoch}"
