"""What a device told of itself, in the order in which it wrote it: its runs, sleeps and pauses.

Made of lifecycle rows and pulses; :mod:`lifelog_lake.ledger` makes the states of minutes of it. All
times are µs since 1970 UTC, spans exclude their end. Pure functions; nothing is read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lifelog_lake.clock import MAX_US

#: Kinds of lifecycle rows that a ledger is made of.
DEVICE_KINDS = frozenset(
    {"started", "stopped", "crashed", "suspended", "clock_step", "paused", "resumed"}
)
STREAM_KINDS = frozenset({"missed", "excluded", "dropped", "quarantined", "lost"})
KINDS = DEVICE_KINDS | STREAM_KINDS
FOREVER = MAX_US

STOPPED = "lifelog was stopped"
SILENT = "lifelog ended without a word"
SET_FORWARD = "the clock was set forward"

Row = Mapping[str, Any]
#: Begin and end, the end excluded.
Time = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """A time in one state, and why."""

    start: int
    end: int
    state: str
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Run:
    """One life of a supervisor. ``pieces`` are its times by the wall clock, cut where that was set.

    ``ended`` is how: "" while it goes on, "stopped", "down" (the machine went down with it) or
    "crashed". ``last_pulse`` is the newest pulse of it that is known.
    """

    start: int
    pieces: list[Time] = field(default_factory=list)
    end: int | None = None
    ended: str = ""
    reason: str = ""
    pulse: Row | None = None
    last_pulse: Row | None = None


@dataclass(slots=True)
class Life:
    """What the lifecycle rows and pulses of one device come to; see :func:`life_of`."""

    runs: list[Run] = field(default_factory=list)
    suspended: list[Span] = field(default_factory=list)
    paused: list[Span] = field(default_factory=list)
    #: By stream; None is all of them.
    excluded: dict[str | None, list[Span]] = field(default_factory=dict)
    missed: dict[str | None, list[Span]] = field(default_factory=dict)
    #: Up to when the device is known.
    heard_at: int = 0

    @property
    def streams(self) -> list[str]:
        """Every stream that a collector of this device has ever had, by name."""
        pulses = [pulse for run in self.runs for pulse in (run.pulse, run.last_pulse)]
        return sorted({stream for pulse in pulses for stream in entries_of(pulse)})

    @property
    def is_over(self) -> bool:
        """Whether the last that it said of itself is that it stopped."""
        return bool(self.runs) and self.runs[-1].ended == "stopped"


def life_of(lifecycle: Iterable[Row], pulses: Iterable[Row]) -> Life:
    """The life of a device, of its rows in any order.

    Rows have the columns of their streams, times as µs and ``extra`` as an object. Of the pulses
    the first and the last of each run are enough; of the lifecycle those of :data:`KINDS`.
    """
    ticks = sorted(pulses, key=_place)
    life = _Story(ticks)
    for row in sorted(lifecycle, key=_place):
        if row["kind"] in STREAM_KINDS:
            life.take_stream(row)
        elif row["kind"] in DEVICE_KINDS and not row.get("collector") and not row.get("stream"):
            life.take(row)
    return life.end()


class _Story:
    """A life as it is told, row by row."""

    def __init__(self, ticks: Sequence[Row]) -> None:
        self._ticks = ticks
        self._life = Life()
        self._begun: int | None = None  # of the piece of a run that goes on
        self._pause: Time | None = None
        #: What the clock was set forward over, unless it was set back again.
        self._skipped: list[Time] = []

    def take(self, row: Row) -> None:
        """A row about the device as a whole."""
        life, kind, at = self._life, row["kind"], row["at"]
        life.heard_at = at
        if kind in ("resumed", "started", "paused"):
            self._end_pause(at)
        if kind == "paused":
            self._pause = at, _number(row, "until") or FOREVER
        elif kind == "suspended":
            life.heard_at = row["end"] or at
            life.suspended.append(Span(at, life.heard_at, "suspended", "the machine slept"))
        elif kind == "clock_step":
            self._step(row)
        elif kind == "started":
            self._start(at)
        elif kind in ("stopped", "crashed"):
            down = kind == "crashed" and (row.get("extra") or {}).get("down")
            self._end_run(at, "down" if down else kind, row.get("reason") or "")

    def take_stream(self, row: Row) -> None:
        """A row about what a stream hasn't got."""
        kind, reason = row["kind"], str(row.get("reason") or "")
        first, last = row["at"], row["end"]
        if kind not in ("missed", "excluded"):
            # Seqs that never become rows; when they were recorded lies in extra.
            first, last = _number(row, "from"), _number(row, "to")
        if first is None or last is None:
            return
        if kind == "excluded":
            span = Span(first, last, "excluded", reason)
            self._life.excluded.setdefault(row.get("stream"), []).append(span)
        else:
            span = Span(first, max(last, first + 1), "lost", reason)
            self._life.missed.setdefault(row.get("stream"), []).append(span)

    def end(self) -> Life:
        """The whole, as far as it is told."""
        life = self._life
        life.heard_at = max([life.heard_at, *(tick["at"] for tick in self._ticks[-1:])])
        if self._begun is not None:
            life.runs[-1].pieces.append((self._begun, max(self._begun, life.heard_at)))
        self._end_pause(life.heard_at)
        lived = [Span(*piece, "") for run in life.runs for piece in run.pieces]
        life.suspended += [
            Span(first, last, "suspended", SET_FORWARD)
            for skip in self._skipped
            for first, last in without(skip, lived)
        ]
        _give_pulses(life, self._ticks)
        return life

    def _start(self, at: int) -> None:
        if self._begun is not None:  # nobody saw how the one before ended
            known = [tick["at"] for tick in self._ticks if self._begun <= tick["at"] < at]
            self._end_run(max(known, default=self._begun), "crashed", SILENT)
        self._life.runs.append(Run(start=at))
        self._begun = at

    def _end_run(self, at: int, how: str, reason: str) -> None:
        if self._begun is None:
            return
        run = self._life.runs[-1]
        run.pieces.append((self._begun, at))
        run.end, run.ended, run.reason = at, how, reason
        self._begun = None

    def _step(self, row: Row) -> None:
        early, late = row["at"], row["end"] or row["at"]
        back = (_number(row, "step_us") or 0) < 0
        before, after = (late, early) if back else (early, late)
        self._life.heard_at = after
        if self._begun is None:
            return
        self._life.runs[-1].pieces.append((self._begun, before))
        self._begun = after
        skips = self._skipped = [(a, min(b, after)) for a, b in self._skipped]
        if not back:
            skips.append((before, after))

    def _end_pause(self, at: int) -> None:
        if self._pause is not None:
            since, until = self._pause
            self._life.paused.append(Span(since, min(at, until), "paused", "you paused"))
        self._pause = None


