"""When home and lake disagree about the past.

*Home rolled back or cloned*: the lake has other rows at seqs that this home is about to use. A row
at or below the watermark counts as shipped only if the lake's row at that seq has its id; otherwise
what is pending gets a new epoch, and a finding says so.

*Lake rolled back*: its generation has changed, its watermark lies below what was acked here, or the
newest acked row isn't in it (a table restored by another program keeps its watermark). Everything
that is still kept is offered again in a new epoch; rows the lake has are left out by their id.
"""

from __future__ import annotations

from collections.abc import Callable

from lifelog_lake.clock_check import MOST_US
from lifelog_lake.lake.schema import day
from lifelog_lake.lake.table import Snapshot, StreamTable
from lifelog_lake.ship.notes import Notes
from lifelog_lake.spool import Batch, Outlet, Record, Spool, StreamState

MOST_ROWS = 10_000


class Guard:
    """Compares what the spool acked with what the lake has. One a shipper."""

    def __init__(self, spool: Spool, notes: Notes) -> None:
        self._spool = spool
        self._notes = notes
        self._compared: set[str] = set()

    def check_past(self, stream: str, outlet: Outlet, table: StreamTable, generation: str) -> None:
        """Offer kept rows again if the lake lacks what was acked. Once a stream and generation."""
        state = outlet.state()
        if state.acked >= 0 and state.generation not in ("", generation):
            self._offer_again(stream, state, generation, "The lake's generation has changed.")
            return
        if stream in self._compared or state.acked < 0:
            return
        newest = outlet.newest_acked()
        if newest is not None and not self._has(table.snapshot(), newest):
            self._offer_again(stream, state, generation, "The lake lacks rows that it had acked.")
        self._compared.add(stream)

    def may_commit(
        self,
        stream: str,
        outlet: Outlet,
        state: StreamState,
        batch: Batch,
        snapshot: Snapshot,
        generation: str,
    ) -> bool:
        """Whether ``batch`` follows the lake's watermark; otherwise mend that, and read again."""
        mark = snapshot.watermark(f"{self._spool.device}/{stream}/{state.epoch}")
        if mark == state.acked:
            return True
        if mark < state.acked:
            self._offer_again(stream, state, generation, "The lake's watermark went back.")
            return False
        there = snapshot.ids_at(state.epoch, batch.first, mark)
        shipped = [record for record in batch.records if record.seq <= mark]
        unknown = [record for record in shipped if there.get(record.seq) != record.fields["id"]]
        accounted = self._present(snapshot, unknown)
        reused = [record for record in unknown if record.fields["id"] not in accounted]
        if not reused and mark < outlet.next_seq():
            outlet.ack(state.epoch, min(mark, batch.last), generation)
            return False
        self._notes.finding(
            "home-rolled-back",
            stream,
            state.epoch,
            "The lake has other rows at these seqs: this home is an older copy, or a second one "
            "with the same device id is alive. What was pending got a new epoch.",
        )
        self._renew(
            stream,
            state,
            generation,
            offer_acked=False,
            leave_out=lambda record: there.get(record.seq) == record.fields["id"],
        )
        return False

    def offer_again(self, stream: str, outlet: Outlet, generation: str, why: str) -> bool:
        """Offer everything that is still kept once more; False if nothing is."""
        if not outlet.spans(acked=True):
            return False
        self._offer_again(stream, outlet.state(), generation, why)
        return True

    def _offer_again(self, stream: str, state: StreamState, generation: str, why: str) -> None:
        self._notes.finding(
            "lake-rolled-back", stream, state.epoch, f"{why} What is kept here was offered again."
        )
        self._renew(stream, state, generation, offer_acked=True, leave_out=lambda _: False)

    def _renew(
        self,
        stream: str,
        state: StreamState,
        generation: str,
        *,
        offer_acked: bool,
        leave_out: Callable[[Record], bool],
    ) -> None:
        """A new epoch, once everything that won't be in it is on record."""
        outlet = self._spool.outlet(stream)
        while True:
            self._note_gaps(stream, outlet, state)
            self._notes.renumbered(stream, outlet.spans(acked=offer_acked))
            renewed = self._spool.renew(
                stream,
                expected_epoch=state.epoch,
                expected_dropped=state.dropped,
                generation=generation,
                offer_acked=offer_acked,
                leave_out=leave_out,
            )
            if renewed.epoch != state.epoch:
                return
            state = renewed  # something was dropped meanwhile

    def _note_gaps(self, stream: str, outlet: Outlet, state: StreamState) -> None:
        """What is damaged or was dropped doesn't reach the new epoch: say so, keep its bytes."""
        after = state.acked
        while (batch := outlet.read(after, MOST_ROWS)) is not None and batch.epoch == state.epoch:
            outlet.quarantine_damage(batch)
            self._notes.gaps(stream, batch)
            after = batch.last

    def _has(self, snapshot: Snapshot, record: Record) -> bool:
        return bool(self._present(snapshot, [record]))

    def _present(self, snapshot: Snapshot, records: list[Record]) -> set[str]:
        if not records:
            return set()
        times = [record.fields["at"] + by for record in records for by in (-MOST_US, 0, MOST_US)]
        ids = [record.fields["id"] for record in records]
        return snapshot.ids_among(ids, {day(at) for at in times}, min(times), max(times))
