"""Runs the health job when Prefect doesn't: that it has stopped must be said by somebody.

In the flows' process, which lives on while Prefect's server starts, hangs or fails, and is started
again by the supervisor when it ends. The job is the same, so it notes in the same file that it ran;
a run here and one of Prefect's at once keep out of each other's way by the alerts' lock.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import structlog

from flows.child import argv_of, without_prefect
from lifelog_lake.care.health import ran
from lifelog_lake.clock import US_PER_S
from lifelog_lake.home import Home

#: It is due so many times later than Prefect would have begun it, and so many seconds.
MISSED, GRACE_S = 2, 30.0
#: The longest that a job may take here.
LONGEST_S = 60.0

log = structlog.get_logger(__name__)


class Standby:
    """Looks whether the health job ran, and starts it where it didn't."""

    def __init__(self, home: Home) -> None:
        self._home = home
        every_s = home.settings.health.every_s
        self._limit_s = MISSED * every_s + GRACE_S
        self._seen = ran.last_s(home.run)
        self._since_s = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Once a second. Counts the time in which this machine was awake."""
        now_s = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None and now_s - self._since_s < LONGEST_S:
                return
            self.stop()
        if (seen := ran.last_s(self._home.run)) != self._seen:
            self._seen, self._since_s = seen, now_s
        if now_s - self._since_s > self._limit_s:
            self._start(now_s)

    def before_the_end(self, wait: Callable[[float], bool]) -> None:
        """This process ends because of Prefect: run the job if it hasn't run for too long since
        the supervisor's start, however often this process was started again meanwhile.

        ``wait`` waits some seconds and is false when all should stop.
        """
        since_us = ran.supervised_since_us(self._home)
        last_s = max(ran.last_s(self._home.run), since_us / US_PER_S)
        if self._process is None and time.time() - last_s > self._limit_s:
            self._start(time.monotonic())
        while self._process is not None and self._process.poll() is None:
            if time.monotonic() - self._since_s > LONGEST_S or not wait(0.2):
                break
        self.stop()

    def stop(self) -> None:
        """End what runs here."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()  # the job ends with it, by force if need be
        try:
            self._process.wait(3.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _start(self, now_s: float) -> None:
        log.warning("health_without_prefect")
        self._since_s = now_s
        self._process = subprocess.Popen(
            argv_of("health", self._home.path),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=without_prefect(),
        )
