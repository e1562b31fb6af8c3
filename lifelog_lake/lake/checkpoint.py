"""Checkpoints: a table's state in one file, so that opening it doesn't read every log entry.

Made each so many versions after an acknowledgement, never within a commit: Delta's own hook can
raise after it has committed. A checkpoint is a copy; the log entries stay until the hub cleans up.
"""

from __future__ import annotations

from deltalake import DeltaTable

from lifelog_lake import fsio
from lifelog_lake.lake.store import Store, log_key, table_key

#: Most versions between two checkpoints; a store may want fewer.
EVERY = 100


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
