"""The person's pause: a small file that every capturing process looks at before each look.

``HOME/run/pause.json`` holds ``since_us`` and ``until_us`` (null = until resumed). Only the person
removes it; a pause that has run out is simply over. A file that can't be understood counts as a
pause: whoever asked not to be recorded isn't.

``HOME/pauses.json`` remembers the pauses that were, as pairs of ``since_us`` and ``until_us``: what
other programs recorded meanwhile must not come in later. An entry without an end, or with one that
lies ahead, counts only while a pause is in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from lifelog_lake import fsio
from lifelog_lake.clock import Clock
from lifelog_lake.errors import UsageError

NAME = "pause.json"
PAST = "pauses.json"
#: The oldest are forgotten beyond so many: years of several pauses a day.
MOST_PAUSES = 10_000

#: Begin and end in µs since 1970 UTC; no end = until resumed.
Span = tuple[int, int | None]


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
    _remember([*pauses(home, clock), (now_us, until_us)], home)
    fsio.make_dirs(home / "run", at="pause")
    content = orjson.dumps({"since_us": pause.since_us, "until_us": pause.until_us})
    fsio.write_atomic(home / "run" / NAME, content, at="pause")
    return pause


def clear_pause(home: Path, clock: Clock) -> bool:
    """End the pause; False if there was none. Durable on return."""
    if (home / "run" / NAME).exists():
        _remember(pauses(home, clock), home)
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


def pauses(home: Path, clock: Clock) -> list[tuple[int, int]]:
    """All pauses that were, and the one in force up to now; in µs since 1970 UTC.

    One that never came into force (a kill between its two files) is left out.
    """
    in_force = paused(home, clock) is not None
    now_us = clock.wall_us()
    spans = []
    for since, until in _past(home):
        if until is not None and until <= now_us:
            spans.append((since, until))
        elif in_force:
            spans.append((since, now_us))
    return spans


def _past(home: Path) -> list[Span]:
    try:
        return [(int(since), until) for since, until in orjson.loads((home / PAST).read_bytes())]
    except FileNotFoundError:
        return []
    except (orjson.JSONDecodeError, TypeError, ValueError) as error:
        raise UsageError(
            f"{home / PAST} can't be read: {type(error).__name__}.",
            hint="It says when you paused. Restore it from a copy, or remove it: what other "
            "programs recorded in those times may come in then.",
            path=str(home / PAST),
        ) from None


def _remember(spans: Sequence[Span], home: Path) -> None:
    fsio.write_atomic(home / PAST, orjson.dumps(spans[-MOST_PAUSES:]), at="pause")
