"""The person's pause: a small file that every capturing process looks at before each look.

``HOME/run/pause.json`` holds ``since_us`` and ``until_us`` (null = until resumed). Only the person
removes it; a pause that has run out is simply over. A file that can't be understood counts as a
pause: whoever asked not to be recorded isn't.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import Clock

NAME = "pause.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause in force. Times in µs since 1970 UTC; ``until_us`` None = until resumed."""

    since_us: int
    until_us: int | None


def set_pause(home: Path, clock: Clock, duration_s: float | None = None) -> Pause:
    """Pause all capture, for a while or until resumed. Durable on return; replaces a pause."""
    now_us = clock.wall_us()
    until_us = None if duration_s is None else now_us + int(duration_s * 1_000_000)
    pause = Pause(since_us=now_us, until_us=until_us)
    fsio.make_dirs(home / "run", at="pause")
    content = orjson.dumps({"since_us": pause.since_us, "until_us": pause.until_us})
    fsio.write_atomic(home / "run" / NAME, content, at="pause")
    return pause


def clear_pause(home: Path) -> bool:
    """End the pause; False if there was none. Durable on return."""
    removed = fsio.unlink(home / "run" / NAME, at="pause")
    if removed:
        fsio.sync_dir(home / "run", at="pause")
    return removed


def paused(home: Path, clock: Clock) -> Pause | None:
    """The pause in force now, or None. One ``stat`` when there is none."""
    path = home / "run" / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        value = orjson.loads(content)
        pause = Pause(since_us=int(value["since_us"]), until_us=value["until_us"])
        over = pause.until_us is not None and clock.wall_us() >= int(pause.until_us)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return Pause(since_us=path.stat().st_mtime_ns // 1000, until_us=None)
    return None if over else pause
