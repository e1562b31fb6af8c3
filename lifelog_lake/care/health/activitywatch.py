"""The check of this machine's ActivityWatch server as a job; the supervisor does it as well."""

from __future__ import annotations

from lifelog_lake.care.outcome import Outcome
from lifelog_lake.clock import Clock
from lifelog_lake.collect import aw_check
from lifelog_lake.home import Home
from lifelog_lake.lake.store import Store

JOB = "activitywatch"


def run(home: Home, store: Store, clock: Clock) -> Outcome:
    """Ask once; the result is kept where the next pulse takes it from.

    Raises :class:`~lifelog_lake.errors.UsageError` if the collector's settings are wrong.
    """
    del store
    found = aw_check.run(home, clock)
    if found is None or found.state == "healthy":
        return Outcome(job=JOB)
    return Outcome(job=JOB, findings=(f"ActivityWatch server unhealthy: {found.reason}",))
