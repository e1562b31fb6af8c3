"""Proof that nothing was lost or doubled: seqs, ids, files, blobs.

For each device, stream and epoch the seqs in the table, together with the ranges that lifecycle
rows account for, must be just 0 to the watermark, none twice. Every data file must be there with
its size, every blob that a row names too; with ``read_data`` their bytes must match their hashes.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from lifelog_lake.errors import LakeUnreachable
from lifelog_lake.lake.blobs import hash_of
from lifelog_lake.lake.identity import read_identity
from lifelog_lake.lake.logcheck import (
    UNREADABLE,
    denials,
    first_line,
    is_panic,
    read_transactions,
)
from lifelog_lake.lake.schema import PARTITION
from lifelog_lake.lake.store import Store, blob_key, table_key
from lifelog_lake.lake.target import parse_url
from lifelog_lake.spans import Span, spans

#: Lifecycle kinds whose range of seqs need not be in the table.
ACCOUNTED = frozenset({"present", "dropped", "quarantined", "lost", "renumbered", "done"})
#: Those that mean something is gone for good; shown, but known.
GONE = frozenset(
    {"dropped", "quarantined", "lost", "blob-lost", "blob-quarantined", "blob-refused"}
)
_HASHED_NAME = re.compile(r"([0-9a-f]{64})\.parquet")

Key = tuple[str, str, str]  # device, stream, epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that isn't as it should be: kind, where, what, and what to do about it."""

    kind: str
    where: str
    message: str
    hint: str


@dataclass(slots=True, kw_only=True)
class Report:
    """What was looked at and found. ``recorded`` are losses that were noted when they happened."""

    findings: list[Finding] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    tables: int = 0
    rows: int = 0
    files: int = 0
    blobs: int = 0
    bytes_read: int = 0


