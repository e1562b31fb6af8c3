"""Mends what verify found, one object at a time: from a copy of the lake, or else out of the way.

Data files and contents are named by their hash, so any copy of them is the right one if its bytes
say so, wherever it comes from. What no copy has is set aside under ``quarantine/`` with a record
beside it (a data file is taken out of its table's log first), so that readers don't stumble and
whoever has the bytes can bring them again. Nothing is ever deleted. Each step may be killed and
repeated.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import orjson
from deltalake import DeltaTable

from lifelog_lake.clock import Clock, iso
from lifelog_lake.lake.blobs import PIECE_BYTES, hash_of
from lifelog_lake.lake.schema import PARTITION
from lifelog_lake.lake.store import BLOBS, LOG, TABLES, Store
from lifelog_lake.lake.tail import Tail
from lifelog_lake.lake.verify import Finding

QUARANTINE = "quarantine"
#: Kinds that are about one object with a hash in its name.
MENDABLE = frozenset(
    {
        *("data-file-missing", "data-file-size", "data-file-damaged"),
        *("blob-missing", "blob-size", "blob-damaged"),
    }
)
_HASH = re.compile(r"([0-9a-f]{64})(?:\.parquet)?")
_ENTRY = re.compile(rf"({TABLES}/[^/]+/{LOG}/)(\d{{20}})\.json")
_FETCHED = "It was fetched from the copy."
_DATA = re.compile(rf"{TABLES}/([^/]+)/(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done about a finding: ``mended`` (the right bytes are in place), ``set-aside`` (the
    object is out of the way, and on record) or ``left`` (nothing could be done); in words."""

    finding: Finding
    outcome: str
    message: str


class Repair:
    """Mends objects of one lake; ``copy`` has the same objects, as a backup does."""

    def __init__(self, store: Store, copy: Store | None, clock: Clock, device: str) -> None:
        self._store = store
        self._copy = copy
        self._clock = clock
        self._device = device

    def mend(self, finding: Finding) -> Done:
        """Do what can be done about a finding. Raises what the stores raise."""
        if finding.kind == "log-damaged" and self._fetch_entry(finding.key):
            return Done(finding=finding, outcome="mended", message=_FETCHED)
        sha256 = _hash_in(finding.key)
        if finding.kind not in MENDABLE or sha256 is None:
            return Done(finding=finding, outcome="left", message=finding.hint)
        if self._fetch(finding.key, sha256):
            return Done(finding=finding, outcome="mended", message=_FETCHED)
        aside = self._set_aside(finding)
        lost = "" if finding.depends == "" else f" {finding.depends} depended on it."
        message = f"It is {aside}; a record of it lies in {QUARANTINE}/.{lost}"
        return Done(finding=finding, outcome="set-aside", message=message)

    def _fetch(self, key: str, sha256: str) -> bool:
        """Bring the object from the copy, if that has the right bytes."""
        if self._copy is None:
            return False
        try:
            with self._copy.open(key) as there, tempfile.NamedTemporaryFile() as passing:
                while piece := there.read(PIECE_BYTES):
                    passing.write(piece)
                passing.flush()
                passing.seek(0)
                if hash_of(passing.file) != sha256:  # type: ignore[arg-type]
                    return False
                self._make_way(key)
                if key.startswith(f"{BLOBS}/"):
                    self._store.put_blob(Path(passing.name), sha256)
                else:
                    passing.seek(0)
                    self._store.write(key, passing.read(), at="repair")
        except FileNotFoundError:
            return False
        with self._store.open(key) as written:
            return hash_of(written) == sha256

    def _fetch_entry(self, key: str) -> bool:
        """Bring a log entry from the copy. It has no hash; entries never change, so it is the right
        one if the copy's log has the same entry before it."""
        name = _ENTRY.fullmatch(key)
        if self._copy is None or name is None:
            return False
        before = f"{name[1]}{int(name[2]) - 1:020d}.json"
        try:
            content = self._copy.read(key)
            if int(name[2]) > 0 and self._copy.read(before) != self._store.read(before):
                return False
            if not all(isinstance(orjson.loads(line), dict) for line in content.splitlines()):
                return False
        except (FileNotFoundError, orjson.JSONDecodeError):
            return False
        self._make_way(key)
        self._store.write(key, content, at="repair")
        return True

    def _make_way(self, key: str) -> None:
        """What is there with wrong bytes is kept, too."""
        try:
            self._store.stat(key)
        except FileNotFoundError:
            return
        self._store.set_aside(key, _aside(key), at="repair")

    def _set_aside(self, finding: Finding) -> str:
        """Out of the way with what is there; the record first. Where it is, in words."""
        record = {"at": iso(self._clock.wall_us()), "device": self._device, **asdict(finding)}
        content = orjson.dumps(record, option=orjson.OPT_INDENT_2)
        self._store.write(f"{_aside(finding.key)}.json", content, at="repair")
        if not finding.key.startswith(f"{BLOBS}/"):
            self._take_out(finding.key)  # first: no reader may look for it any more
        try:
            self._store.stat(finding.key)
        except FileNotFoundError:
            return "missing, and no copy has it"
        self._store.set_aside(finding.key, _aside(finding.key), at="repair")
        return f"set aside as {_aside(finding.key)}"

    def _take_out(self, key: str) -> None:
        """Take a data file out of its table; does nothing if it isn't in it any more."""
        match = _DATA.fullmatch(key)
        assert match is not None
        stream, path = match.groups()
        handle = DeltaTable(
            self._store.table_url(stream), storage_options=self._store.table_options
        )
        if path not in {_plain(one) for one in handle.file_uris()}:
            return
        day = path.partition("/")[0].partition("=")[2]
        removed: Callable[[], list[dict[str, dict[str, object]]]] = lambda: [  # noqa: E731
            {
                "remove": {
                    "path": quote(path, safe="/=.-_"),
                    "deletionTimestamp": self._clock.wall_us() // 1000,
                    "dataChange": True,
                    "partitionValues": {PARTITION: day},
                }
            }
        ]
        tail = Tail(self._store, stream, handle.version())
        tail.commit("REPAIR", {"path": path}, removed, at="repair",
                    fits=lambda: path not in tail.removed)  # fmt: skip


def _aside(key: str) -> str:
    return f"{QUARANTINE}/{key}"


def _hash_in(key: str) -> str | None:
    match = _HASH.fullmatch(key.rpartition("/")[2])
    return None if match is None else match[1]


def _plain(uri: str) -> str:
    """A file's path within its table, of its whole address."""
    return f"{PARTITION}=" + uri.rpartition(f"/{PARTITION}=")[2]
