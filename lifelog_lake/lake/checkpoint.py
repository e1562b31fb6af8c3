"""Checkpoints: a table's state in one file, so that opening it doesn't read every log entry.

Made each so many versions after an acknowledgement, never within a commit: Delta's own hook can
raise after it has committed. A checkpoint is a copy of what the log entries say, until the hub
removes those that are old (:func:`clean_log`).
"""

from __future__ import annotations

import bisect
import io
import re
from collections import defaultdict
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from lifelog_lake import fsio
from lifelog_lake.clock import US_PER_S
from lifelog_lake.errors import LakeDamaged
from lifelog_lake.lake.store import Store, log_key, table_key

#: Most versions between two checkpoints; a store may want fewer.
EVERY = 100
#: So many are deleted between two looks at the lease.
A_BITE = 256
#: The log's own files: an entry, or a checkpoint in one part or several.
_NAME = re.compile(r"(\d{20})\.(json|checkpoint(?:\.\d{10}\.\d{10})?\.parquet)")


def newest(store: Store, stream: str) -> int:
    """Version of a table's newest checkpoint; -1 for none."""
    names = (key.rpartition("/")[2] for key in store.keys(log_key(stream)))
    return max((int(name[:20]) for name in names if ".checkpoint" in name[20:31]), default=-1)


def make(store: Store, stream: str) -> int:
    """Write a checkpoint of the newest version, durably; the version."""
    with fsio.operation("checkpoint", "make", store.place(table_key(stream))):
        handle = DeltaTable(store.table_url(stream), storage_options=store.table_options)
        handle.create_checkpoint()
    store.log(stream).keep_checkpoint(handle.version())
    return handle.version()


class LogFiles:
    """Entries and checkpoints of a table, by version, from a listing of its keys."""

    def __init__(self, stream: str, keys: Sequence[str]) -> None:
        self.entries: dict[int, str] = {}
        self.checkpoints: dict[int, list[str]] = defaultdict(list)
        start = f"{log_key(stream)}/"
        for key in keys:
            found = _NAME.fullmatch(key.removeprefix(start)) if key.startswith(start) else None
            if found is None:
                continue
            if found[2] == "json":
                self.entries[int(found[1])] = key
            else:
                self.checkpoints[int(found[1])].append(key)

    @property
    def since_checkpoint(self) -> int:
        """How many versions opening the table reads one by one."""
        newest = max(self.checkpoints, default=-1)
        return sum(version > newest for version in self.entries)


def clean_log(
    store: Store, files: LogFiles, *, until_us: int, keep: Callable[[], None]
) -> tuple[int, int]:
    """Remove what lies behind a checkpoint that was there at ``until_us``; how many went and stay.

    Every version that was the newest since then can still be read. The two newest checkpoints
    stay, and all entries after the older one: were the newest damaged, the table still opens. What
    goes goes from the oldest on. Raises :class:`LakeDamaged` if the checkpoint can't be read.
    """
    old = sorted(files.checkpoints)[:-1]

    def written_us(version: int) -> int:
        return int(max(store.stat(key).modified_s for key in files.checkpoints[version]) * US_PER_S)

    count = bisect.bisect_right(old, until_us, key=written_us)
    if not count:
        return 0, len(files.entries)
    base = old[count - 1]
    newest = max(files.entries, default=base)
    if any(version not in files.entries for version in range(base + 1, newest + 1)):
        return 0, len(files.entries)  # another program cleans here: what it leaves is its business
    _require_whole(store, files.checkpoints[base])
    going = [(version, key) for version, key in files.entries.items() if version < base]
    going += [(v, key) for v, keys in files.checkpoints.items() if v < base for key in keys]
    going.sort()
    for start in range(0, len(going), A_BITE):
        keep()
        store.delete_many([key for _, key in going[start : start + A_BITE]], at="clean")
    return len(going), sum(version > base for version in files.entries)


def _require_whole(store: Store, keys: Sequence[str]) -> None:
    for key in keys:
        try:
            pq.read_table(io.BytesIO(store.read(key)))
        except (pa.ArrowException, OSError) as error:
            raise LakeDamaged(
                f"The checkpoint {store.place(key)} can't be read.",
                hint="The log entries that it stands for are kept.",
                path=str(store.place(key)),
            ) from error