def verify(
    where: str | Store,
    *,
    read_data: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Verify the lake in a store or at an address.

    Raises :class:`LakeUnreachable` if there is none.
    """
    target = parse_url(where) if isinstance(where, str) else where
    if read_identity(target) is None:
        raise LakeUnreachable(
            f"There is no lake at {target.url}.", hint="Check the address and the mount."
        )
    return _Verification(target, read_data, progress or _silent).run()


class _Verification:
    def __init__(self, target: Store, read_data: bool, progress: Callable[[str], None]) -> None:
        self._target = target
        self._read_data = read_data
        self._progress = progress
        self._report = Report()
        self._spans: dict[Key, list[Span]] = defaultdict(list)
        self._accounted: dict[Key, list[Span]] = defaultdict(list)
        self._handles: dict[str, DeltaTable] = {}
        self._seen_blobs: set[tuple[str, int | None]] = set()

    def run(self) -> Report:
        # Lifecycle last: a gap is explained there before the commit that passes over it, so what a
        # running shipper does meanwhile can't look unexplained.
        for stream in sorted(self._target.streams(), key=lambda name: name == "lifecycle"):
            self._progress(stream)
            with self._table_read(stream):
                handle = DeltaTable(
                    self._target.table_url(stream), storage_options=self._target.table_options
                )
                self._handles[stream] = handle
                self._check_files(stream, handle)
                self._check_rows(stream, handle)
            self._report.tables += 1
        self._check_seqs()
        return self._report

    @contextlib.contextmanager
    def _table_read(self, stream: str) -> Iterator[None]:
        """A table that can't be read is a finding; the others are looked at all the same."""
        try:
            yield
        except BaseException as error:
            if not isinstance(error, UNREADABLE) and not is_panic(error):
                raise
            message = f"The table can't be read: {first_line(error)}"
            self._find("table", stream, message, _RESTORE)

    def _check_files(self, stream: str, handle: DeltaTable) -> None:
        columns = {field.name for field in handle.schema().fields}
        for action in pa.table(handle.get_add_actions(flatten=True)).to_pylist():
            name, size = action["path"], action["size_bytes"]
            key = f"{table_key(stream)}/{unquote(name)}"
            where = f"{stream}/{name}"
            self._report.files += 1
            try:
                found = self._target.stat(key).size_bytes
            except FileNotFoundError:
                self._find("data-file-missing", where, "A data file is missing.", _RESTORE)
                continue
            if found != size:
                self._find("data-file-size", where, f"It has {found} bytes, not {size}.", _RESTORE)
                continue
            match = _HASHED_NAME.fullmatch(key.rpartition("/")[2])
            with self._target.open(key) as file:
                if self._read_data and match:
                    self._report.bytes_read += size
                    if hash_of(file) != match[1]:
                        self._find(
                            "data-file-damaged", where, "Its bytes don't match its hash.", _RESTORE
                        )
                        continue
                    file.seek(0)
                for denial in denials(action, file, columns, ours=match is not None):
                    self._find("log-differs", where, f"The file has {denial}.", _RESTORE)

    def _check_rows(self, stream: str, handle: DeltaTable) -> None:
        columns = ["id", "device", "epoch", "seq", "blob", "blob_bytes"]
        if stream == "lifecycle":
            columns += ["kind", "stream", "about_epoch", "first_seq", "last_seq"]
        days = sorted({part[PARTITION] for part in handle.partitions()} - {None})
        for day in days:
            rows = handle.to_pyarrow_dataset(partitions=[(PARTITION, "=", day)]).to_table(columns)
            self._report.rows += rows.num_rows
            self._check_ids(f"{stream} {day}", rows["id"])
            self._collect_spans(stream, rows)
            self._check_blobs(f"{stream} {day}", rows)
            if stream == "lifecycle":
                self._collect_accounted(rows)

    def _check_ids(self, where: str, ids: pa.ChunkedArray) -> None:
        doubled = len(ids) - pc.count_distinct(ids, mode="all").as_py()
        if doubled:
            self._find("id-doubled", where, f"{doubled} rows have an id that another has.", _REPORT)

    def _collect_spans(self, stream: str, rows: pa.Table) -> None:
        groups = rows.group_by(["device", "epoch"]).aggregate([("seq", "list")])
        for group in groups.to_pylist():
            key = (group["device"], stream, group["epoch"])
            self._spans[key] += spans(group["seq_list"])

    def _collect_accounted(self, rows: pa.Table) -> None:
        for row in rows.select(
            ["device", "kind", "stream", "about_epoch", "first_seq", "last_seq"]
        ).to_pylist():
            if row["first_seq"] is None:
                continue
            span = (row["first_seq"], row["last_seq"])
            if row["kind"] in ACCOUNTED:
                self._accounted[(row["device"], row["stream"], row["about_epoch"])].append(span)
            if row["kind"] in GONE:
                self._report.recorded.append(
                    f"{row['device']} {row['stream']}: seqs {span[0]} to {span[1]} {row['kind']}"
                )

    def _check_blobs(self, where: str, rows: pa.Table) -> None:
        named = (
            rows.filter(pc.is_valid(rows["blob"])).group_by(["blob", "blob_bytes"]).aggregate([])
        )
        for sha256, size in zip(
            named["blob"].to_pylist(), named["blob_bytes"].to_pylist(), strict=True
        ):
            if (sha256, size) in self._seen_blobs:
                continue
            self._seen_blobs.add((sha256, size))
            self._report.blobs += 1
            self._check_blob(where, sha256, size)

    def _check_blob(self, where: str, sha256: str, size: int | None) -> None:
        try:
            found = self._target.stat(blob_key(sha256)).size_bytes
        except FileNotFoundError:
            self._find("blob-missing", where, f"Blob {sha256} is missing.", _RESTORE)
            return
        if size is not None and found != size:
            self._find(
                "blob-size", where, f"Blob {sha256} has {found} bytes, not {size}.", _RESTORE
            )
        elif self._read_data:
            self._report.bytes_read += found
            with self._target.open(blob_key(sha256)) as file:
                same = hash_of(file) == sha256
            if not same:
                self._find("blob-damaged", where, f"Blob {sha256} has other bytes.", _RESTORE)

    def _check_seqs(self) -> None:
        known = set()
        for stream in self._handles:
            names, damaged = read_transactions(self._target, stream)
            for file in damaged:
                self._find("log-damaged", f"{stream}/{file}", "It can't be read.", _RESTORE)
            for name in names:  # another program's ids look otherwise
                device, _, rest = name.partition(f"/{stream}/")
                if rest and "/" not in name.replace(f"/{stream}/", "", 1):
                    known.add((device, stream, rest))
        for key in sorted({*self._spans, *self._accounted, *known}):
            device, stream, epoch = key
            where = f"{device}/{stream}/{epoch}"
            handle = self._handles.get(stream)
            mark = None
            with self._table_read(stream):
                mark = handle.transaction_version(where) if handle is not None else None
            rows = sorted(self._spans.get(key, []))
            for span in _overlaps(rows):
                self._find("seq-doubled", where, f"Seqs {_text(span)} are there twice.", _REPORT)
            if rows and rows[-1][1] > (-1 if mark is None else mark):
                self._find(
                    "seq-beyond",
                    where,
                    f"Seq {rows[-1][1]} is above the watermark {mark}.",
                    _REPORT,
                )
            covered = sorted([*rows, *self._accounted.get(key, [])])
            for span in _missing(covered, -1 if mark is None else mark):
                self._find("seq-missing", where, f"Seqs {_text(span)} are missing.", _RESTORE)

    def _find(self, kind: str, where: str, message: str, hint: str) -> None:
        self._report.findings.append(Finding(kind=kind, where=where, message=message, hint=hint))


def _silent(where: str) -> None:
    del where


_RESTORE = "Restore it from a backup; the device's kept segments may still have the rows."
_REPORT = "Please report this: it should be impossible."


def _overlaps(rows: list[Span]) -> Iterator[Span]:
    end = -1
    for first, last in rows:
        if first <= end:
            yield first, min(last, end)
        end = max(end, last)


def _missing(spans: list[Span], mark: int) -> Iterator[Span]:
    expected = 0
    for first, last in spans:
        if first > expected and expected <= mark:
            yield expected, min(first - 1, mark)
        expected = max(expected, last + 1)
    if expected <= mark:
        yield expected, mark


def _text(span: Span) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"