def waiting_from(life: Life, stream: str) -> tuple[int, int] | None:
    """What waited in the spool at the device's newest pulse: times of the oldest and newest row."""
    pulse = life.runs[-1].last_pulse if life.runs else None
    found = [one for one in entries_of(pulse).get(stream, ()) if one.get("spool_oldest_at")]
    if not found:
        return None
    oldest = min(one["spool_oldest_at"] for one in found)
    return oldest, max(one.get("spool_newest_at") or oldest for one in found)


def _place(row: Row) -> tuple[str, int]:
    return str(row.get("epoch") or ""), int(row.get("seq") or 0)


def _number(row: Row, name: str) -> int | None:
    value = (row.get("extra") or {}).get(name)
    return value if isinstance(value, int) else None


def _give_pulses(life: Life, ticks: Sequence[Row]) -> None:
    """Each run its pulses; one without any has the neighbour's streams."""
    for run in life.runs:
        own = [tick for tick in ticks if any(a <= tick["at"] <= max(a, b) for a, b in run.pieces)]
        if own:
            run.pulse, run.last_pulse = own[0], own[-1]
    for runs in (life.runs, life.runs[::-1]):
        before: Row | None = None
        for run in runs:
            run.pulse = before = run.pulse or before


def entries_of(pulse: Row | None) -> dict[str, list[Row]]:
    """The entries of each stream that has a collector."""
    found: dict[str, list[Row]] = {}
    for entry in (pulse or {}).get("streams") or ():
        if entry and entry.get("stream") and entry.get("collector"):
            found.setdefault(entry["stream"], []).append(entry)
    return found


def joined(spans: Iterable[Time]) -> list[Time]:
    joined: list[Time] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        elif start < end:
            joined.append((start, end))
    return joined


def without(span: Time, taken: Iterable[Span]) -> list[Time]:
    start, stop = span
    left = []
    for first, last in joined((one.start, one.end) for one in taken):
        if last <= start or first >= stop:
            continue
        if first > start:
            left.append((start, first))
        start = max(start, last)
    return [*left, (start, stop)] if start < stop else left
