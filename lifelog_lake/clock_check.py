"""What the shipper found of this machine's clock, in ``run/clock.json``, for ``lifelog status``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from lifelog_lake.clock import US_PER_S
from lifelog_lake.fsio import PRIVATE_FILE, temporary_beside

NAME = "clock.json"
#: Less than this is left to the clock's own slewing, more isn't corrected.
LEAST_US = 2 * US_PER_S
MOST_US = 86_400 * US_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCheck:
    """The wall clock is ``ahead_us`` ahead of the store's (behind: negative), give or take
    ``within_us``; found at ``at`` (µs since 1970 UTC, by the wall clock)."""

    at: int
    ahead_us: int
    within_us: int


def write(run: Path, found: ClockCheck) -> None:
    """Leave it there. It is no data, so it isn't synced; raises OSError."""
    temporary = temporary_beside(run / NAME)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(orjson.dumps(asdict(found)))
        temporary.replace(run / NAME)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read(run: Path) -> ClockCheck | None:
    """The last check; None if there is none."""
    try:
        said = orjson.loads((run / NAME).read_bytes())
        return ClockCheck(**{name: int(value) for name, value in said.items()})
    except (FileNotFoundError, AttributeError, TypeError, ValueError):
        return None  # none yet, or of another release: the next check writes it
