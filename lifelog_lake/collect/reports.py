"""What a supervisor reports: a ``pulse`` row each minute, ``run/status.json`` each few seconds, and
the same to who asks at ``/healthz`` and ``/metrics``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from lifelog_lake import hub_care, twin
from lifelog_lake.clock import Clock
from lifelog_lake.collect import health
from lifelog_lake.collect.aw_watch import AwWatch
from lifelog_lake.collect.budget import Budgets
from lifelog_lake.collect.endpoint import Endpoint, Snapshot
from lifelog_lake.collect.process import Child
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.collect.runner import describe
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import Home
from lifelog_lake.pause import Pause
from lifelog_lake.spool import Spool, StreamStats

#: How long a stream's lock is waited for: a child that is stopped may hold it.
LOCK_S = 2.0


@dataclass(slots=True, kw_only=True)
class Reports:
    """One a supervisor; used in its thread. ``disabled`` are the streams of collectors that aren't
    enabled, ``on_status`` is given each status."""

    home: Home
    clock: Clock
    spool: Spool
    recorder: Recorder
    children: Sequence[Child]
    disabled: Mapping[str, Sequence[str]]
    budgets: Budgets
    activitywatch: AwWatch
    endpoint: Endpoint
    on_status: Callable[[dict[str, object]], None] | None
    started_us: int
    started_s: float
    _last_stats: dict[str, StreamStats] = field(default_factory=dict)

    def pulse(self) -> None:
        """Write the pulse of now; never raises for a spool that is full or failing."""
        self._last_stats = stats = self._last_stats | self._stats()
        for child in self.children:
            child.know_rows(stats)
        data = health.pulse_data(
            self.home,
            self.children,
            self.disabled,
            stats,
            uptime_s=self.clock.monotonic_s() - self.started_s,
            usage=self._usage("pulse"),
        )
        waiting = sum(one.pending_bytes for one in stats.values())
        self.budgets.fill(waiting, health.disk_free_bytes(self.home.spool))
        extra = self._checks() | {"ship_every_s": self.home.settings.ship.every_s}
        self.recorder.write("pulse", data=data, extra=extra)
        self.endpoint.open()  # again, if its port was taken

    def status(self, state: str, pause: Pause | None) -> None:
        """Replace the status; one that can't be written is still shown to who asks."""
        data = health.status_data(
            self.home,
            self.children,
            now_us=self.clock.wall_us(),
            boot_id=self.clock.boot_id(),
            started_us=self.started_us,
            pause=pause,
            rows_waiting=self.recorder.waiting,
            state=state,
            usage=self._usage("status"),
            checks=self._checks()
            | {"endpoint": self.endpoint.told(), "budget": self.budgets.told()},
        )
        self.endpoint.show(
            Snapshot(
                status=data,
                stats=self._last_stats,
                own_bytes=self.spool.written_bytes(),
                at_s=self.clock.monotonic_s(),
            )
        )
        try:
            health.write_status(self.home.run, data)
        except OSError as error:  # a full disk: the pulse says so, and the screen still can
            structlog.get_logger().warning("status_not_written", reason=error.strerror)
        if self.on_status is not None:
            self.on_status(data)

    def _usage(self, mark: str) -> dict[str, tuple[float, int] | None]:
        now_s = self.clock.monotonic_s()
        return {child.spec.name: child.usage(mark, now_s) for child in self.children}

    def _checks(self) -> dict[str, object]:
        care = hub_care.read(self.home.run)
        other = twin.read(self.home.run)
        return health.checks(self.children, self.activitywatch.result, care, other)

    def _stats(self) -> dict[str, StreamStats]:
        try:
            return self.spool.stats(within_s=LOCK_S)
        except (OSError, LifelogError) as error:  # a failing disk must not end the supervision
            structlog.get_logger().warning("spool_not_read", reason=describe(error))
            return {}
