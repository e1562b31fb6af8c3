"""What this home has uploaded in this hour and on this day (UTC): ``run/uploads.json``, written by
the shipper, read by it when it begins and by ``lifelog status``. No data: it isn't synced, and what
can't be read is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from lifelog_lake.clock import US_PER_S
from lifelog_lake.fsio import temporary_beside

NAME = "uploads.json"
#: How long each is, µs; it begins with a whole number of these.
LENGTHS_US = {"hour": 3600 * US_PER_S, "day": 86_400 * US_PER_S}
#: When each began and the bytes since then.
Uploaded = dict[str, tuple[int, int]]


def add(used: Mapping[str, tuple[int, int]], count: int, now_us: int) -> Uploaded:
    """What was uploaded with so many bytes more; one that is over begins anew."""
    after = {}
    for name, length_us in LENGTHS_US.items():
        began, before = used.get(name, (0, 0))
        begin = now_us - now_us % length_us
        after[name] = begin, (before if began == begin else 0) + count
    return after


def read(run: Path) -> Uploaded:
    """What was written last."""
    try:
        said = orjson.loads((run / NAME).read_bytes())
        return {name: (int(said[name][0]), int(said[name][1])) for name in LENGTHS_US}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}  # none yet, or of another release: the count begins anew


def write(run: Path, used: Mapping[str, tuple[int, int]]) -> None:
    """Replace it; raises OSError."""
    temporary = temporary_beside(run / NAME)
    try:
        temporary.write_bytes(orjson.dumps(dict(used)))
        temporary.replace(run / NAME)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
