"""The loop of one collector, without the process around it.

:class:`Runner` makes the collector, calls it, and keeps what the spool can't take at the moment.
Its state is what the supervisor hears: see :mod:`lifelog_lake.beats`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from lifelog_lake import levels
from lifelog_lake.beats import Beat, Excluded, State
from lifelog_lake.clock import US_PER_S, Clock
from lifelog_lake.collect.paused_time import without_paused
from lifelog_lake.collect.protocol import Collector, CollectorSettings, streams_of
from lifelog_lake.errors import (
    InvalidEvent,
    LifelogError,
    SpoolFull,
    SpoolWriteFailed,
    Unavailable,
)
from lifelog_lake.events import Event, is_pulled
from lifelog_lake.health_settings import HealthSettings
from lifelog_lake.levels import RATE
from lifelog_lake.pause import paused, pauses
from lifelog_lake.validate import JSON

#: How long to wait before an unavailable source is tried again; within ten seconds of its return
#: it must be recorded.
RETRY_S = 5.0
#: Times that are left out are one when no more than this lies between them; a beat has room for the
#: newest of a stream.
APART_US = 10 * US_PER_S
MOST_EXCLUDED = 3


class SpoolLike(Protocol):
    """What a collector's process needs of the spool."""

    def append(self, events: Sequence[Event], cursor: JSON = None) -> range:
        """Durable on return, or raises SpoolFull or SpoolWriteFailed."""

    def cursor(self, stream: str) -> JSON:
        """The last durable cursor."""

    def quarantine(self, stream: str, payload: bytes, reason: str) -> Path:
        """Keep what can't be used."""

    def written_bytes(self) -> dict[str, int]:
        """Bytes that went in, by stream."""


def describe(error: BaseException) -> str:
    """An error in words without captured content: ours as they are, others by kind and place."""
    if isinstance(error, LifelogError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    what = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}{place}" + (f": {what}" if what else "")


