"""When the health job ran on this home: the times of three files in ``run``. Light to import.

``health-ran`` is of the last run, ``health-since`` of the first one since the last gap (this
machine slept, or was off), ``health-reached`` of the last one that reached the lake. No data, not
synced.
"""

from __future__ import annotations

import os
from pathlib import Path

from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.home import Home

NAME, SINCE, REACHED = "health-ran", "health-since", "health-reached"
#: Three runs that were missed, and so many seconds more, are a gap.
GAP_RUNS, GAP_S = 3, 120.0


def note(home: Home, clock: Clock) -> None:
    """It has run now."""
    _touch(home.run / NAME, clock)


def note_reached(home: Home, clock: Clock) -> None:
    """It has reached the lake now."""
    _touch(home.run / REACHED, clock)


def last_s(run: Path) -> float:
    """When it last ran, seconds since 1970; 0 if it never did."""
    return _time_s(run / NAME)


def since_s(home: Home, clock: Clock) -> float:
    """Since when it has run without a gap, if there ever was one, else 0; asked as a run begins."""
    last, now_s = last_s(home.run), clock.wall_us() / US_PER_S
    if last and now_s - last > GAP_RUNS * home.settings.health.every_s + GAP_S:
        _touch(home.run / SINCE, clock)
    return _time_s(home.run / SINCE)


def reached_s(home: Home) -> float:
    """When it last reached the lake, 0 if it never did."""
    return _time_s(home.run / REACHED)


def _touch(path: Path, clock: Clock) -> None:
    path.touch()
    os.utime(path, (clock.wall_us() / US_PER_S,) * 2)


def _time_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def supervised_since_us(home: Home) -> int:
    """When lifelog was started on this home, µs since 1970; 0 if it never was."""
    from lifelog_lake.collect.health import read_status

    started = (read_status(home.run) or {}).get("started_at")
    return started if isinstance(started, int) else 0
