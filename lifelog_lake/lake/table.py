"""One stream's Delta table: create, look, commit exactly once.

Delta accepts a serial replay of an application transaction, even with a lower version, so a commit
goes through the very snapshot whose watermark was read: only then is a second writer of the same
application id refused. Any exception of a commit means "unknown", and only reading back decides.
The store's log keeper makes log entries durable before anything is acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import structlog
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from lifelog_lake import fsio
from lifelog_lake.errors import CommitConflict
from lifelog_lake.lake import checkpoint, datafile
from lifelog_lake.lake.entries import read_entry
from lifelog_lake.lake.schema import PARTITION, STATISTICS, arrow_schema, day_text, missing_columns
from lifelog_lake.lake.store import Store, entry_key, log_key, table_key
from lifelog_lake.lake.tail import is_in_force

_NO_HOOK = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
CONFIGURATION = {
    "delta.dataSkippingStatsColumns": ",".join(STATISTICS),
    "delta.enableDeletionVectors": "false",
}


class Snapshot:
    """One version of a table. What is committed through it was decided on what it shows."""

    def __init__(self, table: StreamTable, handle: DeltaTable) -> None:
        self._table = table
        self._handle = handle
        self.version = handle.version()

    def watermark(self, app_id: str) -> int:
        """Last seq committed for an application id; -1 for none."""
        found = self._handle.transaction_version(app_id)
        return -1 if found is None else found

    def rows(self) -> int:
        """How many rows the table has."""
        return self._handle.count()

    def commit(self, rows: pa.Table, app_id: str, last_seq: int) -> None:
        """Add rows and move the watermark to ``last_seq``; durable and read back on return.

        No rows move the watermark alone. Raises :class:`CommitConflict` if it isn't in the table:
        take a new snapshot and decide again. Any commit since the snapshot is a conflict: another
        epoch's or device's may have brought the very rows that weren't there.
        """
        store, stream = self._table.store, self._table.stream
        files = [
            datafile.write(store, stream, date, part) for date, part in datafile.split_by_day(rows)
        ]
        self.add(files, {app_id: last_seq})

    def add(self, files: Sequence[datafile.DataFile], marks: Mapping[str, int]) -> None:
        """Add files that are written already and move several watermarks, as :meth:`commit` does.

        ``marks`` is application id -> last seq.
        """
        failure: Exception | None = None
        try:
            with fsio.operation("commit", "delta", self._table.place):
                self._handle.create_write_transaction(
                    [_add(file) for file in files],
                    mode="append",
                    schema=self._handle.schema(),
                    partition_by=[PARTITION],
                    commit_properties=CommitProperties(
                        app_transactions=[Transaction(*mark) for mark in marks.items()],
                        max_commit_retries=0,
                    ),
                    post_commithook_properties=_NO_HOOK,
                )
        except (DeltaError, OSError) as error:
            failure = error
        if not self._table.has_commit(self.version, marks, files):
            if isinstance(failure, OSError):  # the store; to decide anew at once only repeats it
                raise failure
            raise CommitConflict(
                f"A commit to '{self._table.stream}' didn't go through: {failure}.",
                stream=self._table.stream,
                seq=max(marks.values()),
            ) from failure

    def ids_at(self, epoch: str, first: int, last: int) -> dict[int, str]:
        """The ids that the table has at the seqs of an epoch, inclusive."""
        rows = self._dataset().to_table(
            columns=["seq", "id"],
            filter=(ds.field("epoch") == epoch)
            & (ds.field("seq") >= first)
            & (ds.field("seq") <= last),
        )
        return dict(zip(rows["seq"].to_pylist(), rows["id"].to_pylist(), strict=True))

    def ids_among(
        self, ids: Iterable[str], days: set[int] | None, first_at: int, last_at: int
    ) -> set[str]:
        """Those of ``ids`` that the table has on these days (since 1970) between two times (µs).

        None means every day.
        """
        wanted = pa.array(sorted(set(ids)), pa.string())
        partitions = None
        if days is not None:
            partitions = [(PARTITION, "in", [day_text(value) for value in sorted(days)])]
        at = pa.timestamp("us", "UTC")
        found = self._dataset(partitions).to_table(
            columns=["id"],
            filter=(ds.field("at") >= pa.scalar(first_at, at))
            & (ds.field("at") <= pa.scalar(last_at, at)),
        )["id"]
        return set(found.filter(pc.is_in(found, value_set=wanted)).to_pylist())

    def newest_seqs(self, device: str, days: set[int]) -> dict[str, int]:
        """The highest seq of each epoch of a device on some days (since 1970)."""
        rows = self._dataset(
            [(PARTITION, "in", [day_text(value) for value in sorted(days)])]
        ).to_table(columns=["epoch", "seq"], filter=ds.field("device") == device)
        newest = rows.group_by("epoch").aggregate([("seq", "max")])
        return {one["epoch"]: one["seq_max"] for one in newest.to_pylist()}

    def _dataset(self, partitions: list[tuple[str, str, list[str]]] | None = None) -> ds.Dataset:
        return self._handle.to_pyarrow_dataset(partitions=partitions)


class StreamTable:
    """A stream's table. Open it once a process; take a snapshot for each commit."""

    def __init__(self, store: Store, stream: str) -> None:
        self.store = store
        self.stream = stream
        self.place = store.place(table_key(stream))
        self._log = store.log(stream)
        self._kept = -1
        self._checkpointed = -1
        self._ready = False

    def exists(self) -> bool:
        """Whether the table has been created."""
        return any(key.endswith(".json") for key in self.store.keys(log_key(self.stream)))

    def snapshot(self) -> Snapshot:
        """The newest version, with every column that this version of the program writes."""
        if not self._ready:
            self._log.mend()
            self._create_if_missing()
        handle = self._newest()
        table_schema = pa.schema(handle.schema().to_arrow())
        if missing := missing_columns(self.stream, table_schema):
            handle.alter.add_columns(Schema.from_arrow(pa.schema(missing)).fields)
            handle = self._open()
            self._keep_log(handle.version())
        return Snapshot(self, handle)

    def newest(self) -> DeltaTable:
        """The newest version as it is: nothing is made or added. Its log is durable on return."""
        if not self._ready:
            self._log.mend()
        return self._newest()

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint if enough versions have gone by; called after an ack.

        A failure is logged and tried again after the next commit: nothing depends on it.
        """
        if self._kept - self._checkpointed < min(checkpoint.EVERY, self.store.checkpoint_every):
            return
        try:
            self._checkpointed = checkpoint.make(self.store, self.stream)
        except (DeltaError, OSError) as error:
            structlog.get_logger().warning(
                "checkpoint_failed", stream=self.stream, error=type(error).__name__
            )

    def has_commit(
        self, base: int, marks: Mapping[str, int], files: Sequence[datafile.DataFile]
    ) -> bool:
        """Whether a commit after version ``base`` moved the watermarks and added just these files.

        Reads the entries since then by ourselves: opening the table anew would read them all. Keeps
        the log up to it, so a yes is durable. A no is for the next snapshot's watermark to decide.
        """
        version = base + 1
        while True:
            key = entry_key(self.stream, version)
            place = self.store.place(key)
            try:
                with fsio.operation("readback", "open", place):
                    actions = read_entry(self.store.read(key), place)
            except FileNotFoundError:
                return False
            moved = {(a["txn"]["appId"], a["txn"]["version"]) for a in actions if "txn" in a}
            added = {a["add"]["path"] for a in actions if "add" in a}
            if moved.issuperset(marks.items()) and added == {file.path for file in files}:
                if not is_in_force(self.store, self.stream, version):
                    return False
                with fsio.operation("readback", "sync", place):
                    self._keep_log(version)
                return True
            version += 1

    def _newest(self) -> DeltaTable:
        handle = self._open()
        if not self._ready or handle.version() < self._kept:  # new here, or a copy put back
            self._kept = self._checkpointed = checkpoint.newest(self.store, self.stream)
            self._keep_log(handle.version())
            self._ready = True
        return handle

    def _open(self) -> DeltaTable:
        url = self.store.table_url(self.stream)
        return DeltaTable(url, storage_options=self.store.table_options)

    def _keep_log(self, newest: int) -> None:
        """Make the entries up to a version durable that aren't yet."""
        self._log.keep(self._kept + 1, newest)
        self._kept = newest

    def _create_if_missing(self) -> None:
        if self.exists():
            return
        try:
            with fsio.operation("table", "create", self.place):
                DeltaTable.create(
                    self.store.table_url(self.stream),
                    schema=Schema.from_arrow(arrow_schema(self.stream)),
                    mode="error",
                    partition_by=[PARTITION],
                    name=self.stream,
                    configuration=CONFIGURATION,
                    storage_options=self.store.table_options,
                    post_commithook_properties=_NO_HOOK,
                )
        except (DeltaError, OSError):
            if not self.exists():  # otherwise another device created it first
                raise


def _add(file: datafile.DataFile) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.size_bytes,
        partition_values={PARTITION: file.date},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=file.stats,
    )