class Runner:
    """Runs one collector turn by turn; also its :class:`~lifelog_lake.collect.protocol.Context`."""

    def __init__(
        self,
        cls: type[Collector],
        settings: CollectorSettings,
        *,
        home: Path,
        spool: SpoolLike,
        clock: Clock,
        retry_s: float = RETRY_S,
        health: HealthSettings | None = None,
    ) -> None:
        self._cls = cls
        self._settings = settings
        self._home = home
        self._spool = spool
        self._clock = clock
        self._retry_s = retry_s
        self._health = health or HealthSettings()
        self._collector: Collector | None = None
        self._held: list[Callable[[], object]] = []
        self._held_rows = 0
        self._retry_at_s = float("-inf")
        self._next_s = clock.monotonic_s()
        self._state: State = "starting"
        self._reason = ""
        self._trouble = ""
        self._remark = ""
        self._looks_at = ""
        self._excluded: dict[str, list[Excluded]] = {}
        self._errors = 0
        self._observed: dict[str, int] = {}
        self._unseen: dict[str, str] = {}
        self._share: float | None = None
        self._doing = ""
        self._hurry = False
        self._level = 0
        self.log = structlog.get_logger().bind(collector=cls.name)

    # --- what the loop uses -------------------------------------------------------------------

    @property
    def beat(self) -> Beat:
        """The state as the supervisor should hear it."""
        return Beat(
            state=self._state,
            errors=self._errors,
            reason=self._reason,
            every_s=self._settings.look_s * RATE[self._level],
            observed=dict(self._observed),
            share=self._share,
            doing=self._doing,
            unseen=dict(self._unseen),
            written=self._spool.written_bytes(),
            looks_at=self._looks_at,
            excluded={stream: tuple(spans) for stream, spans in self._excluded.items()},
        )

    def next_in_s(self) -> float:
        """Seconds until the next turn. Turns don't drift; ones that were missed are left out."""
        if self._hurry:
            return 0.0
        now_s = self._clock.monotonic_s()
        every_s = self._settings.every_s * RATE[self._level]
        if self._next_s < now_s - every_s:
            self._next_s += ((now_s - self._next_s) // every_s) * every_s
        return max(0.0, self._next_s - now_s)

    def turn(self) -> None:
        """One look, or what the person, the spool or the source make of it."""
        self._level = levels.read(self._home / "run", self._cls.name)
        if not self._hurry:
            self._next_s += self._settings.every_s * RATE[self._level]
        self._hurry = False
        if paused(self._home, self._clock) is not None:
            self._let_go()
            if self._write_held():
                self._be("paused", "paused by the person")
            return
        if not self._write_held():
            return
        if self._clock.monotonic_s() < self._retry_at_s:
            return
        try:
            if self._collector is None:
                self._collector = self._cls(self._settings, self)
            self._collector.poll()
        except Unavailable as error:
            self._retry_at_s = self._clock.monotonic_s() + self._retry_s
            self._let_go()
            self._be("unavailable", str(error))
            return
        except InvalidEvent as error:
            self._count(error)
            self._keep(streams_of(self._cls, self._settings)[0], b"", str(error))
        if not self._held:
            self._be("error" if self._trouble else "running", self._trouble or self._remark)
            self._hurry = self._share is not None and not self._trouble

    def fail(self, error: Exception) -> None:
        """Say that the process ends because of an error, and write what can still be written."""
        self._errors += 1
        self.log.error("collector_failed", exc_info=error)
        self._be("error", describe(error))
        try:
            self._let_go()
        except Exception as second:  # noqa: BLE001 - the first error is the one that is told
            self._count(second)

    def stop(self) -> None:
        """End in order: the collector writes what isn't complete."""
        self._let_go()
        if not self._write_held():
            self.log.error("rows_not_kept", rows=self._held_rows, reason=self._reason)
            return
        self._be("stopping", "")

    # --- the collector's context --------------------------------------------------------------

    @property
    def clock(self) -> Clock:
        """Wall time and zone."""
        return self._clock

    def append(self, events: Sequence[Event], cursor: JSON = None) -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        batch = list(events)
        if any(is_pulled(event.id) for event in batch):
            batch = without_paused(batch, pauses(self._home, self._clock))
        self._hold(lambda: self._spool.append(batch, cursor), len(batch))

    def cursor(self, stream: str) -> JSON:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        return self._spool.cursor(stream)

    @property
    def level(self) -> int:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        return self._level

    def observed(self, stream: str) -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        self._observed[stream] = self._clock.wall_us()

    def trouble(self, reason: str) -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        self._trouble = reason

    def remark(self, text: str) -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        self._remark = text

    def looks_at(self, what: str) -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        self._looks_at = what

    def unseen(self, stream: str, why: str) -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        if why:
            self._unseen[stream] = why
        else:
            self._unseen.pop(stream, None)

    def excluded(self, stream: str, start: int, end: int, why: str) -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        joined: list[Excluded] = []
        for first, last, reason in sorted([*self._excluded.get(stream, ()), (start, end, why)]):
            if joined and joined[-1][2] == reason and first <= joined[-1][1] + APART_US:
                joined[-1] = joined[-1][0], max(joined[-1][1], last), reason
            else:
                joined.append((first, last, reason))
        self._excluded[stream] = joined[-MOST_EXCLUDED:]

    def stale_after_s(self, stream: str) -> float | None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        return self._health.stale_after_s(stream)

    def progress(self, share: float | None, doing: str = "") -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        self._share, self._doing = share, doing

    def refuse(self, stream: str, payload: bytes, error: InvalidEvent) -> None:
        """See :class:`~lifelog_lake.collect.protocol.Context`."""
        self._count(error)
        self._keep(stream, payload, str(error))

    # --- inside -------------------------------------------------------------------------------

    def _keep(self, stream: str, payload: bytes, reason: str) -> None:
        self._hold(lambda: self._spool.quarantine(stream, payload, reason), 1)

    def _hold(self, write: Callable[[], object], rows: int) -> None:
        """Write now, or keep it and everything after it until there is room again."""
        self._held.append(write)
        self._held_rows += rows
        if len(self._held) == 1:
            self._write_held()

    def _write_held(self) -> bool:
        """True if nothing waits any more. Order is kept; what was written isn't written twice."""
        while self._held:
            try:
                self._held[0]()
            except SpoolFull as error:
                self._be("full", str(error))
                return False
            except (SpoolWriteFailed, OSError) as error:
                self._be("error", describe(error))
                return False
            del self._held[0]
        self._held_rows = 0
        return True

    def _let_go(self) -> None:
        collector, self._collector, self._trouble = self._collector, None, ""
        self._share, self._doing, self._unseen, self._remark = None, "", {}, ""
        stop = getattr(collector, "stop", None)
        if stop is not None:
            stop()

    def _count(self, error: BaseException) -> None:
        self._errors += 1
        self.log.warning("collector_error", exc_info=error)

    def _be(self, state: State, reason: str) -> None:
        if state != self._state:
            if state in ("full", "error"):
                self._errors += 1
            self.log.info("state", state=state, reason=reason)
        self._state, self._reason = state, reason
