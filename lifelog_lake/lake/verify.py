"""Proof that nothing was lost or doubled: seqs, ids, files, blobs.

For each device, stream and epoch the seqs in the table, together with the ranges that lifecycle
rows account for, must be just 0 to the watermark, none twice. Every data file must be there with
its size, every blob that a row names too; with ``read_data`` their bytes must match their hashes.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson
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
from lifelog_lake.lake.store import Store, blob_key, log_key, table_key
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
    """One thing that isn't as it should be: kind, where, what, and what to do about it.

    ``key`` is the object's in the lake, ``depends`` what can't be had without it, in words.
    """

    kind: str
    where: str
    message: str
    hint: str
    key: str = ""
    depends: str = ""


@dataclass(slots=True, kw_only=True)
class Report:
    """What was looked at and found. ``recorded`` are losses that were noted when they happened."""

    findings: list[Finding] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    #: The seqs of the findings ``seq-missing``: device, stream, epoch, first and last.
    missing: list[tuple[Key, Span]] = field(default_factory=list)
    tables: int = 0
    rows: int = 0
    files: int = 0
    blobs: int = 0
    bytes_read: int = 0
    #: How much of the ring was read with a share: its width, unless time ran out.
    passed: int = 0


#: Where a key lies on it is its crc32.
RING = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The objects that are read now, of a lake that is read whole little by little.

    Which they are, their names say: their places on a ring, from ``start`` on over ``width``. So
    one that comes meanwhile has its turn, too. Besides those the keys ``also``, always. Before each
    object ``goes_on`` is asked whether there is time for one that may wait.
    """

    start: int
    width: int
    also: frozenset[str] = frozenset()
    goes_on: Callable[[], bool] = lambda: True

    @classmethod
    def of_day(cls, days: int, today: int) -> Share:
        """That of a day (since 1970), where the whole takes so many days."""
        first, after = (n * RING // days for n in (today % days, today % days + 1))
        return cls(start=first, width=after - first)

    def has(self, key: str) -> bool:
        """Whether this object is read."""
        return key in self.also or self.way_to(key) < self.width

    def way_to(self, key: str) -> int:
        """How far an object is from the start."""
        return (zlib.crc32(key.encode()) - self.start) % RING


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """One that is hashed, and the finding if that isn't its name."""

    key: str
    sha256: str
    size_bytes: int
    finding: Finding


def verify(
    where: str | Store,
    *,
    read_data: bool = False,
    share: Share | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Verify the lake in a store or at an address.

    ``read_data`` reads every object. Without it ``share`` reads that share of them, after all else,
    and of contents looks for no others. Raises :class:`LakeUnreachable` if there is no lake.
    """
    target = parse_url(where) if isinstance(where, str) else where
    if read_identity(target) is None:
        raise LakeUnreachable(
            f"There is no lake at {target.url}.", hint="Check the address and the mount."
        )
    return _Verification(target, None if read_data else share, read_data, progress or _silent).run()


class _Verification:
    def __init__(
        self,
        target: Store,
        share: Share | None,
        read_data: bool,
        progress: Callable[[str], None],
    ) -> None:
        self._target = target
        self._read_data = read_data
        self._share = share
        self._later: list[_Object] = []
        #: Contents that are known to be gone.
        self._given_up: set[str] = set()
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
        if self._share is not None:
            self._read_share(self._share)
        self._settle()
        return self._report

    def _is_whole(self, one: _Object) -> bool:
        """Whether an object has the bytes that its name says, if it is read now."""
        if self._share is not None:
            if self._share.has(one.key):
                self._later.append(one)
            return True
        return not self._read_data or self._hash(one)

    def _hash(self, one: _Object) -> bool:
        self._report.bytes_read += one.size_bytes
        with self._target.open(one.key) as file:
            return hash_of(file) == one.sha256

    def _read_share(self, share: Share) -> None:
        """Read what was put off: the share in the ring's order, as long as there is time, then what
        is read in any case."""
        self._report.passed = share.width
        self._later.sort(key=lambda one: share.way_to(one.key))
        for one in self._later:
            in_time = share.goes_on()
            if (way := share.way_to(one.key)) < share.width and not in_time:
                self._report.passed = min(self._report.passed, way)
            if not in_time and one.key not in share.also:
                continue
            try:
                whole = self._hash(one)
            except FileNotFoundError:
                continue  # merged into another file meanwhile, which has its turn
            if not whole:
                self._report.findings.append(one.finding)

    def _settle(self) -> None:
        """Content whose loss is on record is no finding any more."""
        known = [
            one
            for one in self._report.findings
            if one.kind == "blob-missing" and one.key in self._given_up
        ]
        for one in known:
            self._report.findings.remove(one)
            self._report.recorded.append(f"{one.where}: {one.message}")

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
            depends = f"{action.get('num_records')} rows of {stream}"
            if (day := action.get(f"partition.{PARTITION}")) is not None:
                depends += f" on {day}"
            try:
                found = self._target.stat(key).size_bytes
            except FileNotFoundError:
                self._find(
                    "data-file-missing", where, "A data file is missing.", _REPAIR, key, depends
                )
                continue
            if found != size:
                message = f"It has {found} bytes, not {size}."
                self._find("data-file-size", where, message, _REPAIR, key, depends)
                continue
            match = _HASHED_NAME.fullmatch(key.rpartition("/")[2])
            if match:
                damaged = Finding(
                    kind="data-file-damaged", where=where, hint=_REPAIR, key=key, depends=depends,
                    message="Its bytes don't match its hash.",
                )  # fmt: skip
                one = _Object(key=key, sha256=match[1], size_bytes=size, finding=damaged)
                if not self._is_whole(one):
                    self._report.findings.append(damaged)
                    continue
            with self._target.open(key) as file:
                for denial in denials(action, file, columns, ours=match is not None):
                    message = f"The file has {denial}."
                    self._find("log-differs", where, message, _RESTORE, key, depends)

    def _check_rows(self, stream: str, handle: DeltaTable) -> None:
        columns = ["id", "device", "epoch", "seq", "blob", "blob_bytes"]
        if stream == "lifecycle":
            columns += ["kind", "stream", "about_epoch", "first_seq", "last_seq", "extra"]
        days = sorted({part[PARTITION] for part in handle.partitions()} - {None})
        for day in days:
            rows = handle.to_pyarrow_dataset(partitions=[(PARTITION, "=", day)]).to_table(columns)
            self._report.rows += rows.num_rows
            self._check_ids(f"{stream} {day}", rows["id"])
            self._collect_spans(stream, rows)
            self._check_blobs(stream, str(day), rows)
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
            ["device", "kind", "stream", "about_epoch", "first_seq", "last_seq", "extra"]
        ).to_pylist():
            extra = object_of(row["extra"])
            if row["kind"] == "blob-lost" and isinstance(extra.get("blob"), str):
                self._given_up.add(blob_key(extra["blob"]))
            if row["first_seq"] is None:
                continue
            span = (row["first_seq"], row["last_seq"])
            # A repair speaks of rows of any device.
            device = str(extra.get("device") or row["device"])
            if row["kind"] in ACCOUNTED:
                self._accounted[(device, row["stream"], row["about_epoch"])].append(span)
            if row["kind"] in GONE:
                self._report.recorded.append(
                    f"{device} {row['stream']}: seqs {span[0]} to {span[1]} {row['kind']}"
                )

    def _check_blobs(self, stream: str, day: str, rows: pa.Table) -> None:
        named = rows.filter(pc.is_valid(rows["blob"])).group_by(["blob", "blob_bytes"])
        for one in named.aggregate([([], "count_all")]).to_pylist():
            sha256, size = one["blob"], one["blob_bytes"]
            if (sha256, size) in self._seen_blobs:
                continue
            self._seen_blobs.add((sha256, size))
            if self._share is None or self._share.has(blob_key(sha256)):
                depends = f"{one['count_all']} rows of {stream} on {day}"
                self._check_blob(sha256, size, f"{stream} {day}", depends)

    def _check_blob(self, sha256: str, size: int | None, where: str, depends: str) -> None:
        self._report.blobs += 1
        key = blob_key(sha256)
        try:
            found = self._target.stat(key).size_bytes
        except FileNotFoundError:
            message = f"Blob {sha256} is missing."
            self._find("blob-missing", where, message, _REPAIR, key, depends)
            return
        if size is not None and found != size:
            message = f"Blob {sha256} has {found} bytes, not {size}."
            self._find("blob-size", where, message, _REPAIR, key, depends)
            return
        damaged = Finding(
            kind="blob-damaged", where=where, hint=_REPAIR, key=key, depends=depends,
            message=f"Blob {sha256} has other bytes.",
        )  # fmt: skip
        one = _Object(key=key, sha256=sha256, size_bytes=found, finding=damaged)
        if not self._is_whole(one):
            self._report.findings.append(damaged)

    def _check_seqs(self) -> None:
        known = set()
        for stream in self._target.streams():
            names, damaged = read_transactions(self._target, stream)
            for file in damaged:
                entry, depends = f"{log_key(stream)}/{file}", f"The table {stream}"
                where = f"{stream}/{file}"
                self._find("log-damaged", where, "It can't be read.", _RESTORE, entry, depends)
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
                self._report.missing.append((key, span))

    def _find(
        self, kind: str, where: str, message: str, hint: str, key: str = "", depends: str = ""
    ) -> None:
        self._report.findings.append(
            Finding(kind=kind, where=where, message=message, hint=hint, key=key, depends=depends)
        )


def object_of(extra: str | None) -> dict[str, Any]:
    """A column ``extra``; empty for whatever is no object."""
    try:
        found = orjson.loads(extra) if extra else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _silent(where: str) -> None:
    del where


_RESTORE = "Restore it from a backup; the device's kept segments may still have the rows."
_REPAIR = "Try lifelog verify --repair, with --from and the address of a copy if there is one."
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
