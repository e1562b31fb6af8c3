"""What this device has lost today, from what its own spool still keeps; the lake isn't asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import tzlocal

from lifelog_lake.clock import Clock, to_us, utc
from lifelog_lake.collect.last_run import KILLED
from lifelog_lake.ledger import MINUTE_US, ledger
from lifelog_lake.life import KINDS, Row, life_of
from lifelog_lake.spool import Spool

#: How long the lock of a stream is waited for.
LOCK_S = 2.0
#: Pulses from a little before midnight tell how the day began.
BEFORE_US = 5 * MINUTE_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Minutes of a stream that are lost for one reason."""

    stream: str
    minutes: int
    reason: str


def lost_today(
    spool: Spool, status: Mapping[str, object] | None, clock: Clock, *, alive: bool
) -> list[Lost]:
    """Today's lost minutes by stream and reason, the most first; by this machine's midnight.

    ``status`` is the supervisor's, ``alive`` whether its process is there. Raises what the spool
    raises.
    """
    now_us = clock.wall_us()
    midnight = to_us(_midnight(utc(now_us)))
    there = spool.streams()
    lifecycle = [row for row in _rows(spool, there, "lifecycle", 0) if row["kind"] in KINDS]
    began = (status or {}).get("started_at")
    if isinstance(began, int) and not any(row["kind"] == "started" for row in lifecycle):
        # It has run for longer than its first rows are kept.
        lifecycle.insert(0, {"kind": "started", "at": began, "end": None, "seq": -1})
    last = (status or {}).get("at")
    if (status or {}).get("state") == "running" and not alive and isinstance(last, int):
        # It was killed, and the next one, which would tell so, hasn't started yet.
        rest = {"end": None, "reason": KILLED, "seq": len(lifecycle)}
        lifecycle += [{**rest, "kind": "crashed", "at": last}]
        lifecycle += [{**rest, "kind": "started", "at": now_us, "seq": len(lifecycle)}]
    life = life_of(lifecycle, _rows(spool, there, "pulse", midnight - BEFORE_US))
    counts: Counter[tuple[str, str]] = Counter()
    for stream in life.streams:
        found = ledger(life, stream, midnight, now_us)
        if any(span.state == "lost" for span in found):
            rows = [
                (row["at"], row.get("end") or row["at"])
                for row in _rows(spool, there, stream, midnight)
            ]
            found = ledger(life, stream, midnight, now_us, rows=rows)
        for span in found:
            if span.state == "lost":
                counts[stream, span.reason] += (span.end - span.start) // MINUTE_US
    return [
        Lost(stream=stream, minutes=minutes, reason=reason)
        for (stream, reason), minutes in counts.most_common()
    ]


def _rows(spool: Spool, there: list[str], stream: str, since_us: int) -> list[Row]:
    """The rows of a stream that are kept, in the order in which they were written."""
    if stream not in there:
        return []
    kept = spool.outlet(stream).kept(since_us, LOCK_S)
    return [
        {"end": None, **record.fields, **record.fields["data"], "seq": place}
        for place, record in enumerate(kept)
    ]


def _midnight(now: datetime) -> datetime:
    local = now.astimezone(tzlocal.get_localzone())
    return datetime(local.year, local.month, local.day, tzinfo=local.tzinfo)
