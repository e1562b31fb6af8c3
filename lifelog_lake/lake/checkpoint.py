"""Checkpoints: a table's state in one file, so that opening it doesn't read every log entry.

Made each 100 versions after an acknowledgement, never within a commit: Delta's own hook can raise
after it has committed. A checkpoint is a copy; the log entries stay until the hub cleans up. One
that a power loss left unfinished is therefore set aside, and the table opens from its entries.
"""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from lifelog_lake import fsio
from lifelog_lake.errors import LakeDamaged

#: Versions between two checkpoints.
EVERY = 100
POINTER = "_last_checkpoint"


def newest(root: Path) -> int:
    """Version of a table's newest checkpoint; -1 for none."""
    return max((int(path.name[:20]) for path in _files(root)), default=-1)


def make(root: Path) -> int:
    """Write a checkpoint of the newest version, durably; the version."""
    with fsio.operation("checkpoint", "make", root):
        handle = DeltaTable(root)
        handle.create_checkpoint()
    log = root / "_delta_log"
    for path in log.glob(f"{handle.version():020d}.checkpoint*.parquet"):
        fsio.sync_file(path, at="checkpoint")
    fsio.sync_file(log / POINTER, at="checkpoint")
    fsio.sync_dir(log, at="checkpoint")
    return handle.version()


def set_torn_aside(root: Path) -> None:
    """Move a newest checkpoint, or the pointer to it, away if it can't be read.

    Raises :class:`LakeDamaged` if the log entries that it stands for are gone.
    """
    log = root / "_delta_log"
    pointer = log / POINTER
    files = _files(root)
    if files and not _is_whole(files[-1]):
        if not (log / f"{0:020d}.json").exists() and len(files) == 1:
            raise LakeDamaged(
                f"The checkpoint {files[-1]} can't be read.",
                hint="Restore it from a backup; until then this table takes no rows.",
                path=str(files[-1]),
            )
        _move(files[-1], root)
        if pointer.exists():
            _move(pointer, root)
    elif pointer.exists() and not _is_json(pointer):
        _move(pointer, root)


def _files(root: Path) -> list[Path]:
    return sorted((root / "_delta_log").glob("*.checkpoint*.parquet"))


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


def _move(path: Path, root: Path) -> None:
    target = root / "_torn"
    fsio.make_dirs(target, at="torn")
    fsio.rename(path, target / f"{path.name}-{time.time_ns()}", at="torn")
    fsio.sync_dir(target, at="torn")
    fsio.sync_dir(path.parent, at="torn")
