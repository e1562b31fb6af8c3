"""Everything at the target: layout, Delta tables, blobs, verification.

Layout, format 1::

    lake.json                      lake id, generation, format, created_at
    tables/<stream>/               one Delta table a stream, partitioned by date (UTC day of `at`)
        date=YYYY-MM-DD/<sha256 of the file>.parquet
        _torn/                     log entries that a power loss left unfinished, never acked
    tables/_days/                  daily summaries, a Delta table made from the others
    blobs/sha256/ab/cd/<sha256>    immutable, content-addressed
    control/                       config revisions, commands, leases

The Delta application transaction id of a spool stream is ``<device>/<stream>/<epoch>``, its version
the last seq of the commit.
"""

from lifelog_lake.lake.identity import LakeIdentity, init_lake, read_identity, require_known
from lifelog_lake.lake.store import Property, Store
from lifelog_lake.lake.target import parse_url

__all__ = [
    "LakeIdentity",
    "Property",
    "Store",
    "init_lake",
    "parse_url",
    "read_identity",
    "require_known",
]
