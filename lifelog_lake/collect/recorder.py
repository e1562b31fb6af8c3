"""The supervisor's own rows: written at once, or held in order until the spool takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing

import structlog

from lifelog_lake.clock import Clock
from lifelog_lake.collect.runner import SpoolLike, describe
from lifelog_lake.errors import SpoolFull, SpoolWriteFailed
from lifelog_lake.events import Event, new_event
from lifelog_lake.home import Home
from lifelog_lake.spool import Spool

#: Rows kept in memory while the spool fails: a week of pulses.
MOST_HELD = 10_080


class Recorder:
    """Writes ``pulse`` and ``lifecycle`` rows. Never raises for a spool that is full or failing."""

    def __init__(self, spool: SpoolLike, clock: Clock, most_held: int = MOST_HELD) -> None:
        self._spool = spool
        self._clock = clock
        self._held: deque[Event] = deque()
        self._most_held = most_held
        self._left_out = 0
        self._log = structlog.get_logger()

    @property
    def waiting(self) -> int:
        """Rows that aren't durable yet."""
        return len(self._held)

    def lifecycle(
        self,
        kind: str,
        *,
        at: int | None = None,
        end: int | None = None,
        collector: str | None = None,
        stream: str | None = None,
        reason: str | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """One thing that the supervisor knows; ``at`` is now unless given."""
        self._log.info("lifecycle", kind=kind, collector=collector, stream=stream, reason=reason)
        data = {"kind": kind, "collector": collector, "stream": stream, "reason": reason}
        self.write("lifecycle", at=at, end=end, data=data, extra=extra)

    def write(
        self,
        stream: str,
        *,
        at: int | None = None,
        end: int | None = None,
        data: Mapping[str, object],
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """A row of ``stream``; durable on return unless the spool is full or failing."""
        now = self._clock.wall_us()
        event = new_event(
            stream, at=now if at is None else at, end=end, data=data, extra=extra,
            tz=self._clock.tz(),
        )  # fmt: skip
        if len(self._held) >= self._most_held:
            self._held.popleft()
            self._left_out += 1
        self._held.append(event)
        self.retry()

    def retry(self) -> bool:
        """Write what is held; True if nothing waits any more."""
        while self._held:
            try:
                self._spool.append([self._held[0]])
            except (SpoolFull, SpoolWriteFailed, OSError) as error:
                self._log.warning("row_waits", rows=len(self._held), reason=describe(error))
                return False
            self._held.popleft()
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self.lifecycle(
                "left_out", reason=f"{left_out} rows of the supervisor: the spool took none"
            )
        return True


def record(
    home: Home, clock: Clock, stream: str, rows: Sequence[Mapping[str, object]]
) -> list[Event]:
    """Rows of now in a stream of the system's own, in one append; durable on return.

    Raises :class:`SpoolFull` or :class:`SpoolWriteFailed`: then none of them is.
    """
    now_us, tz = clock.wall_us(), clock.tz()
    events = [new_event(stream, at=now_us, data=row, tz=tz) for row in rows]
    if events:
        with closing(Spool.of(home, clock)) as spool:
            spool.append(events)
    return events
