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
from collections.abc import Iterable

from lifelog_lake.clock import US_PER_S
from lifelog_lake.life import FOREVER, STOPPED, Life, Span, Time, entries_of, joined, without

MINUTE_US = 60 * US_PER_S
#: In the order of their precedence.
STATES = ("off", "suspended", "paused", "excluded", "captured", "idle", "pending", "lost")
#: States of a collector in a pulse that say nothing against its being observed.
OBSERVING = frozenset({"running", "starting", "paused", "stopping", "stopped"})

NOT_YET = "lifelog wasn't set up yet"
DISABLED = "disabled in the settings"
NOTHING_NEW = "observed; nothing to record"
NOT_SHIPPED = "the device hasn't shipped it yet"
UNTOLD = "enabled, and nothing tells of it"


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
        for part in without((piece[0], min(piece[1], pending_from)), gaps)
    ]
    for first, last in observed:  # of a minute in pieces, none of which is most of it
        page.touch(first, last, "idle", NOTHING_NEW)
    page.paint([*_crashes(life), *gaps])
    page.paint([Span(pending_from, FOREVER, "pending", NOT_SHIPPED)])
    page.paint(Span(first, last, "idle", NOTHING_NEW) for first, last in joined(observed))
    for first, last, why in blank:
        page.touch(first, last, "idle", why)
    for first, last in rows:
        page.touch(first, last, "captured", "")
    page.paint([*life.excluded.get(stream, ()), *life.excluded.get(None, ())])
    page.paint(life.paused)
    page.paint(life.suspended)
    page.paint(_off(life, stream))
    return page.read()


# --- what a life means for a stream -------------------------------------------------------------


def _open_gaps(life: Life, stream: str) -> list[Span]:
    """What a run's last pulse says isn't observed: of one that ended in order a row tells it."""
    gaps = []
    for run in life.runs:
        if run.last_pulse is None or run.ended == "stopped":
            continue
        for entry in entries_of(run.last_pulse).get(stream, ()):
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
        entries = entries_of(run.pulse)
        states = {one["state"] for one in entries.get(stream, ())}
        if entries and states <= {"disabled"}:
            stop = until if run.end is None or run.ended == "crashed" else run.end
            disabled.append(Span(run.start, stop, "off", DISABLED if states else NOT_YET))
    # Where a clock that was wrong tells of a time that a run tells of too, the run counts.
    cut = [
        Span(first, last, "off", span.reason)
        for span in spans
        for first, last in without((span.start, span.end), lived)
    ]
    return [*cut, *disabled]


# --- minutes ------------------------------------------------------------------------------------


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
