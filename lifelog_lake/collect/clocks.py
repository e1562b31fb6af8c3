"""Notices that the machine slept and that its wall clock was set.

Three clocks are compared from one look to the next: the monotonic clock stands still in suspend,
the boot clock doesn't, and the wall clock may be set. Where the platform's boot clock stands still
too (see :class:`lifelog_lake.clock.SystemClock`), a sleep shows as a step of the wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lifelog_lake.clock import US_PER_S, Clock

#: Shorter sleeps and steps aren't told: clock slewing and a loaded machine make smaller ones.
LEAST_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """What happened between two looks: from ``at`` to ``end``, wall clock in µs.

    For a step ``at`` is where the clock should have been, ``end`` what it says, and ``step_us``
    may be negative; of a sleep ``step_us`` is how long it was.
    """

    kind: Literal["suspended", "clock_step"]
    at: int
    end: int
    step_us: int


class ClockWatch:
    """Compares the clocks; ask it at least each few seconds."""

    def __init__(self, clock: Clock, least_s: float = LEAST_S) -> None:
        self._clock = clock
        self._least_us = int(least_s * US_PER_S)
        self._last = self._read()

    def look(self) -> list[Jump]:
        """What happened since the last look; a sleep comes before a step."""
        wall0, mono0, boot0 = self._last
        self._last = wall, mono, boot = self._read()
        jumps = []
        slept_us = (boot - boot0) - (mono - mono0)
        if slept_us >= self._least_us:
            jumps.append(
                Jump(kind="suspended", at=wall0, end=wall0 + (boot - boot0), step_us=slept_us)
            )
        step_us = (wall - wall0) - (boot - boot0)
        if abs(step_us) >= self._least_us:
            jumps.append(Jump(kind="clock_step", at=wall - step_us, end=wall, step_us=step_us))
        return jumps

    def _read(self) -> tuple[int, int, int]:
        return (
            self._clock.wall_us(),
            int(self._clock.monotonic_s() * US_PER_S),
            self._clock.boot_us(),
        )
