"""The words that stood on the screen: the derived stream ``ocr``.

Each content of ``screen`` is read once, the newest first, for as long as a run may: what is left
waits for the next one, so that new frames are found within minutes however many old ones wait. One
whose words are those of another frame refers to it and has no text of its own. Order: words
recognised -> rows committed -> read back -> out of the queue; killed, a run costs a batch.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import structlog

from lifelog_lake.care.derived import Lost, add_rows, picture_content
from lifelog_lake.care.ocr_queue import STREAM, Engine, Frame, OcrQueue
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.pictures import grey
from lifelog_lake.care.reading import Read, read
from lifelog_lake.care.recognise import Recogniser, recogniser
from lifelog_lake.care.trouble import worded
from lifelog_lake.clock import Clock
from lifelog_lake.errors import CommitConflict, LakeUnreachable, Transient, UsageError
from lifelog_lake.events import pulled_id
from lifelog_lake.home import Home
from lifelog_lake.lake import require_known
from lifelog_lake.lake.identity import LakeIdentity
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.table import StreamTable

JOB = "ocr"
#: Frames that are read before their rows are committed: what a kill costs at most.
BATCH = 16
MOST_CONFLICTS = 50

log = structlog.get_logger(__name__)


@worded
def run(home: Home, store: Store, clock: Clock) -> Outcome:
    """Read frames that wait; see the package for what a job promises.

    It ends after ``[flows.ocr] budget_s``. Raises
    :class:`~lifelog_lake.errors.LakeUnreachable` if the lake isn't there or becomes another one.
    """
    identity = require_known(home, store)
    if not identity.is_settled or identity.demo is not None:
        return Outcome(job=JOB)  # what is painted on invented frames is in their titles too
    settings = home.settings.flows.ocr
    try:
        with closing(recogniser(settings.languages, settings.engine)) as engine:
            wanted = Engine(
                transform=engine.name,
                languages=engine.languages,
                least_version=engine.version if settings.redo_older else 0,
            )
            with closing(OcrQueue(home.path, store, wanted)) as queue:
                job = _Job(home, store, clock, identity, engine, queue)
                job.run(settings.budget_s)
                return job.outcome()
    except UsageError as error:  # no data of a language, no such engine: a person has to see to it
        return Outcome(job=JOB, findings=(str(error),))
    except sqlite3.Error as error:
        raise Transient(
            f"The queue of frames to read can't be used: {error}.",
            hint="Is the disk full, or may it not be written? index/ocr.db may be deleted.",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was read last of a monitor, and the frame whose row has its words."""

    read: Read
    frame: str


class _Job:
    def __init__(
        self,
        home: Home,
        store: Store,
        clock: Clock,
        identity: LakeIdentity,
        engine: Recogniser,
        queue: OcrQueue,
    ) -> None:
        self._home = home
        self._store = store
        self._clock = clock
        self._mark = identity.mark
        self._epoch = pulled_id("epoch", STREAM, identity.lake_id)
        self._engine = engine
        self._queue = queue
        self._table = StreamTable(store, STREAM)
        self._known: dict[tuple[str, int | None], _Known] = {}
        self._made = self._same = self._lost = self._left = 0

    def outcome(self) -> Outcome:
        """What was done so far."""
        lost = (
            f"{self._lost} contents of frames are missing, damaged or no pictures. "
            "lifelog verify --read-data looks closer."
        )
        return Outcome(
            job=JOB,
            counts={
                "frames read": self._made,
                "frames with the words of another": self._same,
                "frames that wait": self._left,
            },
            findings=(lost,) if self._lost else (),
        )

    def run(self, budget_s: float) -> None:
        """Until nothing is left or the time is over; at least one batch."""
        began_s = self._clock.monotonic_s()
        self._queue.refresh()
        while frames := self._queue.newest(BATCH):
            rows = []
            for frame in frames:
                rows.append((frame.device, self._row(frame)))
                if self._clock.monotonic_s() - began_s > budget_s:
                    break
            self._commit(rows)
            self._queue.refresh()
            if self._clock.monotonic_s() - began_s > budget_s:
                break
        self._left = self._queue.waiting()
        took_s = self._clock.monotonic_s() - began_s
        done = self._made + self._same
        if done:
            log.info("ocr_rate", done_count=done, frames_per_s=round(done / took_s, 2))

    def _row(self, frame: Frame) -> dict[str, Any]:
        """A frame's row, as a spool's record has it."""
        data: dict[str, Any] = {
            "source_id": frame.frame,
            "transform": self._engine.name,
            "transform_version": self._engine.version,
            "source_sha256": frame.blob,
            "languages": self._engine.languages,
        }
        refused = None
        try:
            data |= self._words(frame)
        except (Lost, UsageError) as error:
            self._lost += 1
            refused = {"refused": error.message if isinstance(error, UsageError) else str(error)}
        identity = (STREAM, self._engine.name, str(self._engine.version), self._engine.languages)
        return {
            "id": pulled_id(*identity, frame.blob),
            "at": frame.at,
            "tz": frame.tz,
            "extra": refused,
            "data": data,
        }

    def _words(self, frame: Frame) -> dict[str, Any]:
        monitor = frame.device, frame.monitor
        known = self._known.get(monitor)
        picture = grey(io.BytesIO(picture_content(self._store, frame.blob)))
        found = read(self._engine, picture, None if known is None else known.read)
        if known is not None and known.read.words == found.words:
            self._known[monitor] = _Known(read=found, frame=known.frame)
            self._same += 1
            return {"same_as": known.frame}
        self._known[monitor] = _Known(read=found, frame=frame.frame)
        self._made += 1
        sure = [word.confidence for word in found.words]
        return {
            "width": picture.width,
            "height": picture.height,
            "text": found.text or None,
            "confidence": sum(sure) / len(sure) if sure else None,
            "words": [
                {
                    "text": word.text,
                    "left": word.left,
                    "top": word.top,
                    "width": word.width,
                    "height": word.height,
                    "confidence": word.confidence,
                }
                for word in found.words
            ],
        }

    def _commit(self, rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Commit those rows that nobody else has brought meanwhile."""
        for _ in range(MOST_CONFLICTS):
            if require_known(self._home, self._store).mark != self._mark:
                raise LakeUnreachable(
                    "The lake changed during a run.", hint="The next run looks at it anew."
                )
            snapshot = self._table.snapshot()
            self._queue.refresh()  # after the snapshot: what it has is known then
            waits = self._queue.among([row["data"]["source_sha256"] for _, row in rows])
            left = [one for one in rows if one[1]["data"]["source_sha256"] in waits]
            if not left:
                return
            try:
                add_rows(
                    self._store, snapshot, STREAM, left, self._epoch, {}, self._clock.wall_us()
                )
            except CommitConflict:
                continue
            self._table.checkpoint_if_due()
            return
        raise Transient(
            f"{MOST_CONFLICTS} commits to '{STREAM}' met another writer.",
            hint="It is tried again with the next run.",
        )
