"""Small pictures of frames and attached files, ahead of the page: the stream ``thumbnail``.

Each content of ``screen`` and ``attachment`` gets one row, whoever shows it however often: the
small picture as a blob, or none for what is no picture, which so isn't tried again. Order: blob
durable -> row committed -> read back. How far a stream was read is committed with the last rows of
what was read, so a run that is killed leaves rows that count, and the next one goes on behind them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

from deltalake.exceptions import DeltaError

from lifelog_lake.care.derived import add_rows
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.thumbnail_index import STREAM, ThumbnailIndex, index_path
from lifelog_lake.care.thumbnail_rows import ORIGINS, Small, Source, columns, cursor, make, wanted
from lifelog_lake.care.trouble import worded
from lifelog_lake.clock import Clock
from lifelog_lake.errors import (
    CommitConflict,
    LakeDamaged,
    LakeUnreachable,
    Transient,
)
from lifelog_lake.events import pulled_id
from lifelog_lake.home import Home
from lifelog_lake.lake import require_known
from lifelog_lake.lake.identity import LakeIdentity
from lifelog_lake.lake.logcheck import first_line
from lifelog_lake.lake.store import Store, table_key
from lifelog_lake.lake.table import Snapshot, StreamTable
from lifelog_lake.recall.follow import Changes, Place, changes, new_rows, place_of
from lifelog_lake.recall.tables import Tables

JOB = "thumbnails"
#: Pictures that are made before their rows are committed: what a kill costs at most.
BATCH = 256
MOST_CONFLICTS = 50


@worded
def run(home: Home, store: Store, clock: Clock) -> Outcome:
    """Make the small pictures that are missing; see the package for what a job promises.

    One picture at a time; the flow that calls it gives way to all others. Raises
    :class:`~lifelog_lake.errors.LakeUnreachable` if the lake isn't there or becomes another one.
    """
    identity = require_known(home, store)
    try:
        with closing(ThumbnailIndex(home.path, store)) as index:
            job = _Job(home, store, clock, identity, index)
            there = store.streams() if identity.is_settled else []
            for stream in ORIGINS:
                if stream in there:
                    job.run(stream)
    except sqlite3.Error as error:
        raise Transient(
            f"The index of the small pictures can't be used: {error} ({index_path(home.path)}).",
            hint="Is the disk full, or may it not be written? It may be deleted at any time.",
        ) from error
    return job.outcome()


class _Job:
    def __init__(
        self,
        home: Home,
        store: Store,
        clock: Clock,
        identity: LakeIdentity,
        index: ThumbnailIndex,
    ) -> None:
        self._home = home
        self._store = store
        self._clock = clock
        self._mark = identity.mark
        #: One life of all devices' rows: they are numbered by who commits them, not by spools.
        self._epoch = pulled_id("epoch", STREAM, identity.lake_id)
        self._index = index
        self._tables = Tables(store)
        self._table = StreamTable(store, STREAM)
        self._made = self._refused = self._lost = 0
        self._unreadable: list[str] = []

    def outcome(self) -> Outcome:
        """What was done so far."""
        findings = [
            f"The data file {path} can't be read. lifelog verify --read-data looks closer."
            for path in self._unreadable
        ]
        if self._lost:
            findings.append(
                f"{self._lost} contents are missing or damaged. "
                "lifelog verify --read-data names them."
            )
        return Outcome(
            job=JOB,
            counts={
                "thumbnails made": self._made,
                "contents that are no picture": self._refused,
                "contents missing or damaged": self._lost,
            },
            findings=tuple(findings),
        )

    def run(self, stream: str) -> None:
        """Until nothing is left of a stream."""
        while True:
            after = _place(self._snapshot(), stream)
            found = changes(self._store, self._tables, stream, after)
            if found is None:
                return
            waiting: dict[str, Source] = {}
            for source in self._sources(stream, found):
                waiting.setdefault(source.blob, source)
                if len(waiting) == BATCH:
                    self._keep(stream, list(waiting.values()))
                    waiting.clear()
            self._keep(stream, list(waiting.values()), moved=(after, found.place))

    def _sources(self, stream: str, found: Changes) -> Iterator[Source]:
        """Contents that the lake has no row for yet."""

        def unreadable(path: str) -> None:
            self._unreadable.append(f"{stream}/{path}")

        for rows in new_rows(self._store, self._tables, stream, found, columns(stream), unreadable):
            contents = wanted(stream, rows)
            self._index.refresh()
            known = self._index.known(contents["blob"])
            for row in contents.iter_rows(named=True):
                if row["blob"] not in known:
                    yield Source.of(row)

    def _made_of(self, source: Source) -> Small | None:
        made = make(self._store, source, self._home.run / "previews")
        self._lost += made is None
        return made

    def _keep(
        self,
        stream: str,
        sources: Sequence[Source],
        moved: tuple[Place | None, Place] | None = None,
    ) -> None:
        """Make pictures and commit their rows; with ``moved`` also how far the stream was read."""
        made = [small for source in sources if (small := self._made_of(source)) is not None]
        for _ in range(MOST_CONFLICTS):
            snapshot = self._snapshot()
            self._index.refresh()  # after the snapshot: what it has is known then
            known = self._index.known(small.source.blob for small in made)
            rows = [small for small in made if small.source.blob not in known]
            marks: dict[str, int] = {}
            if moved is not None and _place(snapshot, stream) == moved[0]:
                marks = moved[1].marks(cursor(stream))  # unless another run has moved it meanwhile
            if not rows and not marks:
                return
            try:
                self._commit(snapshot, rows, marks)
            except CommitConflict:
                continue
            self._table.checkpoint_if_due()
            refused = sum(small.blob is None for small in rows)
            self._refused += refused
            self._made += len(rows) - refused
            return
        raise Transient(
            f"{MOST_CONFLICTS} commits to '{STREAM}' met another writer.",
            hint="It is tried again with the next run.",
        )

    def _commit(self, snapshot: Snapshot, rows: Sequence[Small], marks: dict[str, int]) -> None:
        made = [(small.source.device, small.row()) for small in rows]
        now_us = self._clock.wall_us()
        add_rows(self._store, snapshot, STREAM, made, self._epoch, marks, now_us)

    def _snapshot(self) -> Snapshot:
        """The newest version; no table is made in the empty directory where a disk was mounted."""
        if require_known(self._home, self._store).mark != self._mark:
            raise LakeUnreachable(
                "The lake changed during a run.", hint="The next run looks at it anew."
            )
        try:
            return self._table.snapshot()
        except DeltaError as error:
            raise LakeDamaged(
                f"The table '{STREAM}' can't be read: {first_line(error)}.",
                hint=f"Delete {table_key(STREAM)} in the lake: it is made anew.",
            ) from error


def _place(snapshot: Snapshot, stream: str) -> Place | None:
    return place_of(snapshot.watermark, cursor(stream))
