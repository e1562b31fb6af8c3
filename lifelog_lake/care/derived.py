"""What jobs share that make rows of others: the content of a picture, and the commit of such rows.

The rows are committed under the devices that those are of which they were made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lifelog_lake.care.pictures import MOST_BYTES
from lifelog_lake.lake import datafile
from lifelog_lake.lake.schema import to_table
from lifelog_lake.lake.store import Store, blob_key
from lifelog_lake.lake.table import Snapshot
from lifelog_lake.ship.shipper import app_id


class Lost(Exception):
    """A content isn't in the lake, or isn't what its name says."""


def picture_content(store: Store, sha256: str) -> bytes:
    """A picture's file, checked; one that is too large for a picture is cut, and is none then.

    Raises :class:`Lost`.
    """
    try:
        with store.open(blob_key(sha256)) as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise Lost("The content isn't in the lake.") from None
    if len(content) <= MOST_BYTES and hashlib.sha256(content).hexdigest() != sha256:
        raise Lost("The content is damaged.")
    return content


def add_rows(
    store: Store,
    snapshot: Snapshot,
    stream: str,
    rows: Sequence[tuple[str, dict[str, Any]]],
    epoch: str,
    marks: Mapping[str, int],
    now_us: int,
) -> None:
    """Commit rows, each with its device, and marks with them; durable and read back on return.

    Rows are as a spool's record has them, without a place: each device's are numbered behind those
    that the snapshot knows. Raises :class:`~lifelog_lake.errors.CommitConflict` if anybody else
    has committed since.
    """
    by_device: dict[str, list[dict[str, Any]]] = {}
    for device, row in rows:
        by_device.setdefault(device, []).append(row)
    moved = dict(marks)
    parts = []
    for device, own in by_device.items():
        name = app_id(device, stream, epoch)
        first = snapshot.watermark(name) + 1
        numbered = [(first + n, row) for n, row in enumerate(own)]
        moved[name] = numbered[-1][0]
        parts.append(to_table(stream, numbered, device=device, epoch=epoch, ingested_at=now_us))
    files = [
        datafile.write(store, stream, day, part)
        for day, part in (datafile.split_by_day(pa.concat_tables(parts)) if parts else ())
    ]
    snapshot.add(files, moved)
