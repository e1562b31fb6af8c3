"""Alive isn't enough: notices collectors that beat and yet see nothing, and starts them again.

Two limits. Without an observation for a minute (or five looks) a stream is *stale*: told, no more.
Without one for ``[health] stale_after_minutes`` its collector is started again, each further time
after twice the wait; when that has been tried :data:`TRIES` times the stream is *silent*: told as a
finding, and tried on ever more rarely.

Ages are by the monotonic clock and begin anew after a start, a pause and a sleep. They are of
observations, not of rows: an unchanged screen is observed and gives none. Where the collector says
why nothing can be seen (``unseen``), starting it again wouldn't help.
"""

from __future__ import annotations

import structlog

from lifelog_lake.beats import BEAT_EVERY_S
from lifelog_lake.clock import iso
from lifelog_lake.collect.process import Child
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.health_settings import HealthSettings

#: Starts without an event until it is a finding.
TRIES = 3
#: Longest wait between two of them.
LONGEST_S = 6 * 3600.0
#: Beats tell of observations so often; less is no sign of anything.
LEAST_S = 1.5 * BEAT_EVERY_S


class Freshness:
    """Judges the streams of children that run."""

    def __init__(self, recorder: Recorder, settings: HealthSettings, fresh_s: float) -> None:
        self._recorder = recorder
        self._settings = settings
        self._fresh_s = fresh_s
        self._log = structlog.get_logger()

    def look(self, child: Child, now_s: float) -> None:
        """Look at each stream of a child; called each tick."""
        if child.beat.state != "running":
            child.stale.clear()
            return
        looks_s = 5 * (child.beat.every_s or 0.0)
        for stream in child.spec.streams:
            age_s = now_s - child.fresh_s.get(stream, now_s)
            self._look_if_stale(child, stream, age_s, max(self._fresh_s, looks_s))
            limit_s = self._settings.stale_after_s(stream)
            if limit_s is None or stream in child.beat.unseen:
                continue
            wait_s = max(limit_s, looks_s, LEAST_S)
            tried = child.tried.get(stream, 0)
            if age_s >= min(wait_s * 2 ** min(tried, 20), max(wait_s, LONGEST_S)):
                self._start_again(child, stream)

    def _look_if_stale(self, child: Child, stream: str, age_s: float, limit_s: float) -> None:
        if age_s >= limit_s and stream not in child.stale:
            child.stale.add(stream)
            self._recorder.lifecycle(
                "stale", collector=child.spec.name, stream=stream,
                reason=why(child, stream) or f"alive, but nothing observed for {age_s:.0f} s",
            )  # fmt: skip
        elif age_s < limit_s and stream in child.stale:
            child.stale.discard(stream)
            self._recorder.lifecycle("fresh", collector=child.spec.name, stream=stream)

    def _start_again(self, child: Child, stream: str) -> None:
        if child.killed_because:
            return  # on its way already
        last_us = child.last_us(stream)
        if last_us is None:  # it never was there; whether it ever will be, nobody knows
            if stream not in child.warned:
                child.warned.add(stream)
                self._log.warning(
                    "no_event_yet", collector=child.spec.name, stream=stream,
                    message=f"no event of {stream} yet; its source may not be there",
                )  # fmt: skip
            return
        child.tried[stream] = child.tried.get(stream, 0) + 1
        self._log.warning(
            "stale_restart", collector=child.spec.name, stream=stream, count=child.tried[stream],
            message=f"last event timestamp is too old: {iso(last_us)}. Restarting.",
        )  # fmt: skip
        child.renew(f"no event of {stream} since {iso(last_us)}")


def why(child: Child, stream: str) -> str:
    """Why a stale stream gives nothing, and what to do; "" if that isn't known (yet)."""
    if reason := child.beat.unseen.get(stream):
        return reason
    tried = child.tried.get(stream, 0)
    last_us = child.last_us(stream)
    if tried < TRIES or last_us is None:
        return ""
    return (
        f"no event since {iso(last_us)}, although {child.spec.name} was started again {tried} "
        "times: look at its source, and at its log"
    )


def silent(child: Child) -> list[dict[str, object]]:
    """The streams of a child for which starting it again doesn't help; as the pulse tells them."""
    return [
        {
            "stream": stream,
            "collector": child.spec.name,
            "since": child.last_us(stream),
            "restarts": child.tried.get(stream, 0),
            "reason": reason,
        }
        for stream in child.spec.streams
        if (stream in child.stale or stream in child.tried) and (reason := why(child, stream))
    ]
