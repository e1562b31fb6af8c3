"""How wrong this machine's clock is, by the store's, and what that means for a row's time.

Each run asks the store for the time (HEAD of ``lake.json``). Its ``Date`` is cut to the second, and
was said at some moment between question and answer; so one sample tells in which second and a bit
the true time lies, relative to the boot clock. Samples of one boot are cut with each other (as
Marzullo's algorithm does) and soon agree on a fraction of a second.

A spool line tells what wall and boot clock said when a batch was appended. True time less boot
clock now, less wall less boot clock then, is what its times lack: right also for rows that were
written before the clock was set. It holds within one boot alone. Less than :data:`LEAST_US` is
left as it is, so that slices stay on their grid; more than :data:`MOST_US` isn't corrected, since
rows that are offered again are looked for on their days.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import structlog

from lifelog_lake import clock_check
from lifelog_lake.clock import US_PER_S, Clock, to_us
from lifelog_lake.clock_check import LEAST_US, MOST_US, ClockCheck
from lifelog_lake.errors import LifelogError
from lifelog_lake.events import is_pulled
from lifelog_lake.lake.identity import NAME as LAKE
from lifelog_lake.lake.store import Store
from lifelog_lake.spool import Append, Record

#: Streams whose times a person or another program gave.
AS_GIVEN = frozenset({"journal", "attachment", "alert"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """True time less boot clock lies from ``low`` to ``high``, µs, in this boot. ``wall`` is the
    wall clock less the boot clock at the newest sample."""

    boot_id: str
    low: int
    high: int
    wall: int


class Skew:
    """What is known of the clock. One a shipper."""

    def __init__(self, clock: Clock, *, sleeps: bool = sys.platform == "linux") -> None:
        """``sleeps``: whether the boot clock counts the time asleep."""
        self._clock = clock
        self._sleeps = sleeps
        self._known: _Known | None = None

    def sample(self, store: Store) -> None:
        """Ask the store for its time. One that doesn't answer, or not with a time, tells nothing:
        the run that follows says what is wrong with it."""
        before = self._clock.boot_us()
        try:
            said = store.stat(LAKE).server_date
            after = self._clock.boot_us()
            if said is None:
                return
            date = to_us(parsedate_to_datetime(said).astimezone(UTC))
        except (LifelogError, OSError, ValueError, OverflowError) as error:
            structlog.get_logger().debug("clock_not_sampled", reason=type(error).__name__)
            return
        new = _Known(
            boot_id=self._clock.boot_id(),
            low=date - after,
            high=date + US_PER_S - before,
            wall=self._clock.wall_us() - self._clock.boot_us(),
        )
        old = self._known
        if old is not None and old.boot_id == new.boot_id:
            low, high = max(old.low, new.low), min(old.high, new.high)
            # The boot clock drifts too: what doesn't agree any more is forgotten.
            new = replace(new, low=low, high=high) if low <= high else new
        self._known = new

    @property
    def ahead_us(self) -> tuple[int, int] | None:
        """How far the wall clock is ahead of the store's, at least and at most; None = unknown."""
        known = self._known
        return None if known is None else (known.wall - known.high, known.wall - known.low)

    def correction(self, append: Append | None) -> int | None:
        """What to add to times of a batch, µs: 0 for a clock that was right, None = unknown."""
        known = self._known
        if known is None or append is None or append.boot_id != known.boot_id:
            return None
        wall = append.wall_us - append.boot_us
        if not self._sleeps and abs(wall - known.wall) > LEAST_US:
            return None  # it was set, or the machine slept: that can't be told apart
        low, high = known.low - wall, known.high - wall
        lacks = (low + high) // 2
        if low <= 0 <= high or abs(lacks) < LEAST_US:
            return 0
        return lacks if abs(lacks) <= MOST_US else None

    def correct(
        self, stream: str, records: Sequence[Record], appends: Sequence[Append]
    ) -> list[Record]:
        """The records with right times and ``skew_us``; those that came from elsewhere as they are.

        ``appends`` are in the order of their seqs.
        """
        if self._known is None or stream in AS_GIVEN:
            return list(records)
        corrected = []
        left = iter(appends)
        append = next(left, None)
        for record in records:
            while append is not None and append.last < record.seq:
                append = next(left, None)
            found = append if append is not None and append.first <= record.seq else None
            lacks = None if is_pulled(record.fields["id"]) else self.correction(found)
            corrected.append(record if lacks is None else _moved(record, lacks))
        return corrected

    def show(self, run: Path) -> None:
        """Leave what is known for ``lifelog status``."""
        if (ahead := self.ahead_us) is None:
            return
        found = ClockCheck(
            at=self._clock.wall_us(),
            ahead_us=sum(ahead) // 2,
            within_us=(ahead[1] - ahead[0]) // 2,
        )
        try:
            clock_check.write(run, found)
        except OSError as error:  # a full disk keeps no row from being shipped
            structlog.get_logger().warning("clock_not_shown", reason=error.strerror)


def _moved(record: Record, by: int) -> Record:
    fields: dict[str, Any] = {**record.fields, "skew_us": by}
    if by:
        fields |= {name: fields[name] + by for name in ("at", "end") if fields.get(name)}
        fields["data"] = _moved_within(fields["data"], by)
    return replace(record, fields=fields)


def _moved_within(value: Any, by: int) -> Any:
    """A pulse's own times go by the same clock."""
    if isinstance(value, list):
        return [_moved_within(one, by) for one in value]
    if isinstance(value, dict):
        return {
            name: one + by if name.endswith("_at") and isinstance(one, int) else
            _moved_within(one, by)
            for name, one in value.items()
        }  # fmt: skip
    return value
