"""Who watches the watcher: a device notices that the hub's care has stopped.

The hub's care writes a mark into the lake with each of its runs
(:mod:`lifelog_lake.lake.care_mark`). The shipper's process, which talks to the lake anyway, looks
at it four times in what a mark may age, and each hour at least.

Its age isn't taken from the hub's clock but from how long *this* process has seen the same mark, by
the monotonic clock. So neither a wrong clock nor a night in suspend makes an outage, and a machine
that is device and hub in one has time to start its flows in the morning.
"""

from __future__ import annotations

import dataclasses

import structlog

from lifelog_lake import hub_care, notice
from lifelog_lake.clock import Clock
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import Home
from lifelog_lake.hub_care import HubCare
from lifelog_lake.lake import care_mark, require_known
from lifelog_lake.lake.care_mark import CareMark
from lifelog_lake.lake.store import Store

HOUR_S = 3600.0


class CareWatch:
    """Looks at the mark when it is time. Used in one thread."""

    def __init__(self, home: Home, store: Store, clock: Clock) -> None:
        self._home = home
        self._store = store
        self._clock = clock
        self._mark: CareMark | None = None
        self._seen_s = 0.0
        self._next_s = float("-inf")
        self._log = structlog.get_logger()

    def look_if_due(self) -> None:
        """Read the mark, keep what it tells, show a notice once an outage. Never raises for a lake
        that can't be reached or a full disk: it is tried with the next run."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        try:
            self._look(now_s)
        except LifelogError as error:
            self._log.debug("care_not_seen", reason=str(error))
        except OSError as error:
            self._log.warning("care_not_kept", reason=error.strerror)

    def _look(self, now_s: float) -> None:
        require_known(self._home, self._store)  # an unmounted disk has no mark, and says nothing
        mark = care_mark.read(self._store)
        if mark is None:
            mark = self._mark  # taken away by somebody: as if it stood
        if mark is None:
            self._next_s = now_s + HOUR_S
            return
        if mark != self._mark:
            self._mark, self._seen_s = mark, now_s
        limit_s = mark.limit_s(self._home.settings.health.care_grace_s)
        left_s = limit_s - (now_s - self._seen_s)
        quarter_s = min(limit_s / 4, HOUR_S)  # so it is noticed at most so much too late
        self._next_s = now_s + (min(left_s, quarter_s) if left_s > 0 else quarter_s)
        self._keep(mark, stopped=left_s <= 0)

    def _keep(self, mark: CareMark, *, stopped: bool) -> None:
        before, now_us = hub_care.read(self._home.run), self._clock.wall_us()
        was_stopped = before is not None and before.state == "stopped"
        if before is not None and was_stopped and before.at_us == mark.at_us:
            stopped = True  # said in an earlier life of this process
        care = HubCare(
            state="stopped" if stopped else "running",
            device=mark.device,
            at_us=mark.at_us,
            every_s=mark.every_s,
            since_us=before.since_us if before is not None and was_stopped == stopped else now_us,
            checked_us=now_us,
            noticed_us=before.noticed_us if before is not None else None,
        )
        if stopped and care.noticed_us != mark.at_us:
            care = dataclasses.replace(care, noticed_us=mark.at_us)
            hub_care.write(self._home.run, care)  # before it is shown: once, also after a crash
            shown = self._home.settings.health.desktop_notice and notice.show(
                "lifelog: the hub's care has stopped", care.reason
            )
            self._log.warning(
                "care_stopped", message=care.reason, state="shown" if shown else "not-shown"
            )
            return
        if was_stopped and not stopped:
            self._log.info("care_runs_again", device=mark.device)
        hub_care.write(self._home.run, care)
