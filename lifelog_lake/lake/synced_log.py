"""A table's log on a disk: synced by us, as Delta's engine doesn't, and mended after a power loss.

A last entry that a power loss left unfinished was never acked, so it is set aside. A checkpoint is
a copy: one that can't be read is set aside too, and the table opens from its entries.
"""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lifelog_lake import fsio
from lifelog_lake.errors import LakeDamaged
from lifelog_lake.lake.entries import POINTER, read_entry
from lifelog_lake.lake.store import LOG


class SyncedLog:
    """Keeps the log of one table below a lake's root."""

    def __init__(self, table: Path, root: Path) -> None:
        self._table = table
        self._log = table / LOG
        self._root = root
        self._unsyncable: set[Path] = set()

    def mend(self) -> None:
        """Make its directory, and move away a torn last entry, checkpoint or pointer."""
        fsio.make_dirs(self._log, at="table", root=self._root)
        self._set_torn_entry_aside()
        self._set_torn_checkpoint_aside()

    def keep(self, first: int, last: int) -> None:
        """Sync the entries of these versions and the directory."""
        entries = [self._log / f"{version:020d}.json" for version in range(first, last + 1)]
        for entry in entries:
            if entry.exists():  # the hub may have cleaned up behind a checkpoint
                self._sync_entry(entry)
        if entries:
            fsio.sync_dir(self._log, at="commit")

    def keep_checkpoint(self, version: int) -> None:
        """Sync a checkpoint, the pointer to it and the directory."""
        for path in self._log.glob(f"{version:020d}.checkpoint*.parquet"):
            fsio.sync_file(path, at="checkpoint")
        fsio.sync_file(self._log / POINTER, at="checkpoint")
        fsio.sync_dir(self._log, at="checkpoint")

    def _sync_entry(self, entry: Path) -> None:
        """Sync an entry; one whose sync failed is written anew, never synced a second time."""
        if entry not in self._unsyncable:
            try:
                return fsio.sync_file(entry, at="commit")
            except OSError:
                self._unsyncable.add(entry)
                raise
        content = entry.read_bytes()
        read_entry(content, entry)  # what the failure left in memory must be whole
        fsio.write_atomic(entry, content, at="commit")
        self._unsyncable.discard(entry)
        return None

    def _set_torn_entry_aside(self) -> None:
        entries = sorted(self._log.glob("*.json"))
        if not entries:
            return
        content = entries[-1].read_bytes()
        try:
            read_entry(content, entries[-1])
        except LakeDamaged:
            if not _is_torn(content):
                raise  # what others have acked may be in it
            self._move(entries[-1])

    def _set_torn_checkpoint_aside(self) -> None:
        pointer = self._log / POINTER
        files = sorted(self._log.glob("*.checkpoint*.parquet"))
        if files and not _is_whole(files[-1]):
            if not (self._log / f"{0:020d}.json").exists() and len(files) == 1:
                raise LakeDamaged(
                    f"The checkpoint {files[-1]} can't be read.",
                    hint="Restore it from a backup; until then this table takes no rows.",
                    path=str(files[-1]),
                )
            self._move(files[-1])
            if pointer.exists():
                self._move(pointer)
        elif pointer.exists() and not _is_json(pointer):
            self._move(pointer)

    def _move(self, path: Path) -> None:
        target = self._table / "_torn"
        fsio.make_dirs(target, at="torn")
        fsio.rename(path, target / f"{path.name}-{time.time_ns()}", at="torn")
        fsio.sync_dir(target, at="torn")
        fsio.sync_dir(self._log, at="torn")


def _is_torn(content: bytes) -> bool:
    """Whether a power loss leaves an entry like this: cut short, or with blocks of zeros."""
    return b"\0" in content or not content.rstrip().endswith(b"}")


def _is_whole(path: Path) -> bool:
    try:
        pq.read_table(path)
    except (pa.ArrowException, OSError):
        return False
    return True


def _is_json(path: Path) -> bool:
    try:
        return isinstance(orjson.loads(path.read_bytes()), dict)
    except orjson.JSONDecodeError:
        return False
