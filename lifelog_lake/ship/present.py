"""Rows that may be in the lake already: pulled ones, and those that are offered again."""

from __future__ import annotations

from dataclasses import dataclass

from lifelog_lake.clock import MAX_US, MIN_US
from lifelog_lake.clock_check import MOST_US
from lifelog_lake.events import is_pulled
from lifelog_lake.lake.schema import day
from lifelog_lake.lake.table import Snapshot
from lifelog_lake.spool import Batch, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The records of a batch to write, and the seqs of those that the lake has."""

    keep: tuple[Record, ...]
    left_out: tuple[int, ...]


def leave_out_present(
    batch: Batch, check_ids_to: int, snapshot: Snapshot, *, at_any_time: bool = False
) -> Rows:
    """Leave out rows whose id the lake has on their days, or that came before in the batch.

    Only rows that can come twice are looked up: those with a uuid5 (a source that can be read
    again) and those up to ``check_ids_to`` (offered again in a new epoch). ``at_any_time`` is for
    rows whose id doesn't imply their time: the shipper's own notes, written again after a crash.
    """
    doubtful = [
        record
        for record in batch.records
        if record.seq <= check_ids_to or is_pulled(record.fields["id"])
    ]
    if not doubtful:
        return Rows(keep=batch.records, left_out=())
    # Times of our own rows may have been corrected when they were shipped first.
    slack = 0 if all(is_pulled(record.fields["id"]) for record in doubtful) else MOST_US
    times = [record.fields["at"] + by for record in doubtful for by in {-slack, 0, slack}]
    present = snapshot.ids_among(
        [record.fields["id"] for record in doubtful],
        None if at_any_time else {day(at) for at in times},
        MIN_US if at_any_time else min(times),
        MAX_US if at_any_time else max(times),
    )
    doubtful_seqs = {record.seq for record in doubtful}
    keep, left_out = [], []
    for record in batch.records:
        event_id = record.fields["id"]
        if record.seq in doubtful_seqs:
            if event_id in present:
                left_out.append(record.seq)
                continue
            present.add(event_id)
        keep.append(record)
    return Rows(keep=tuple(keep), left_out=tuple(left_out))
