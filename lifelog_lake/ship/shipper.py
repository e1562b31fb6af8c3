"""From the spool into the lake: each row exactly once, durable before it is acked.

Order, everywhere: blob durable -> row committed -> read back -> ack -> delete. What decides is the
lake's watermark, read and moved through one snapshot; see :mod:`lifelog_lake.ship.guard` for what
happens when home and lake disagree about the past.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import structlog
from deltalake.exceptions import DeltaError

from lifelog_lake.beats import while_beating
from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.errors import (
    CommitConflict,
    LakeUnreachable,
    LifelogError,
    Terminal,
    Transient,
)
from lifelog_lake.events import STREAMS
from lifelog_lake.home import Home
from lifelog_lake.lake.identity import require_known, require_real
from lifelog_lake.lake.logcheck import first_line, is_panic
from lifelog_lake.lake.schema import to_table
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.table import Snapshot, StreamTable
from lifelog_lake.lake.target import parse_url
from lifelog_lake.ship.allowance import Allowance, Held
from lifelog_lake.ship.content import Bringer
from lifelog_lake.ship.guard import Guard
from lifelog_lake.ship.meter import Moving
from lifelog_lake.ship.notes import Notes
from lifelog_lake.ship.present import leave_out_present
from lifelog_lake.ship.refusals import Refusals
from lifelog_lake.ship.skew import Skew
from lifelog_lake.spool import Batch, Spool, StreamState

MOST_CONFLICTS = 50
#: Another process of this home may have begun a younger one.
OLD_UPLOAD_S = 86_400.0
#: Whoever began one a week ago and still wants it starts over.
ORPHAN_UPLOAD_S = 7 * 86_400.0
REPAIRED = "A repair took damaged files out of the table."
Progress = Callable[["Shipped"], None]


@dataclass(slots=True, kw_only=True)
class Shipped:
    """What one run did. ``moving`` is content on its way, while it is. ``errors`` are streams that
    couldn't be shipped, with their reason. ``held``: why what is left waits for the budget."""

    rows: int = 0
    left_out: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    commits: int = 0
    moving: Moving | None = None
    held: str = ""
    findings: list[str] = field(default_factory=list)
    errors: dict[str, LifelogError] = field(default_factory=dict)


