"""When the supervisor checks the ActivityWatch server: by the clock, beside its own work.

A check may take as long as its time-outs, so it runs in a thread; there is one at a time.
"""

from __future__ import annotations

import threading

import structlog

from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.collect import aw_check
from lifelog_lake.collect.aw_check import AwHealth
from lifelog_lake.collect.runner import describe
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import Home

#: A run that was missed by more than this waits for the next one.
GRACE_S = 300.0
#: The first check: ActivityWatch may start beside us.
FIRST_S = 20.0


class Cadence:
    """When something is due that is done each ``every_s``, by a clock that counts sleep.

    Runs that were missed (the machine slept, the run before took long) are one run, and none if
    the last of them was due more than ``grace_s`` ago.
    """

    def __init__(self, every_s: float, first_s: float, grace_s: float = GRACE_S) -> None:
        self._every_s = every_s
        self._next_s = first_s
        self._grace_s = grace_s

    def due(self, now_s: float) -> bool:
        """Whether to run now; asked often, true once a run."""
        if now_s < self._next_s:
            return False
        last_s = self._next_s + (now_s - self._next_s) // self._every_s * self._every_s
        self._next_s = last_s + self._every_s
        return now_s - last_s <= self._grace_s


class AwWatch:
    """The checks of one home. Used in one thread; ``every_s`` 0 = none."""

    def __init__(self, home: Home, clock: Clock, every_s: float) -> None:
        self._home = home
        self._clock = clock
        self._cadence: Cadence | None = None
        if every_s and aw_check.server_of(home) is not None:
            self._cadence = Cadence(every_s, self._now_s() + min(FIRST_S, every_s))
        self._thread: threading.Thread | None = None
        self._hurry = False
        self._result = aw_check.read(home) if self._cadence is not None else None

    @property
    def result(self) -> AwHealth | None:
        """The last result, also of an earlier life; None if nothing is checked."""
        return self._result

    def soon(self) -> None:
        """Check at the next look: something has changed at the source."""
        self._hurry = self._cadence is not None

    def look(self) -> None:
        """Begin a check if one is due and none is under way."""
        if self._cadence is None or (self._thread is not None and self._thread.is_alive()):
            return
        due = self._cadence.due(self._now_s())
        if due or self._hurry:
            self._hurry = False
            self._thread = threading.Thread(target=self._check, name="aw-check", daemon=True)
            self._thread.start()

    def _check(self) -> None:
        try:
            self._result = aw_check.run(self._home, self._clock)
        except (OSError, LifelogError) as error:  # a full disk; the next one may be kept
            structlog.get_logger().warning("activitywatch_not_checked", reason=describe(error))

    def _now_s(self) -> float:
        return self._clock.boot_us() / US_PER_S
