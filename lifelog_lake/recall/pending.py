"""Rows of this device that aren't in the lake yet: what a person did shows at once."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from lifelog_lake.home import Home
from lifelog_lake.spool import Spool

MOST_ROWS = 10_000


def pending(home: Home, stream: str) -> list[dict[str, Any]]:
    """What waits in this home's spool, oldest first: envelope and columns in one.

    Times are µs since 1970 UTC, what is null is left out. Read the lake *after* it and put both
    together by ``id``: a row that is shipped meanwhile is in both, and never in neither.
    """
    with closing(Spool.of(home)) as spool:
        return _read(spool, stream)


def _read(spool: Spool, stream: str) -> list[dict[str, Any]]:
    if stream not in spool.streams():
        return []
    outlet = spool.outlet(stream)
    epoch, after = outlet.state().epoch, -1
    found: list[dict[str, Any]] = []
    while (batch := outlet.read(after, MOST_ROWS)) is not None:
        for record in batch.records:
            data = record.fields["data"]
            fields = {key: value for key, value in record.fields.items() if key != "data"}
            place = {"device": spool.device, "epoch": epoch, "seq": record.seq}
            found.append({**data, **fields, **place})
        after = batch.last
    return found