class Shipper:
    """Ships one device's spool. Two at once are safe, one is enough."""

    def __init__(
        self, home: Home, spool: Spool, target: Store, clock: Clock, *, batch_rows: int
    ) -> None:
        self._home = home
        self._spool = spool
        self._target = target
        self._clock = clock
        self._batch_rows = batch_rows
        self._tables: dict[str, StreamTable] = {}
        self._mark = ""
        self._notes = Notes(spool, clock)
        self._guard = Guard(spool, self._notes)
        self._refusals = Refusals(home.run)
        self._skew = Skew(clock)
        self._allowance = Allowance(home.settings.budgets, clock, home.run)
        target.pace(self._allowance.spend)

    @classmethod
    def of(cls, home: Home, clock: Clock | None = None) -> Shipper:
        """The shipper of a home, for the lake in its settings."""
        clock = clock or SystemClock()
        return cls(
            home,
            Spool.of(home, clock),
            parse_url(home.lake_url, home),
            clock,
            batch_rows=home.settings.ship.batch_rows,
        )

    @property
    def target(self) -> Store:
        """Where it ships to."""
        return self._target

    def run_once(self, progress: Progress | None = None) -> Shipped:
        """Ship all that is pending now. Raises :class:`~lifelog_lake.errors.LakeUnreachable`.

        A stream that fails doesn't hold up the others; its reason is in ``errors``.
        """
        identity = require_known(self._home, self._target)
        require_real(identity, self._target.url)
        if identity.mark != self._mark:  # another lake, or this one after a restore
            self._target.check_in()
            self._tables.clear()
            self._guard = Guard(self._spool, self._notes)
            self._mark = identity.mark
        self._skew.sample(self._target)
        self._skew.show(self._home.run)
        done = Shipped()
        streams = self._spool.streams()
        for stream in [
            *streams,
            *(name for name in streams if name in STREAMS and STREAMS[name].first),
        ]:
            try:
                with translated(stream):
                    self._ship(stream, identity.mark, done, progress)
            except LakeUnreachable as error:  # the other streams would only wait for it too
                done.errors[stream] = error
                break
            except LifelogError as error:
                done.errors[stream] = error
            except Held as held:
                done.held = str(held)
            else:
                done.errors.pop(stream, None)  # what is shipped twice failed at first only
        self._allowance.keep()
        done.findings += self._notes.take_findings()
        if not done.errors:  # nothing waits, so no upload is needed but one begun meanwhile
            self._target.give_up_uploads(OLD_UPLOAD_S, ORPHAN_UPLOAD_S)
        try:
            self._spool.prune_acked()
        except OSError as error:  # what is kept too long is pruned by the next run
            structlog.get_logger().warning("prune-failed", reason=error.strerror)
        return done

    def offer_again(self, stream: str) -> bool:
        """Have the next run offer all that the spool still keeps of a stream, shipped or not; the
        lake takes what it lacks. False if nothing is kept."""
        if stream not in self._spool.streams():
            return False
        mark = require_known(self._home, self._target).mark
        return self._guard.offer_again(stream, self._spool.outlet(stream), mark, REPAIRED)

    def _ship(self, stream: str, generation: str, done: Shipped, progress: Progress | None) -> None:
        if stream not in STREAMS:
            raise Terminal(
                f"This version doesn't know the stream '{stream}' that the spool holds.",
                hint="Install the newer version that wrote it; the rows are kept.",
                stream=stream,
            )
        outlet = self._spool.outlet(stream)
        table = self._tables.setdefault(stream, StreamTable(self._target, stream))
        self._require_same(generation)
        self._guard.check_past(stream, outlet, table, generation)
        conflicts = 0
        # What comes meanwhile is the next run's: a busy stream would hold up pulses for ever.
        until = "", 0
        while True:
            state = outlet.state()
            batch = outlet.read(state.acked, self._batch_rows)
            if batch is None:
                return
            if batch.epoch != state.epoch:
                continue
            if batch.epoch != until[0]:
                until = batch.epoch, outlet.next_seq()
            self._require_same(generation)
            if not STREAMS[stream].first:
                self._allowance.require()
            snapshot = table.snapshot()
            if outlet.state().epoch != batch.epoch:
                continue  # another shipper renewed it, and may have committed before the snapshot
            if not self._guard.may_commit(stream, outlet, state, batch, snapshot, generation):
                continue
            try:
                self._commit(stream, state, batch, snapshot, done, generation, progress)
            except CommitConflict as conflict:
                conflicts += 1
                if conflicts >= MOST_CONFLICTS:
                    raise Transient(
                        f"{conflicts} commits to '{stream}' met another writer.",
                        hint="It is tried again with the next run.",
                        stream=stream,
                    ) from conflict
                continue
            conflicts = 0
            outlet.ack(batch.epoch, batch.last, generation)
            table.checkpoint_if_due()
            if progress is not None:
                progress(done)
            if batch.last + 1 >= until[1] and not STREAMS[stream].first:
                return

    def _require_same(self, generation: str) -> None:
        """No table is made in the empty directory where a disk was mounted a moment ago."""
        if require_known(self._home, self._target).mark != generation:
            raise LakeUnreachable(
                "The lake changed during a run.", hint="The next run looks at it anew."
            )

    def _commit(
        self,
        stream: str,
        state: StreamState,
        batch: Batch,
        snapshot: Snapshot,
        done: Shipped,
        generation: str,
        progress: Progress | None,
    ) -> None:
        def tell(moving: Moving) -> None:
            done.moving = moving
            if progress is not None:
                progress(done)

        outlet = self._spool.outlet(stream)
        outlet.quarantine_damage(batch)
        rows = leave_out_present(
            batch, state.check_ids_to, snapshot, at_any_time=stream == "lifecycle"
        )
        first = STREAMS[stream].first
        require = (lambda: None) if first else self._allowance.require
        bringer = Bringer(self._target, self._refusals, self._clock, tell, require)
        brought = bringer.bring(outlet, batch, rows.keep)
        done.moving = None
        self._notes.gaps(stream, batch)
        self._notes.present(stream, batch.epoch, rows.left_out)
        self._notes.blobs(stream, batch.epoch, brought.missing)
        if not first:
            self._ship_notes(generation, done)
        table = to_table(
            stream,
            [
                (record.seq, record.fields)
                for record in self._skew.correct(stream, brought.records, batch.appends)
            ],
            device=self._spool.device,
            epoch=batch.epoch,
            ingested_at=self._clock.wall_us(),
        )
        mark = app_id(self._spool.device, stream, batch.epoch)
        if self._target.disk is not None or progress is None:
            snapshot.commit(table, mark, batch.last)
        else:  # its data files are one put each
            while_beating(lambda: snapshot.commit(table, mark, batch.last), lambda: progress(done))
        done.rows += table.num_rows
        done.left_out += len(rows.left_out)
        done.blobs += brought.copied
        done.blob_bytes += brought.copied_bytes
        done.commits += 1
        structlog.get_logger().debug(
            "shipped", stream=stream, epoch=batch.epoch, seq=batch.last, count=table.num_rows
        )

    def _ship_notes(self, generation: str, done: Shipped) -> None:
        """A gap is explained in the lake before the watermark passes over it."""
        if self._notes.take_dirty():
            self._ship("lifecycle", generation, done, None)


@contextlib.contextmanager
def translated(stream: str) -> Iterator[None]:
    """Turn what disks, Delta and Arrow raise into errors that say how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # Delta's engine, at a server
            raise LakeUnreachable(
                f"The table '{stream}' can't be reached: {first_line(error)}",
                hint="It is tried again; lifelog doctor looks closer. The rows are kept.",
                stream=stream,
            ) from error
        raise Transient(
            f"Shipping '{stream}' failed: {error.strerror or error} ({error.filename}).",
            hint="Check the disks of spool and lake; the rows are kept and tried again.",
            stream=stream,
        ) from error
    except DeltaError as error:
        raise Transient(
            f"The table '{stream}' can't be used: {first_line(error)}",
            hint="lifelog verify looks closer; the rows are kept and tried again.",
            stream=stream,
        ) from error
    except pa.ArrowException as error:
        raise Terminal(
            f"Rows of '{stream}' in the spool don't fit its table: {type(error).__name__}.",
            hint="Another version wrote them: use that one. The rows are kept.",
            stream=stream,
        ) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise Transient(
            f"Delta's engine broke down at the table '{stream}': {first_line(error)}",
            hint="lifelog verify looks closer; the rows are kept and tried again.",
            stream=stream,
        ) from error


def app_id(device: str, stream: str, epoch: str) -> str:
    """The Delta application transaction id of a spool stream."""
    return f"{device}/{stream}/{epoch}"
