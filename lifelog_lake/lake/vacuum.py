"""Data files that no reader and no writer wants any more, and how they go.

Two kinds: files that the log removed (compaction put another in their place), by the time of their
removal; and files that the log never had (their writer was killed), by the time of their writing.
Both stay for as long as is kept, a week at least.

A file whose writer merely slept may still be committed by it, a week later. So before anything is
deleted the vacuum commits a fence, and only what no entry up to the fence has added is deleted.
Whoever writes through this package has its commit refused if any other came since its snapshot,
and what it writes after a newer snapshot has a new name. So no age proves that a file won't be
committed any more, but the fence does; the age only spares slow writers from starting over.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from lifelog_lake.clock import US_PER_S
from lifelog_lake.lake.checkpoint import LogFiles
from lifelog_lake.lake.entries import read_entry
from lifelog_lake.lake.store import Store, table_key
from lifelog_lake.lake.tail import FENCE, Tail

#: So many are deleted between two looks at the lease.
A_BITE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Unused:
    """What isn't in the table's newest version: ``old`` may go, ``young`` are told in number."""

    old: tuple[str, ...]
    young: int


def unused(
    store: Store,
    stream: str,
    handle: DeltaTable,
    keys: Sequence[str],
    files: LogFiles,
    *,
    until_us: int,
) -> Unused:
    """Which data files of a listing the table doesn't have, and which of them are old."""
    live = _live(handle)
    gone_us = _removals(store, files)
    old, young = [], 0
    start = f"{table_key(stream)}/"
    for key in keys:
        name = key[len(start) :]
        if name.startswith("_") or not name.endswith(".parquet") or name in live:
            continue
        at_us = gone_us.get(name)
        if at_us is None:
            try:
                at_us = int(store.stat(key).modified_s * US_PER_S)
            except FileNotFoundError:
                continue
        if at_us <= until_us:
            old.append(name)
        else:
            young += 1
    return Unused(old=tuple(old), young=young)


def remove(
    store: Store, stream: str, handle: DeltaTable, names: Sequence[str], keep: Callable[[], None]
) -> int:
    """Delete files of :func:`unused`, behind a fence; how many. What is left goes the next time."""
    tail = Tail(store, stream, handle.version())
    about = {"files": str(len(names))}
    if not tail.commit(FENCE, about, tuple, at="vacuum", fits=lambda: True):
        return 0
    going = [f"{table_key(stream)}/{name}" for name in names if name not in tail.added]
    for start in range(0, len(going), A_BITE):
        keep()
        store.delete_many(going[start : start + A_BITE], at="vacuum")
    return len(going)


def _live(handle: DeltaTable) -> set[str]:
    actions = pa.table(handle.get_add_actions(flatten=True))
    return {unquote(path) for path in actions["path"].to_pylist()}


def _removals(store: Store, files: LogFiles) -> dict[str, int]:
    """When the log removed a file, µs: by the newest checkpoint and the entries since.

    A checkpoint forgets removals that are older than a table keeps its files (a week by default):
    such a file counts as one that the log never had.
    """
    found: dict[str, int] = {}

    def note(removal: dict[str, object]) -> None:
        at_ms = removal.get("deletionTimestamp")
        if isinstance(at_ms, int):
            found[unquote(str(removal["path"]))] = at_ms * 1000

    newest = max(files.checkpoints, default=-1)
    for key in files.checkpoints.get(newest, ()):
        removals = pq.read_table(io.BytesIO(store.read(key)), columns=["remove"])["remove"]
        for removal in removals.drop_null().to_pylist():
            note(removal)
    for version in sorted(files.entries):
        if version > newest:
            key = files.entries[version]
            for action in read_entry(store.read(key), store.place(key)):
                if "remove" in action:
                    note(action["remove"])
    return found
