"""Small pictures of the frames, made ahead of the page: the derived stream ``thumbnail``.

Each content of ``screen`` gets one row, whoever shows it however often: the small picture as a
blob, or none for what is no picture, which so isn't tried again. Order: blob durable -> row
committed -> read back. How far ``screen`` was read is committed with the last rows of what was
read, so a run that is killed leaves rows that count, and the next one goes on behind them.
"""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import pyarrow as pa
from deltalake.exceptions import DeltaError

from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.pictures import (
    MEDIA_TYPE,
    MOST_BYTES,
    TRANSFORM,
    VERSION,
    shrink,
    size_of,
)
from lifelog_lake.care.thumbnail_index import STREAM, ThumbnailIndex, index_path
from lifelog_lake.care.trouble import worded
from lifelog_lake.clock import Clock, to_us
from lifelog_lake.errors import (
    CommitConflict,
    LakeDamaged,
    LakeUnreachable,
    Transient,
    UsageError,
)
from lifelog_lake.events import pulled_id
from lifelog_lake.home import Home
from lifelog_lake.lake import datafile, require_known
from lifelog_lake.lake.identity import LakeIdentity
from lifelog_lake.lake.logcheck import first_line
from lifelog_lake.lake.schema import to_table
from lifelog_lake.lake.store import Store, blob_key, table_key
from lifelog_lake.lake.table import Snapshot, StreamTable
from lifelog_lake.recall.follow import Changes, Place, changes, new_rows, place_of
from lifelog_lake.recall.tables import Tables
from lifelog_lake.ship.shipper import app_id

JOB = "thumbnails"
SOURCE = "screen"
#: Where ``screen`` was read to; another version of the pictures reads it from the beginning.
CURSOR = f"{STREAM}/{VERSION}<-{SOURCE}"
#: Pictures that are made before their rows are committed: what a kill costs at most.
BATCH = 256
MOST_CONFLICTS = 50
_COLUMNS = ("id", "cont", "device", "at", "tz", "blob")


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
            if identity.is_settled and SOURCE in store.streams():
                job.run()
    except sqlite3.Error as error:
        raise Transient(
            f"The index of the small pictures can't be used: {error} ({index_path(home.path)}).",
            hint="Is the disk full, or may it not be written? It may be deleted at any time.",
        ) from error
    return job.outcome()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A content, and the frame that stands for all that show it."""

    blob: str
    frame: str
    device: str
    at: datetime
    tz: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Small:
    """The small picture of a content, kept in the lake; or why there is none."""

    source: _Source
    blob: str | None = None
    blob_bytes: int | None = None
    width: int | None = None
    height: int | None = None
    refused: str | None = None

    def row(self) -> dict[str, object]:
        """The row's fields but its place, as a spool's record has them."""
        made = self.blob is not None
        return {
            "id": pulled_id(STREAM, TRANSFORM, str(VERSION), self.source.blob),
            "at": to_us(self.source.at),
            "tz": self.source.tz,
            "blob": self.blob,
            "blob_bytes": self.blob_bytes,
            "media_type": MEDIA_TYPE if made else None,
            "extra": None if made else {"refused": self.refused},
            "data": {
                "source_id": self.source.frame,
                "transform": TRANSFORM,
                "transform_version": VERSION,
                "source_sha256": self.source.blob,
                "width": self.width,
                "height": self.height,
            },
        }


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
            f"The data file {SOURCE}/{path} can't be read. lifelog verify --read-data looks closer."
            for path in self._unreadable
        ]
        if self._lost:
            findings.append(
                f"{self._lost} contents of frames are missing or damaged. "
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

    def run(self) -> None:
        """Until nothing is left."""
        while True:
            after = self._cursor(self._snapshot())
            found = changes(self._store, self._tables, SOURCE, after)
            if found is None:
                return
            waiting: dict[str, _Source] = {}
            for source in self._sources(found):
                waiting.setdefault(source.blob, source)
                if len(waiting) == BATCH:
                    self._keep(list(waiting.values()))
                    waiting.clear()
            self._keep(list(waiting.values()), moved=(after, found.place))

    def _sources(self, found: Changes) -> Iterator[_Source]:
        """Contents that the lake has no row for yet."""
        for rows in new_rows(
            self._store, self._tables, SOURCE, found, _COLUMNS, self._unreadable.append
        ):
            frames = (
                rows.filter(
                    pl.col("blob").str.contains("^[0-9a-f]{64}$"),
                    pl.col("device").is_not_null(),
                    pl.col("at").is_not_null(),
                )
                .sort("at", "id")
                .unique("blob", keep="first", maintain_order=True)
            )
            self._index.refresh()
            known = self._index.known(frames["blob"])
            for row in frames.iter_rows(named=True):
                if row["blob"] not in known:
                    yield _Source(
                        blob=row["blob"],
                        frame=row["cont"] or row["id"],
                        device=row["device"],
                        at=row["at"],
                        tz=row["tz"],
                    )

    def _keep(
        self, sources: Sequence[_Source], moved: tuple[Place | None, Place] | None = None
    ) -> None:
        """Make pictures and commit their rows; with ``moved`` also how far the source was read."""
        made = [small for source in sources if (small := self._make(source)) is not None]
        for _ in range(MOST_CONFLICTS):
            snapshot = self._snapshot()
            self._index.refresh()  # after the snapshot: what it has is known then
            known = self._index.known(small.source.blob for small in made)
            rows = [small for small in made if small.source.blob not in known]
            marks: dict[str, int] = {}
            if moved is not None and self._cursor(snapshot) == moved[0]:
                marks = moved[1].marks(CURSOR)  # unless another run has moved it meanwhile
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

    def _make(self, source: _Source) -> _Small | None:
        """A small picture, durable in the lake; None if the content isn't there or is damaged."""
        try:
            with self._store.open(blob_key(source.blob)) as file:
                content = file.read(MOST_BYTES + 1)
        except OSError:
            self._lost += 1
            return None
        if len(content) <= MOST_BYTES and hashlib.sha256(content).hexdigest() != source.blob:
            self._lost += 1
            return None
        try:
            small = shrink(io.BytesIO(content))
        except UsageError as error:
            return _Small(source=source, refused=error.message)
        sha256 = hashlib.sha256(small).hexdigest()
        self._store.write(blob_key(sha256), small, at="small")
        width, height = size_of(small)
        return _Small(source=source, blob=sha256, blob_bytes=len(small), width=width, height=height)

    def _commit(self, snapshot: Snapshot, rows: Sequence[_Small], marks: dict[str, int]) -> None:
        by_device: dict[str, list[_Small]] = {}
        for small in rows:
            by_device.setdefault(small.source.device, []).append(small)
        parts = []
        for device, own in by_device.items():
            name = app_id(device, STREAM, self._epoch)
            first = snapshot.watermark(name) + 1
            numbered = [(first + n, small.row()) for n, small in enumerate(own)]
            marks[name] = numbered[-1][0]
            now_us = self._clock.wall_us()
            parts.append(
                to_table(STREAM, numbered, device=device, epoch=self._epoch, ingested_at=now_us)
            )
        files = [
            datafile.write(self._store, STREAM, day, part)
            for day, part in (datafile.split_by_day(pa.concat_tables(parts)) if parts else ())
        ]
        snapshot.add(files, marks)

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

    def _cursor(self, snapshot: Snapshot) -> Place | None:
        return place_of(snapshot.watermark, CURSOR)
