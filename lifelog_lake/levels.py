"""How far each collector is down the ladder: ``run/levels.json``, written by the supervisor, read
by collectors before each look. No data: it isn't synced, and what can't be read is level 0.

The ladder: 0 as set · 1 half as often · 2 a quarter as often, frames of lower quality · 3 an eighth
as often, of the lowest quality.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from lifelog_lake.fsio import PRIVATE_FILE, temporary_beside

NAME = "levels.json"
LOWEST = 3
#: Times as long between two looks, and share of the quality, by level.
RATE = (1, 2, 4, 8)
QUALITY = (1.0, 1.0, 0.7, 0.4)


def write(run: Path, levels: Mapping[str, int]) -> None:
    """Replace the levels; raises OSError."""
    temporary = temporary_beside(run / NAME)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(orjson.dumps(dict(levels)))
        temporary.replace(run / NAME)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read(run: Path, collector: str) -> int:
    """The level of a collector."""
    try:
        level = orjson.loads((run / NAME).read_bytes()).get(collector, 0)
    except (OSError, AttributeError, orjson.JSONDecodeError):
        return 0  # nothing is held down until the supervisor says so again
    return min(max(level, 0), LOWEST) if isinstance(level, int) else 0
