"""Notices another live home with this device's id: an image of the machine that was cloned, say.

Homes that share an id never mix their rows: the one that comes second to a seq gets an epoch of
its own (:mod:`lifelog_lake.ship.guard`). From then on each has its own, so each can see the other:
pulses of this device in an epoch that isn't this home's, and that grows from one look to the next.
An epoch of this home's own past doesn't grow.
"""

from __future__ import annotations

import structlog

from lifelog_lake import twin
from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.errors import LifelogError
from lifelog_lake.events import new_event
from lifelog_lake.home import Home
from lifelog_lake.lake.schema import day
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.table import StreamTable
from lifelog_lake.ship.shipper import translated
from lifelog_lake.spool import Spool
from lifelog_lake.twin import Twin

STREAM = "pulse"
#: Both homes write a pulse each minute.
EVERY_S = 300.0
#: The other one may be off for a while; after this it isn't told any more.
FORGET_US = 86_400 * US_PER_S
DAY_US = 86_400 * US_PER_S


class Twins:
    """Looks when it is time, after a run of the shipper. Used in one thread."""

    def __init__(self, home: Home, store: Store, clock: Clock, every_s: float = EVERY_S) -> None:
        self._home = home
        self._store = store
        self._clock = clock
        self._every_s = every_s
        self._next_s = float("-inf")
        self._spool = Spool.of(home, clock)
        self._before: tuple[str, dict[str, int]] | None = None

    def look_if_due(self) -> None:
        """Look for the other; never raises for a lake that can't be reached or a full spool."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + self._every_s
        try:
            with translated(STREAM):
                self._look()
        except LifelogError as error:
            structlog.get_logger().debug("twin_not_looked_for", reason=str(error))

    def _look(self) -> None:
        if STREAM not in self._spool.streams() or STREAM not in self._store.streams():
            return
        own = self._spool.outlet(STREAM).state().epoch
        now_us = self._clock.wall_us()
        days = {day(now_us + by) for by in (-DAY_US, 0, DAY_US)}
        found = StreamTable(self._store, STREAM).snapshot().newest_seqs(self._home.device, days)
        before, self._before = self._before, (own, found)
        if before is None:
            return
        grown = [
            epoch
            for epoch, seq in found.items()
            if epoch not in (own, before[0]) and seq > before[1].get(epoch, -1)
        ]
        known = twin.read(self._home.run)
        if not grown:
            if known is not None and now_us - known.seen_at > FORGET_US:
                twin.forget(self._home.run)
            return
        since = now_us if known is None else known.since
        seen = Twin(device=self._home.device, since=since, seen_at=now_us)
        if known is None:
            self._tell(seen)
        twin.write(self._home.run, seen)

    def _tell(self, seen: Twin) -> None:
        """A row of each of the two: in the lake both say so."""
        structlog.get_logger().warning("twin", device=seen.device)
        data = {"kind": "cloned", "collector": "ship", "reason": seen.reason}
        event = new_event("lifecycle", at=seen.since, data=data, tz=self._clock.tz())
        self._spool.append([event])
