"""For every minute of a stream the one state it was in: nothing is lost in silence.

Made at read, from what devices told (lifecycle rows and pulses) and when there are rows; nothing of
it is stored. The first of these that holds is the state of a minute:

``off`` the device was shut down, or the stream disabled · ``suspended`` the machine slept, or its
clock was set forward over that time · ``paused`` the person said so · ``excluded`` the person's
rules left it out · ``captured`` a row touches the minute · ``idle`` it was observed and there was
nothing to record · ``pending`` the device hasn't shipped what tells of it · ``lost`` all else.

The first four, ``idle`` and ``pending`` take a minute when they fill most of it; one row is enough
for ``captured``. Rows that hold nothing (black frames, digital silence) don't count as such: the
minute is ``idle`` and says why. A device's rows are taken in the order in which it wrote them
(epoch, then seq), never by their times, so that a clock that is set harms nothing.

All times are µs since 1970 UTC. Spans exclude their end. Pure functions; nothing is read here.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lifelog_lake.clock import MAX_US, US_PER_S

MINUTE_US = 60 * US_PER_S
#: In the order of their precedence.
STATES = ("off", "suspended", "paused", "excluded", "captured", "idle", "pending", "lost")
#: Kinds of lifecycle rows that a ledger is made of.
DEVICE_KINDS = frozenset(
    {"started", "stopped", "crashed", "suspended", "clock_step", "paused", "resumed"}
)
STREAM_KINDS = frozenset({"missed", "excluded", "dropped", "quarantined", "lost"})
KINDS = DEVICE_KINDS | STREAM_KINDS
#: States of a collector in a pulse that say nothing against its being observed.
OBSERVING = frozenset({"running", "starting", "paused", "stopping", "stopped"})
FOREVER = MAX_US

NOT_YET = "lifelog wasn't set up yet"
STOPPED = "lifelog was stopped"
SILENT = "lifelog ended without a word"
DISABLED = "disabled in the settings"
SET_FORWARD = "the clock was set forward"
NOTHING_NEW = "observed; nothing to record"
NOT_SHIPPED = "the device hasn't shipped it yet"
UNTOLD = "enabled, and nothing tells of it"

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
        return sorted({stream for pulse in pulses for stream in _entries(pulse)})

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
            for first, last in _without(skip, lived)
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


def ledger(
    life: Life,
    stream: str,
    start: int,
    end: int,
    *,
    rows: Iterable[Time] = (),
    blank: Iterable[tuple[int, int, str]] = (),
    shipped_to: int | None = None,
) -> list[Span]:
    """The states of a stream's minutes from ``start`` to ``end``, neighbours that say the same as
    one; ``start`` and ``end`` are widened to whole minutes.

    ``rows`` are the times of rows (equal times: a moment), ``blank`` those of rows that hold
    nothing, with what to say of them. ``shipped_to``: all that the newest pulse knew to wait from
    then on is waiting still; None = none of it.
    """
    page = _Page(start // MINUTE_US, -(-end // MINUTE_US))
    heard = FOREVER if life.is_over else life.heard_at
    pending_from = min(heard, shipped_to if shipped_to is not None else FOREVER)
    pending_from -= pending_from % MINUTE_US
    gaps = [*life.missed.get(stream, ()), *life.missed.get(None, ()), *_open_gaps(life, stream)]
    observed = [
        part
        for run in life.runs
        for piece in run.pieces
        for part in _without((piece[0], min(piece[1], pending_from)), gaps)
    ]
    for first, last in observed:  # of a minute in pieces, none of which is most of it
        page.touch(first, last, "idle", NOTHING_NEW)
    page.paint([*_crashes(life), *gaps])
    page.paint([Span(pending_from, FOREVER, "pending", NOT_SHIPPED)])
    page.paint(Span(first, last, "idle", NOTHING_NEW) for first, last in _joined(observed))
    for first, last, why in blank:
        page.touch(first, last, "idle", why)
    for first, last in rows:
        page.touch(first, last, "captured", "")
    page.paint([*life.excluded.get(stream, ()), *life.excluded.get(None, ())])
    page.paint(life.paused)
    page.paint(life.suspended)
    page.paint(_off(life, stream))
    return page.read()


def waiting_from(life: Life, stream: str) -> tuple[int, int] | None:
    """What waited in the spool at the device's newest pulse: times of the oldest and newest row."""
    pulse = life.runs[-1].last_pulse if life.runs else None
    found = [one for one in _entries(pulse).get(stream, ()) if one.get("spool_oldest_at")]
    if not found:
        return None
    oldest = min(one["spool_oldest_at"] for one in found)
    return oldest, max(one.get("spool_newest_at") or oldest for one in found)


# --- what the rows of one kind mean -------------------------------------------------------------


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


