"""The table of the daily summaries: written month by month, each replaced whole in one commit.

A Delta table like the streams', so that any reader opens it, in ``tables/_days`` (no stream's name
begins with an underscore). A commit goes through the version whose rows it was worked out from: a
second writer is refused, not merged. Nothing else writes it, so it keeps its log and its replaced
files short by itself.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import time
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Literal

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import structlog
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from lifelog_lake import fsio
from lifelog_lake.care.trouble import number_of
from lifelog_lake.errors import CommitConflict, LakeDamaged
from lifelog_lake.lake import checkpoint
from lifelog_lake.lake.entries import read_entry
from lifelog_lake.lake.logcheck import first_line
from lifelog_lake.lake.store import Store, entry_key, log_key, table_key
from lifelog_lake.recall.days import SCHEMA, TABLE

MONTH = "month"
_NO_HOOK = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_CONFIGURATION = {
    "delta.dataSkippingStatsColumns": "date",
    "delta.enableDeletionVectors": "false",
    # It can be made anew at any time: a reader that is at work is all that needs the past.
    "delta.logRetentionDuration": "interval 7 days",
    "delta.deletedFileRetentionDuration": "interval 7 days",
}
_TIME = pa.timestamp("us", "UTC")
_APP = pa.struct(
    [
        ("at", _TIME),
        ("host", pa.string()),
        ("app", pa.string()),
        ("time_us", pa.int64()),
        ("host_us", pa.int64()),
        ("device_us", pa.int64()),
    ]
)
ARROW = pa.schema(
    [
        ("date", pa.date32()),
        ("stream", pa.string()),
        ("device", pa.string()),
        ("rows", pa.int64()),
        ("contents", pa.int64()),
        ("blob_bytes", pa.int64()),
        ("first_at", _TIME),
        ("last_at", _TIME),
        ("hosts", pa.list_(pa.field("element", pa.string()))),
        ("apps", pa.list_(pa.field("element", _APP))),
        (MONTH, pa.string()),
    ]
)


class DaysTable:
    """The table in a store, made if it is missing. Open it anew for each run.

    Raises :class:`~lifelog_lake.errors.LakeDamaged` if it can't be read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._log = store.log(TABLE)
        self._place = store.place(table_key(TABLE))
        self._log.mend()
        self._handle = self._opened()
        #: What was worked out from this version may be committed behind it only.
        self._version = self._handle.version()

    def watermark(self, name: str) -> int:
        """What is kept under an application id; -1 for nothing."""
        found = self._handle.transaction_version(name)
        return -1 if found is None else found

    def rows(self, month: str) -> pl.DataFrame:
        """The rows of a month (``2026-01``)."""
        with self._readable():
            dataset = self._handle.to_pyarrow_dataset(partitions=[(MONTH, "=", month)])
            return _frame(dataset.to_table().cast(ARROW)).cast(SCHEMA)

    def dates_of(self, stream: str) -> set[date]:
        """The days on which it has a row of a stream."""
        with self._readable():
            dataset = self._handle.to_pyarrow_dataset()
            found = dataset.to_table(["date"], filter=ds.field("stream") == stream)
        return set(found["date"].to_pylist())

    def replace(self, month: str, rows: pl.DataFrame, marks: Mapping[str, int]) -> None:
        """Replace a month and move marks, in one commit; durable and read back on return.

        Raises :class:`~lifelog_lake.errors.CommitConflict` if anybody else has committed since
        this was opened: what was worked out may be out of date.
        """
        content = _encoded(rows)
        name = _name(month, content)
        before = self._files(month)
        if before == ({name} if rows.height else set()):
            self.mark(marks)  # adding and removing one name in a commit would be void
            return
        adds = []
        if rows.height:
            self._store.write(f"{table_key(TABLE)}/{name}", content, at="data")
            adds.append(_add(month, name, len(content), rows))
        self._commit(adds, before, marks, mode="overwrite", month=month)

    def mark(self, marks: Mapping[str, int]) -> None:
        """Move marks alone."""
        if marks:
            self._commit([], set(), marks, mode="append")

    def tidy(self) -> None:
        """Every so many versions a checkpoint; then what is a week out of date is removed.

        A failure is logged and tried again after a later commit: nothing depends on it.
        """
        due = min(checkpoint.EVERY, self._store.checkpoint_every)
        if self._version - max(checkpoint.newest(self._store, TABLE), 0) < due:
            return
        try:
            checkpoint.make(self._store, TABLE)
            handle = self._opened()
            handle.cleanup_metadata()
            handle.vacuum(dry_run=False, full=True)
        except (DeltaError, OSError) as error:
            structlog.get_logger().warning(
                "checkpoint_failed", stream=TABLE, error=type(error).__name__
            )

    def _commit(
        self,
        adds: list[AddAction],
        removed: set[str],
        marks: Mapping[str, int],
        *,
        mode: Literal["append", "overwrite"],
        month: str | None = None,
    ) -> None:
        failure: Exception | None = None
        if self._handle.version() == self._version:
            try:
                with fsio.operation("commit", "delta", self._place):
                    self._handle.create_write_transaction(
                        adds,
                        mode=mode,
                        schema=self._handle.schema(),
                        partition_by=[MONTH],
                        partition_filters=None if month is None else [(MONTH, "=", month)],
                        commit_properties=CommitProperties(
                            app_transactions=[Transaction(*mark) for mark in marks.items()],
                            max_commit_retries=0,
                        ),
                        post_commithook_properties=_NO_HOOK,
                    )
            except (DeltaError, OSError) as error:
                failure = error
        self._version += 1
        if not self._has_commit({add.path for add in adds}, removed, marks):
            raise CommitConflict(
                f"A commit to '{TABLE}' didn't go through: {failure}.", stream=TABLE
            ) from failure
        self._handle = self._opened()

    def _has_commit(self, added: set[str], removed: set[str], marks: Mapping[str, int]) -> bool:
        """Whether the next entry is this very commit; a yes is durable."""
        key = entry_key(TABLE, self._version)
        place = self._store.place(key)
        try:
            with fsio.operation("readback", "open", place):
                actions = read_entry(self._store.read(key), place)
        except FileNotFoundError:
            return False
        found = [(a["txn"]["appId"], a["txn"]["version"]) for a in actions if "txn" in a]
        found += [
            (kind, a[kind]["path"]) for a in actions for kind in ("add", "remove") if kind in a
        ]
        wanted = [*marks.items(), *(("add", path) for path in added)]
        if set(found) != {*wanted, *(("remove", path) for path in removed)}:
            return False
        with fsio.operation("readback", "sync", place):
            self._log.keep(self._version, self._version)
        return True

    def _files(self, month: str) -> set[str]:
        actions = pa.table(self._handle.get_add_actions(flatten=True)).to_pylist()
        return {one["path"] for one in actions if one[f"partition.{MONTH}"] == month}

    def _opened(self) -> DeltaTable:
        url, options = self._store.table_url(TABLE), self._store.table_options
        with self._readable():
            if next(iter(self._store.keys(log_key(TABLE))), None) is None:
                self._create(url, options)
            return DeltaTable(url, storage_options=options)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (DeltaError, OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and number_of(error) not in (None, errno.ENOENT):
                raise  # the disk's
            raise LakeDamaged(
                f"The daily summaries can't be read: {first_line(error)}",
                hint=f"Delete {table_key(TABLE)} in the lake: they are made anew.",
                path=self._store.table_url(TABLE),
            ) from error

    def _create(self, url: str, options: dict[str, str] | None) -> None:
        try:
            with fsio.operation("table", "create", self._place):
                DeltaTable.create(
                    url,
                    schema=Schema.from_arrow(ARROW),
                    mode="error",
                    partition_by=[MONTH],
                    name=TABLE,
                    configuration=_CONFIGURATION,
                    storage_options=options,
                    post_commithook_properties=_NO_HOOK,
                )
        except (DeltaError, OSError):
            if next(iter(self._store.keys(log_key(TABLE))), None) is None:
                raise  # otherwise another run created it first
        self._log.keep(0, 0)


def _encoded(rows: pl.DataFrame) -> bytes:
    table = rows.select(ARROW.names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(ARROW)
    buffer = io.BytesIO()
    pq.write_table(
        table.drop_columns([MONTH]), buffer, compression="zstd", write_page_checksum=True
    )
    return buffer.getvalue()


def _name(month: str, content: bytes) -> str:
    return f"{MONTH}={month}/{hashlib.sha256(content).hexdigest()}.parquet"


def _add(month: str, path: str, size: int, rows: pl.DataFrame) -> AddAction:
    days = rows["date"]
    stats = {
        "numRecords": rows.height,
        "minValues": {"date": str(days.min())},
        "maxValues": {"date": str(days.max())},
        "nullCount": {"date": 0},
    }
    return AddAction(
        path=path,
        size=size,
        partition_values={MONTH: month},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=orjson.dumps(stats).decode(),
    )


def _frame(table: pa.Table) -> pl.DataFrame:
    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    return found
