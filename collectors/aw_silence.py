"""Notices that a watcher of ActivityWatch has died while its server is well.

A watcher sends a heartbeat each few seconds, also when nothing changes, and the server's list of
buckets tells when each got its last one. That a bucket stands still is timed by our monotonic
clock from the moment we see it: so a sleep of the machine doesn't count, nor what was before us.
Our own collector can't mend it; the person starts the watcher again.

While the person is away windows and web pages may stand still. Whether they are is what the
watcher of presence said last. Of a stream with several buckets (hosts, browsers) one has to move.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from collectors.aw_client import Bucket
from lifelog_lake.clock import Clock, iso, to_us
from lifelog_lake.collect.protocol import Context

WATCHERS = {
    "window": "aw-watcher-window",
    "afk": "aw-watcher-afk",
    "web": "ActivityWatch's extension in the browser",
}


class Silence:
    """Follows the buckets of each stream."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._clock: Clock = context.clock
        self._ends: dict[str, str] = {}
        self._moved_s: dict[str, float] = {}

    def of(self, stream: str, buckets: Iterable[Bucket], *, away: bool) -> str:
        """Why a stream is silent and what to do, "" if it isn't, or if that can't be told."""
        now_s = self._clock.monotonic_s()
        ends: list[str] = []
        for bucket in buckets:
            if bucket.updated is None or _is_ahead(bucket.updated, self._clock):
                return ""  # the server doesn't tell, or its clock was wrong then
            if self._ends.get(bucket.id) != bucket.updated:
                self._ends[bucket.id] = bucket.updated
                self._moved_s[stream] = now_s
            ends.append(bucket.updated)
        limit_s = self._context.stale_after_s(stream)
        if not ends or limit_s is None or (away and stream != "afk"):
            self._moved_s[stream] = now_s
            return ""
        if now_s - self._moved_s[stream] < limit_s:
            return ""
        last = iso(max(_us(end) for end in ends))
        return (
            f"{WATCHERS[stream]} has sent nothing since {last} although ActivityWatch's server "
            "is well: start it again (in ActivityWatch's menu: Modules)"
        )


def _is_ahead(end: str, clock: Clock) -> bool:
    try:
        return _us(end) > clock.wall_us()
    except (ValueError, OverflowError):
        return True


def _us(end: str) -> int:
    return to_us(datetime.fromisoformat(end).astimezone(UTC))
