"""Notices for how long a source wasn't observed while it should have been, and says so once it is
over: a row ``missed`` from the last observation to the next.

Whatever the cause (a frozen process, a display that went away, a full spool), a stream that is
enabled and isn't looked at has lost that time. The time must have passed by two clocks: by the
wall clocks of the observations, so that a supervisor that was stopped itself takes none for lost
that its children observed; and by the monotonic clock here, so that a sleep or a clock that is set
isn't one. Pauses don't count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.collect.process import Child
from lifelog_lake.collect.recorder import Recorder

#: Shorter than this, or than three looks, is none: a minute counts by what most of it was.
LEAST_S = 30.0
LOOKS = 3.0


@dataclass(slots=True)
class _Seen:
    """The last observation of a stream (or the start of waiting for one): wall and monotonic."""

    at: int
    at_s: float
    restarts: int
    why: str = ""


class Missed:
    """One a supervisor. ``look`` at each tick; ``close`` at its end."""

    def __init__(self, recorder: Recorder, clock: Clock, least_s: float = LEAST_S) -> None:
        self._recorder = recorder
        self._clock = clock
        self._least_s = least_s
        self._seen: dict[tuple[str, str], _Seen] = {}

    def look(self, children: Sequence[Child], *, paused: bool) -> None:
        """Take the newest observations in; a row for each gap that they end."""
        now_s = self._clock.monotonic_s()
        for child in children:
            for stream in child.spec.streams:
                key = (child.spec.name, stream)
                seen = self._seen.get(key)
                if seen is None:
                    seen = self._seen[key] = _Seen(self._clock.wall_us(), now_s, child.restarts)
                at = child.observed.get(stream)
                if at is not None and at != seen.at:
                    self._tell(child, stream, seen, at, now_s)
                    self._seen[key] = _Seen(at, now_s, child.restarts)
                elif now_s - seen.at_s <= self._limit_s(child):
                    if paused:  # begins anew; a gap that was there before goes on
                        self._seen[key] = _Seen(self._clock.wall_us(), now_s, child.restarts)
                else:
                    seen.why = _why(child, stream, seen) or seen.why

    def close(self, children: Sequence[Child]) -> None:
        """Rows for the gaps that last until now."""
        now_s, now_us = self._clock.monotonic_s(), self._clock.wall_us()
        for child in children:
            for stream in child.spec.streams:
                seen = self._seen.get((child.spec.name, stream))
                if seen is not None:
                    self._tell(child, stream, seen, now_us, now_s)

    def _tell(self, child: Child, stream: str, seen: _Seen, until: int, now_s: float) -> None:
        limit_s = self._limit_s(child)
        if until - seen.at <= limit_s * US_PER_S or now_s - seen.at_s <= limit_s:
            return
        why = seen.why or _why(child, stream, seen) or "nothing was observed"
        self._recorder.lifecycle(
            "missed", at=seen.at, end=until, collector=child.spec.name, stream=stream, reason=why
        )

    def _limit_s(self, child: Child) -> float:
        return max(self._least_s, LOOKS * (child.beat.every_s or 0.0))


def _why(child: Child, stream: str, seen: _Seen) -> str:
    """What keeps it from being observed, as far as that is known by now."""
    if reason := child.beat.unseen.get(stream):
        return reason
    if child.beat.state not in ("running", "starting") and child.beat.reason:
        return child.beat.reason
    return child.last_reason if child.restarts > seen.restarts else ""
