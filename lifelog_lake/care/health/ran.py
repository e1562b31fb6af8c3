"""When the health job last ran on this home: the time of ``run/health-ran``. Light to import.

No data and not synced: who looks after the job reads it, and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.home import Home

NAME = "health-ran"


def note(home: Home, clock: Clock) -> None:
    """It has run now."""
    path = home.run / NAME
    path.touch()
    os.utime(path, (clock.wall_us() / US_PER_S,) * 2)


def last_s(run: Path) -> float:
    """When it last ran, seconds since 1970; 0 if it never did."""
    try:
        return (run / NAME).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def supervised_since_us(home: Home) -> int:
    """When lifelog was started on this home, µs since 1970; 0 if it never was."""
    from lifelog_lake.collect.health import read_status

    started = (read_status(home.run) or {}).get("started_at")
    return started if isinstance(started, int) else 0
