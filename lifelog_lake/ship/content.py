"""The blobs of a batch: in the lake and durable before any row that names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lifelog_lake.clock import Clock
from lifelog_lake.errors import ContentRefused, LakeDamaged
from lifelog_lake.lake import blobs
from lifelog_lake.lake.store import Store
from lifelog_lake.ship import refusals
from lifelog_lake.ship.meter import Meter, Moving
from lifelog_lake.ship.refusals import Refusals
from lifelog_lake.spool import Batch, Outlet, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """Records whose blob is in the lake. ``missing`` names seqs that go without: seq -> kind."""

    records: tuple[Record, ...]
    missing: dict[int, str]
    copied: int
    copied_bytes: int


class Bringer:
    """Brings the content of batches into a store; ``tell`` hears of each piece that moves."""

    def __init__(
        self,
        target: Store,
        refusals: Refusals,
        clock: Clock,
        tell: Callable[[Moving], None],
        require: Callable[[], None],
    ) -> None:
        """``require`` is asked before each content and may raise."""
        self._require = require
        self._target = target
        self._refusals = refusals
        self._clock = clock
        self._tell = tell

    def bring(self, outlet: Outlet, batch: Batch, records: tuple[Record, ...]) -> Brought:
        """Copy what the spool has; what only the lake has is looked at there.

        A row whose content can't be had keeps everything else, with the hash in
        ``extra["_blob_missing"]``. Raises :class:`ContentRefused` as long as what the lake refuses
        is tried again.
        """
        ready: list[Record] = []
        missing: dict[int, str] = {}
        copied = copied_bytes = 0
        for record in records:
            sha256 = record.fields.get("blob")
            if sha256 is None:
                ready.append(record)
                continue
            size_bytes = record.fields.get("blob_bytes")
            source = outlet.blob_path(batch, record)
            try:
                if source.exists():
                    if self._put(source, sha256):
                        copied += 1
                        copied_bytes += record.fields["blob_bytes"]
                elif not blobs.has(self._target, sha256, size_bytes):
                    set_aside = outlet.has_quarantined_blob(batch, record)
                    missing[record.seq] = "blob-quarantined" if set_aside else "blob-lost"
            except FileNotFoundError:  # another shipper acked it meanwhile, so it is in the lake
                if source.exists():
                    raise  # it is the lake that misses something
                if not blobs.has(self._target, sha256, size_bytes):
                    missing[record.seq] = "blob-lost"
            except LakeDamaged:
                outlet.quarantine_blob(batch, record)
                missing[record.seq] = "blob-quarantined"
            except ContentRefused:
                if self._refusals.count(sha256) < refusals.MOST:
                    raise
                outlet.quarantine_blob(batch, record)
                self._refusals.forget(sha256)
                missing[record.seq] = "blob-refused"
            ready.append(_without_blob(record) if record.seq in missing else record)
        return Brought(
            records=tuple(ready), missing=missing, copied=copied, copied_bytes=copied_bytes
        )

    def _put(self, source: Path, sha256: str) -> bool:
        self._require()
        meter = Meter(self._clock, self._tell)
        return self._target.put_blob(source, sha256, meter.moved)


def _without_blob(record: Record) -> Record:
    fields: dict[str, Any] = {
        name: value
        for name, value in record.fields.items()
        if name not in {"blob", "blob_bytes", "media_type"}
    }
    fields["extra"] = {**(fields.get("extra") or {}), "_blob_missing": record.fields["blob"]}
    return replace(record, fields=fields)