def _entries(pulse: Row | None) -> dict[str, list[Row]]:
    """The entries of each stream that has a collector."""
    found: dict[str, list[Row]] = {}
    for entry in (pulse or {}).get("streams") or ():
        if entry and entry.get("stream") and entry.get("collector"):
            found.setdefault(entry["stream"], []).append(entry)
    return found


def _open_gaps(life: Life, stream: str) -> list[Span]:
    """What a run's last pulse says isn't observed: of one that ended in order a row tells it."""
    gaps = []
    for run in life.runs:
        if run.last_pulse is None or run.ended == "stopped":
            continue
        for entry in _entries(run.last_pulse).get(stream, ()):
            if entry["state"] in OBSERVING or entry["state"] == "disabled":
                continue
            seen = max(entry.get("last_capture_at") or run.start, run.start)
            until = run.end if run.end is not None else max(run.last_pulse["at"], life.heard_at)
            why = f"{entry['collector']} is {entry['state']}: {entry.get('last_error') or ''}"
            gaps.append(Span(seen, until, "lost", why.rstrip(": ")))
    return gaps


def _crashes(life: Life) -> list[Span]:
    """From a crash to the next start, while the machine ran on."""
    return [
        Span(run.end, following.start, "lost", run.reason)
        for run, following in zip(life.runs, life.runs[1:], strict=False)
        if run.ended == "crashed" and run.end is not None
    ]


def _off(life: Life, stream: str) -> list[Span]:
    """Before the first run, between runs, after the last, and where the stream was disabled."""
    lived = [Span(*piece, "") for run in life.runs for piece in run.pieces]
    if not lived:
        return []
    spans = [Span(0, min(piece.start for piece in lived), "off", NOT_YET)]
    disabled = []
    for run, following in zip(life.runs, [*life.runs[1:], None], strict=True):
        until = following.start if following is not None else FOREVER
        if run.end is not None and run.ended in ("stopped", "down"):
            spans.append(Span(run.end, until, "off", run.reason or STOPPED))
        entries = _entries(run.pulse)
        states = {one["state"] for one in entries.get(stream, ())}
        if entries and states <= {"disabled"}:
            stop = until if run.end is None or run.ended == "crashed" else run.end
            disabled.append(Span(run.start, stop, "off", DISABLED if states else NOT_YET))
    # Where a clock that was wrong tells of a time that a run tells of too, the run counts.
    cut = [
        Span(first, last, "off", span.reason)
        for span in spans
        for first, last in _without((span.start, span.end), lived)
    ]
    return [*cut, *disabled]


# --- spans and minutes --------------------------------------------------------------------------


def _joined(spans: Iterable[Time]) -> list[Time]:
    joined: list[Time] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        elif start < end:
            joined.append((start, end))
    return joined


def _without(span: Time, taken: Iterable[Span]) -> list[Time]:
    start, stop = span
    left = []
    for first, last in _joined((one.start, one.end) for one in taken):
        if last <= start or first >= stop:
            continue
        if first > start:
            left.append((start, first))
        start = max(start, last)
    return [*left, (start, stop)] if start < stop else left


class _Page:
    """Minutes ``first`` to ``last`` since 1970, painted over from the lowest state up."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._count = first, max(0, last - first)
        self._words: dict[tuple[str, str], int] = {}
        self._codes = array("L", [self._code("lost", UNTOLD)]) * self._count

    def paint(self, spans: Iterable[Span]) -> None:
        """The minutes that a span fills for the most part."""
        half = MINUTE_US // 2
        for span in spans:
            if span.end - span.start < half:
                continue
            self._fill(
                (span.start + half) // MINUTE_US,
                (span.end + half) // MINUTE_US,
                span.state,
                span.reason,
            )

    def touch(self, start: int, end: int, state: str, reason: str) -> None:
        """The minutes that a time has any part in; a moment has its minute."""
        self._fill(start // MINUTE_US, max(start, end - 1) // MINUTE_US + 1, state, reason)

    def read(self) -> list[Span]:
        """What it says, neighbours joined."""
        words = list(self._words)
        spans: list[Span] = []
        begun = 0
        for index in range(1, self._count + 1):
            if index == self._count or self._codes[index] != self._codes[begun]:
                start, end = (self._first + begun) * MINUTE_US, (self._first + index) * MINUTE_US
                spans.append(Span(start, end, *words[self._codes[begun]]))
                begun = index
        return spans

    def _fill(self, first: int, last: int, state: str, reason: str) -> None:
        first = max(0, first - self._first)
        last = min(self._count, last - self._first)
        if first < last:
            code = self._code(state, reason)
            self._codes[first:last] = array("L", [code]) * (last - first)

    def _code(self, state: str, reason: str) -> int:
        return self._words.setdefault((state, reason), len(self._words))
