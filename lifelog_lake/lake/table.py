"""One stream's Delta table: create, look, commit exactly once.

Delta accepts a serial replay of an application transaction, even with a lower version, so a commit
goes through the very snapshot whose watermark was read: only then is a second writer of the same
application id refused. Any exception of a commit means "unknown", and only reading back decides.
delta-rs doesn't sync, so log entries are synced here before anything is acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import structlog
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from lifelog_lake import fsio
from lifelog_lake.errors import CommitConflict, LakeDamaged
from lifelog_lake.lake import checkpoint, datafile
from lifelog_lake.lake.schema import PARTITION, STATISTICS, arrow_schema, day_text, missing_columns

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
        root = self._table.root
        files = [datafile.write(root, date, part) for date, part in datafile.split_by_day(rows)]
        self.add(files, {app_id: last_seq})

    def add(self, files: Sequence[datafile.DataFile], marks: Mapping[str, int]) -> None:
        """Add files that are written already and move several watermarks, as :meth:`commit` does.

        ``marks`` is application id -> last seq.
        """
        root = self._table.root
        failure: Exception | None = None
        try:
            with fsio.operation("commit", "delta", root):
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

    def _dataset(self, partitions: list[tuple[str, str, list[str]]] | None = None) -> ds.Dataset:
        return self._handle.to_pyarrow_dataset(partitions=partitions)


class StreamTable:
    """A stream's table in a local lake. Open it once a process; take a snapshot for each commit."""

    def __init__(self, root: Path, stream: str) -> None:
        self.root = root
        self.stream = stream
        self._synced = -1
        self._checkpointed = -1
        self._ready = False
        self._unsyncable: set[Path] = set()

    def exists(self) -> bool:
        """Whether the table has been created."""
        return any((self.root / "_delta_log").glob("*.json"))

    def snapshot(self) -> Snapshot:
        """The newest version, with every column that this version of the program writes."""
        if not self._ready:
            self._set_torn_aside()
            checkpoint.set_torn_aside(self.root)
            self._create_if_missing()
        handle = DeltaTable(self.root)
        if not self._ready or handle.version() < self._synced:  # new here, or a copy put back
            self._synced = self._checkpointed = checkpoint.newest(self.root)
            self._sync_log(handle.version())
            self._ready = True
        table_schema = pa.schema(handle.schema().to_arrow())
        if missing := missing_columns(self.stream, table_schema):
            handle.alter.add_columns(Schema.from_arrow(pa.schema(missing)).fields)
            handle = DeltaTable(self.root)
            self._sync_log(handle.version())
        return Snapshot(self, handle)

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint if enough versions have gone by; called after an ack.

        A failure is logged and tried again after the next commit: nothing depends on it.
        """
        if self._synced - self._checkpointed < checkpoint.EVERY:
            return
        try:
            self._checkpointed = checkpoint.make(self.root)
        except (DeltaError, OSError) as error:
            structlog.get_logger().warning(
                "checkpoint_failed", stream=self.stream, error=type(error).__name__
            )

    def has_commit(
        self, base: int, marks: Mapping[str, int], files: Sequence[datafile.DataFile]
    ) -> bool:
        """Whether a commit after version ``base`` moved the watermarks and added just these files.

        Syncs the log up to it, so a yes is durable.
        """
        with fsio.operation("readback", "open", self.root):
            newest = DeltaTable(self.root)
        seen = Snapshot(self, newest)
        if any(seen.watermark(app_id) < last_seq for app_id, last_seq in marks.items()):
            return False
        for version in range(base + 1, newest.version() + 1):
            entry = self._entry(version)
            actions = _read_entry(entry)
            moved = {(a["txn"]["appId"], a["txn"]["version"]) for a in actions if "txn" in a}
            added = {a["add"]["path"] for a in actions if "add" in a}
            if moved.issuperset(marks.items()) and added == {file.path for file in files}:
                with fsio.operation("readback", "sync", entry):
                    self._sync_log(newest.version())
                return True
        return False

    def _entry(self, version: int) -> Path:
        return self.root / "_delta_log" / f"{version:020d}.json"

    def _sync_log(self, newest: int) -> None:
        """Sync the log entries up to a version that weren't yet, by whomever they were written."""
        entries = [self._entry(version) for version in range(self._synced + 1, newest + 1)]
        for entry in entries:
            if entry.exists():  # the hub may have cleaned up behind a checkpoint
                self._sync_entry(entry)
        if entries:
            fsio.sync_dir(self.root / "_delta_log", at="commit")
        self._synced = newest

    def _sync_entry(self, entry: Path) -> None:
        """Sync an entry; one whose sync failed is written anew, never synced a second time."""
        if entry not in self._unsyncable:
            try:
                return fsio.sync_file(entry, at="commit")
            except OSError:
                self._unsyncable.add(entry)
                raise
        _read_entry(entry)  # what the failure left in memory must be whole
        fsio.write_atomic(entry, entry.read_bytes(), at="commit")
        self._unsyncable.discard(entry)
        return None

    def _create_if_missing(self) -> None:
        fsio.make_dirs(self.root / "_delta_log", at="table", root=self.root.parents[1])
        if self.exists():
            return
        try:
            with fsio.operation("table", "create", self.root):
                DeltaTable.create(
                    self.root,
                    schema=Schema.from_arrow(arrow_schema(self.stream)),
                    mode="error",
                    partition_by=[PARTITION],
                    name=self.stream,
                    configuration=CONFIGURATION,
                    post_commithook_properties=_NO_HOOK,
                )
        except (DeltaError, OSError):
            if not self.exists():  # otherwise another device created it first
                raise

    def _set_torn_aside(self) -> None:
        """Move a last log entry away that a power loss left unfinished: it was never acked."""
        entries = sorted((self.root / "_delta_log").glob("*.json"))
        if not entries:
            return
        try:
            _read_entry(entries[-1])
        except LakeDamaged:
            if not _is_torn(entries[-1].read_bytes()):
                raise  # what others have acked may be in it
            target = self.root / "_torn"
            fsio.make_dirs(target, at="torn")
            fsio.rename(entries[-1], target / f"{entries[-1].name}-{time.time_ns()}", at="torn")
            fsio.sync_dir(target, at="torn")
            fsio.sync_dir(entries[-1].parent, at="torn")


def _add(file: datafile.DataFile) -> AddAction:
    return AddAction(
        path=file.path,
        size=file.size_bytes,
        partition_values={PARTITION: file.date},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=file.stats,
    )


def _is_torn(content: bytes) -> bool:
    """Whether a power loss leaves an entry like this: cut short, or with blocks of zeros."""
    return b"\0" in content or not content.rstrip().endswith(b"}")


def _read_entry(path: Path) -> list[dict[str, dict[str, object]]]:
    """The actions of a log entry; :class:`LakeDamaged` if it isn't whole."""
    content = path.read_bytes()
    try:
        actions = [orjson.loads(line) for line in content.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        actions = []
    if not actions or not all(isinstance(action, dict) for action in actions):
        raise LakeDamaged(
            f"The log entry {path} isn't whole.",
            hint="Restore it from a backup; until then this table takes no rows.",
            path=str(path),
        )
    return actions
