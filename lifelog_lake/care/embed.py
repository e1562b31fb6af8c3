"""Texts made vectors, so that events are found by meaning: the derived stream ``embedding``.

Each distinct piece of text is made a vector once, the newest first, for as long as a run may; what
is left waits for the next one. Order: vectors made -> rows committed -> read back -> out of the
queue; killed, a run costs a batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import structlog

from lifelog_lake.care.derived import add_rows
from lifelog_lake.care.embed_queue import EmbedQueue, Text
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.trouble import worded
from lifelog_lake.clock import Clock
from lifelog_lake.errors import CommitConflict, LakeUnreachable, Transient, UsageError
from lifelog_lake.events import pulled_id
from lifelog_lake.home import Home
from lifelog_lake.lake import require_known
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.table import StreamTable
from lifelog_lake.recall.meaning.model import Model
from lifelog_lake.recall.meaning.vectors import STREAM

JOB = "embed"
#: Texts whose vectors are committed together, and made between two looks at the clock.
COMMIT, BATCH = 1024, 32
#: A vector's parts are whole shares of this many: cosines are right to 0.002, rows half as long.
SHARES = 1024
MOST_CONFLICTS = 50

log = structlog.get_logger(__name__)


@worded
def run(home: Home, store: Store, clock: Clock) -> Outcome:
    """Make vectors of texts that wait; see the package for what a job promises.

    It ends after ``[flows.embed] budget_s``. Raises
    :class:`~lifelog_lake.errors.LakeUnreachable` if the lake isn't there or becomes another one.
    """
    identity = require_known(home, store)
    if not identity.is_settled or not home.settings.search.semantic:
        return Outcome(job=JOB)
    try:
        model = Model(home.settings.search.model)
    except UsageError as error:  # no model: a person has to see to it
        return Outcome(job=JOB, findings=(str(error),))
    try:
        with closing(EmbedQueue(home.path, store, model.sha256)) as queue:
            job = _Job(home, store, clock, model, queue)
            job.run(home.settings.flows.embed.budget_s)
            return job.outcome()
    except sqlite3.Error as error:
        raise Transient(
            f"The queue of texts to embed can't be used: {error}.",
            hint="Is the disk full, or may it not be written? index/embed.db may be deleted.",
        ) from error


class _Job:
    def __init__(
        self, home: Home, store: Store, clock: Clock, model: Model, queue: EmbedQueue
    ) -> None:
        self._home = home
        self._store = store
        self._clock = clock
        identity = require_known(home, store)
        self._mark = identity.mark
        self._epoch = pulled_id("epoch", STREAM, identity.lake_id)
        self._model = model
        self._queue = queue
        self._table = StreamTable(store, STREAM)
        self._made = self._left = 0

    def outcome(self) -> Outcome:
        """What was done so far."""
        return Outcome(
            job=JOB, counts={"texts embedded": self._made, "texts that wait": self._left}
        )

    def run(self, budget_s: float) -> None:
        """Until nothing is left or the time is over; at least one batch."""
        began_s = self._clock.monotonic_s()
        over = False
        self._queue.refresh()
        while not over and (texts := self._queue.newest(COMMIT)):
            rows: list[tuple[str, dict[str, Any]]] = []
            for start in range(0, len(texts), BATCH):
                rows += self._rows(texts[start : start + BATCH])
                over = self._clock.monotonic_s() - began_s > budget_s
                if over:
                    break
            self._commit(rows)
            self._queue.refresh()
        self._left = self._queue.waiting()
        if self._made:
            took_s = self._clock.monotonic_s() - began_s
            log.info("embed_rate", done_count=self._made, texts_per_s=round(self._made / took_s, 2))

    def _rows(self, texts: Sequence[Text]) -> list[tuple[str, dict[str, Any]]]:
        """Rows with their devices, as a spool's record has them."""
        vectors = (self._model.embed([one.text for one in texts]) * SHARES).round() / SHARES
        return [
            (
                one.device,
                {
                    "id": pulled_id(STREAM, self._model.sha256, one.sha256),
                    "at": one.at,
                    "tz": one.tz,
                    "data": {
                        "source_id": one.source,
                        "transform": self._model.name,
                        "transform_version": 1,
                        "text_sha256": one.sha256,
                        "model_sha256": self._model.sha256,
                        "vector": vector.tolist(),
                    },
                },
            )
            for one, vector in zip(texts, vectors, strict=True)
        ]

    def _commit(self, rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Commit those rows that nobody else has brought meanwhile."""
        for _ in range(MOST_CONFLICTS):
            if require_known(self._home, self._store).mark != self._mark:
                raise LakeUnreachable(
                    "The lake changed during a run.", hint="The next run looks at it anew."
                )
            snapshot = self._table.snapshot()
            self._queue.refresh()  # after the snapshot: what it has is known then
            waits = self._queue.among([row["data"]["text_sha256"] for _, row in rows])
            left = [one for one in rows if one[1]["data"]["text_sha256"] in waits]
            if not left:
                return
            try:
                add_rows(
                    self._store, snapshot, STREAM, left, self._epoch, {}, self._clock.wall_us()
                )
            except CommitConflict:
                continue
            self._made += len(left)
            self._table.checkpoint_if_due()
            return
        raise Transient(
            f"{MOST_CONFLICTS} commits to '{STREAM}' met another writer.",
            hint="It is tried again with the next run.",
        )
