"""Reads one bucket: all of its history from the oldest event on, then what comes.

How the server answers (seen on aw-server 0.12.0, see docs/adr/006-activitywatch.md) decides how it
is asked:

- An answer is cut to the range that was asked for. So a range is asked for with a margin before it,
  an event belongs to the page in which it *starts*, and one that reaches over the page's end is
  fetched by its id, whole.
- The margin also brings events without a duration: one that starts exactly where the range does is
  left out by the server.
- With a limit the newest come. So a page that is full is asked for again, half as long.
- The newest event of a bucket may still grow, also after a while (a queue of heartbeats that
  is sent late). It counts as finished when a newer one is there, or when it ended a while ago.

- What starts in the future (a clock that was set back) isn't asked for before its time has come.

Two times divide a bucket that has been read:

- Before ``_since``, the server's *number* of events is known. It is asked for each hour; if it is
  another one, something was put in or taken out (an import) and all is read again.
- From ``_since``, one to two hours ago, to ``_to``, the start of the newest event, ``_known`` holds
  where the rows of each event end. Each few minutes this is read again; what is new there or has
  become longer is written. The cursor has a digest of it: if that still holds after a restart,
  nothing is offered again. If not, all of it is, and the ids say what the lake has.
- From ``_to`` on it is read at each look.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import structlog

from collectors.aw_client import BadAnswer, Bucket, Server
from collectors.aw_events import AwEvent, Slicer, start_ms_of
from collectors.aw_page import Page, newest_ms, take
from lifelog_lake.clock import MIN_US, US_PER_S, Clock
from lifelog_lake.errors import InvalidEvent, Unavailable
from lifelog_lake.events import Event
from lifelog_lake.validate import JSON

PAGE_EVENTS = 2_000
MARGIN_MS = 5
FIRST_PAGE_MS = 86_400_000
LONGEST_PAGE_MS = 32 * 86_400_000
#: The newest event counts as finished so long after its end.
SETTLED_US = 15 * 60 * US_PER_S
LOOK_BACK_MS = 3_600_000
LOOK_BACK_EVERY_S = 300.0
COUNT_EVERY_S = 3_600.0
#: A moment that can't be read is passed over after so many tries.
TRIES = 3
BEGINNING_MS = MIN_US // 1000
MAX_REFUSED_BYTES = 256 * 1024
MAX_OPEN = 200
MOST_KNOWN = 2 * PAGE_EVENTS
#: Rows of one append, so that an event of months doesn't lie in memory as a whole.
APPEND_ROWS = 5_000


@dataclass(slots=True)
class Counts:
    """What isn't in the lake on purpose, and what was odd; since the bucket was first read.

    ``private`` and ``short`` events are left out by the settings, ``refused`` ones can't be rows,
    ``rewritten`` ones came or changed after they were done with.
    """

    private: int = 0
    short: int = 0
    refused: int = 0
    rewritten: int = 0


@dataclass(slots=True, kw_only=True)
class Sink:
    """Where rows and what can't be rows go. ``append`` is told whether the reader's cursor stands
    behind these rows; they may be none. ``exclude`` hears of private windows of the last hour, from
    when to when in µs, again while they stay open."""

    append: Callable[[list[Event], bool], None]
    refuse: Callable[[bytes, InvalidEvent], None]
    exclude: Callable[[int, int], None]


class BucketReader:
    """One bucket. ``cursor`` is what :attr:`cursor` was when its rows became durable."""

    def __init__(
        self,
        bucket: Bucket,
        server: Server,
        slicer: Slicer,
        sink: Sink,
        clock: Clock,
        cursor: JSON = None,
    ) -> None:
        self.bucket = bucket
        self._server = server
        self._slicer = slicer
        self._sink = sink
        self._clock = clock
        self._log = structlog.get_logger().bind(bucket=bucket.id)
        said = cursor if isinstance(cursor, dict) else {}
        to, known, counts = said.get("to"), said.get("open"), said.get("counts")
        since, count, digest = (said.get(name) for name in ("since", "count", "digest"))
        self._to: int | None = to if isinstance(to, int) else None
        self._since: int | None = since if isinstance(since, int) else None
        self._count: int | None = count if isinstance(count, int) else None
        self._recalled = (self._since, digest)
        #: Whether all events from ``_since`` to ``_to`` are known.
        self._complete = False
        self._counts_ranges: bool | None = None
        self._counted_s: float | None = None
        self._known: dict[str, int | None] = {
            key: end
            for key, end in (known.items() if isinstance(known, dict) else ())
            if isinstance(end, int)
        }
        self._counts = Counts()
        for name, count in counts.items() if isinstance(counts, dict) else ():
            if name in Counts.__slots__ and isinstance(count, int):
                setattr(self._counts, name, count)
        self.note = ""
        self._starts: dict[str, int] = {}
        self._refused: set[str] = set()
        self._from = self._to
        self._newest: int | None = None
        self._span_ms = FIRST_PAGE_MS
        self._failed = 0
        self._passed_ms = 1
        self._looked_back_s: float | None = None
        self._updated: str | None = None
        self._at_rest = False
        #: What the newest event says, once one was read.
        self.newest: Mapping[str, JSON] = {}

    @property
    def cursor(self) -> dict[str, JSON]:
        """How far it has come; goes into the append that brings the rows."""
        open_: dict[str, JSON] = {
            key: end
            for key, end in self._known.items()
            if end is not None and self._starts.get(key, self._to or 0) >= (self._to or 0)
        }
        return {
            "to": self._to,
            "open": dict(list(open_.items())[-MAX_OPEN:]),
            "since": self._since,
            "count": self._count,
            "digest": self._digest() if self._complete else None,
            "counts": asdict(self._counts),
        }

    @property
    def behind(self) -> bool:
        """Whether there is history that hasn't been read yet."""
        return self._newest is not None

    @property
    def span_ms(self) -> tuple[int, int, int] | None:
        """Of history that is being read: its begin, how far it is, its end. None when done."""
        if self._newest is None or self._to is None:
            return None
        return (self._to if self._from is None else self._from), self._to, self._newest

    def turn(self) -> None:
        """Read once: a page of history, or what is new. One to a few requests.

        Raises :class:`~lifelog_lake.errors.Unavailable` and :class:`BadAnswer`; nothing is lost.
        """
        if self._newest is None:
            self._read_new()
        else:
            try:
                self._read_page(self._newest)
            except Unavailable:  # perhaps a shorter page comes in time
                self._span_ms = max(self._span_ms // 2, 1)
                raise
            except BadAnswer:
                self._halve()
                raise

    # --- what is new --------------------------------------------------------------------------

    def _read_new(self) -> None:
        now_s, now = self._clock.monotonic_s(), self._now_ms()
        if self._to is not None and self._to > now:  # read while the clock was ahead
            self._to, self._looked_back_s, self._counted_s = now - LOOK_BACK_MS, None, None
        look_back = self._looked_back_s is None or now_s - self._looked_back_s >= LOOK_BACK_EVERY_S
        updated = self.bucket.updated
        if not look_back and self._at_rest and updated is not None and updated == self._updated:
            return  # the server's list says that nothing has come
        begin, past = self._to, None
        if begin is not None and look_back:
            if self._counted_s is None or now_s - self._counted_s >= COUNT_EVERY_S:
                if self._past_differs():
                    self._begin_history(begin, begin)
                    return
                past = self._past(begin)
            begin = min(begin, now - LOOK_BACK_MS if self._since is None else self._since)
        end = now + 1
        try:
            raw = self._events(begin, end)
        except BadAnswer:  # too much, or one that the server can't give: go on page by page
            self._looked_back_s = now_s
            newest = newest_ms(self._server.events(self.bucket.id, limit=1, end=end), now)
            self._begin_history(newest, self._to)
            raise
        if raw and (self._to is None or self._overflows(raw, self._to)):
            self._begin_history(newest_ms(raw, now), self._to)
            if self._newest != self._to:
                return
            self._newest = None  # more than a page begins at the newest ms: what came is taken
        page = self._page(raw, begin, end)
        if past is not None:
            self._counted_s = now_s
            if past[1] is not None or not self._counts_ranges:
                self._since, self._count = past
        self._write(page, whole=look_back)
        if look_back:
            self._complete = len(raw) <= PAGE_EVENTS
        # The newest event's end: one that lies ahead says nothing of those before it.
        self._updated = updated if (start_ms_of({"timestamp": updated}) or 0) <= now else None
        if look_back:
            self._looked_back_s = now_s

    def _past_differs(self) -> bool:
        """Whether there aren't as many events before ``_since`` as when they were read."""
        if self._since is None or self._count is None:
            return False
        count = self._count_until(self._since)
        return count is not None and count != self._count

    def _past(self, to: int) -> tuple[int, int | None]:
        """A new ``_since``, with its number of events; asked for before they are read."""
        since = min(to, self._now_ms() - LOOK_BACK_MS)
        return since, self._count_until(since)

    def _count_until(self, ms: int) -> int | None:
        """None if the server can't say; another one than aw-server may count without a range."""
        try:
            if self._counts_ranges is None:
                self._counts_ranges = self._server.count(self.bucket.id, end=BEGINNING_MS) == 0
            return self._server.count(self.bucket.id, end=ms) if self._counts_ranges else None
        except BadAnswer:
            return None

    def _events(self, begin: int | None, end: int) -> list[object]:
        start = None if begin is None else max(begin - MARGIN_MS, BEGINNING_MS)
        return self._server.events(self.bucket.id, limit=PAGE_EVENTS + 1, start=start, end=end)

    @staticmethod
    def _overflows(raw: Sequence[object], begin: int) -> bool:
        """Whether a full answer doesn't reach back to ``begin``: its oldest event starts later.

        Long events from before don't count: the newest starts come first.
        """
        if len(raw) <= PAGE_EVENTS:
            return False
        oldest = start_ms_of(raw[-1])
        return oldest is None or oldest >= begin

    # --- history ------------------------------------------------------------------------------

    def _begin_history(self, newest: int, begin: int | None) -> None:
        """Read page by page up to the newest event, from the oldest one if ``begin`` is None."""
        if begin is not None and self._past_differs():
            self._log.info("read_again")
            begin = None
        since, count = self._past(newest)
        begin = self._oldest_ms(newest) if begin is None else begin
        self._since, self._count = since, count
        self._complete = self._complete or begin <= since
        self._from = self._to = begin
        self._newest = newest

    def _oldest_ms(self, newest: int) -> int:
        """A time at most an hour before the oldest event; found by halving."""
        low, high = BEGINNING_MS, newest
        while high - low > 3_600_000:
            middle = (low + high) // 2
            if self._server.events(self.bucket.id, limit=1, end=middle):
                high = middle
            else:
                low = middle
        return low

    def _read_page(self, newest: int) -> None:
        assert self._to is not None
        begin = self._to
        end = min(begin + self._span_ms, newest)
        if end <= begin:
            self._newest = None
            self._read_new()
            return
        raw = self._server.events(
            self.bucket.id,
            limit=PAGE_EVENTS + 1,
            start=max(begin - MARGIN_MS, BEGINNING_MS),
            end=end,
        )
        too_many = self._overflows(raw, begin)
        if too_many and end - begin > 1:
            self._span_ms = max((end - begin) // 2, 1)
            return
        page = self._page(raw, begin, end)
        if too_many:
            page.bad.append({"more than a page at this ms": begin})
            page.why = InvalidEvent(f"More than {PAGE_EVENTS} events start in one ms.")
        self._to = end
        self._write(page, whole=False, history=True)
        self._failed, self._passed_ms = 0, 1
        if len(page.events) < PAGE_EVENTS // 4:
            self._span_ms = min(2 * self._span_ms, LONGEST_PAGE_MS)

    def _halve(self) -> None:
        """After a page that couldn't be read: a shorter one next time. What can't be read even for
        itself is passed over, on record, so that it doesn't hold up all that follows."""
        self._span_ms = max(self._span_ms // 2, 1)
        self._failed = self._failed + 1 if self._span_ms == 1 else 0
        if self._failed <= TRIES or self._to is None:
            return
        # One that can't give even nothing is in trouble as a whole: its events are still to come.
        self._server.events(self.bucket.id, limit=1, end=BEGINNING_MS)
        span = {"passed over from ms": self._to, "to ms": self._to + self._passed_ms}
        self._refuse([span], InvalidEvent("The server can't give the events of this time."))
        self._to += self._passed_ms
        self._passed_ms *= 2
        self._sink.append([], True)

    # --- taking in ----------------------------------------------------------------------------

    def _page(self, raw: Sequence[object], begin: int | None, end: int) -> Page:
        return take(self._server, self.bucket.id, raw, begin, end, self._clock)

    def _write(self, page: Page, *, whole: bool, history: bool = False) -> None:
        """Write what the page brings. ``whole``: it holds all that is to be known; ``history``:
        newer events are there, so all of these are finished."""
        now = self._clock.wall_us()
        events = page.events
        if whole and not self._complete:
            self._recall(events)
        newest = max((event.start for event in events), default=None)
        self._tell_newest(events)
        self._tell_excluded(events, now)
        rows: list[Event] = []
        known: dict[str, int | None] = {}
        starts: dict[str, int] = {}
        changed = 0
        at_rest = True
        for event in events:
            key = event.key
            done = history or event.start < (newest or 0) or event.end + SETTLED_US <= now
            before = written = self._known.get(key)
            try:
                for row in self._slicer.rows(event, before, finished=done):
                    rows.append(row)
                    written = row.end
                    if len(rows) >= APPEND_ROWS:
                        self._sink.append(rows, False)
                        rows = []
            except InvalidEvent as error:
                page.bad.append({"timestamp": event.start_ms, "data": event.data})
                page.why = page.why or error
                continue
            if not history and self._to is not None and event.start_ms < self._to:
                changed += self._is_changed(event, before)
            elif done and written is None:
                self._count_left_out(event)
            at_rest = at_rest and done
            known[key], starts[key] = written, event.start_ms
        self._refuse(page.bad, page.why)
        if history:
            recent = [key for key, at in starts.items() if at >= (self._since or 0)]
            self._known |= {key: known[key] for key in recent}
            self._starts |= {key: starts[key] for key in recent}
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
                self._starts.clear()
                self._complete = False
        else:
            self._known = known if whole else {**self._known, **known}
            self._starts = starts if whole else {**self._starts, **starts}
            self._at_rest = at_rest
            if newest is not None:
                self._to = max(newest // 1000, self._to or BEGINNING_MS)
        if whole:
            self._say_changed(changed)
        self._sink.append(rows, True)

    def _tell_newest(self, events: Sequence[AwEvent]) -> None:
        if events:
            self.newest = max(events, key=lambda event: event.start).data

    def _tell_excluded(self, events: Sequence[AwEvent], now: int) -> None:
        for event in events:
            if self._slicer.hides(event) and event.end > now - LOOK_BACK_MS * 1000:
                self._sink.exclude(event.start, event.end)

    def _is_changed(self, event: AwEvent, before: int | None) -> bool:
        """Whether an event that was done with isn't as it was, as far as that is known."""
        if not self._complete:
            return False
        if event.key not in self._known:
            return True
        return before is not None and before != event.end

    def _digest(self) -> str:
        """Of the events from ``_since`` to ``_to`` and where their rows end."""
        to = self._to or 0
        return _digest_of(
            {
                key: end
                for key, end in self._known.items()
                if (self._since or 0) <= self._starts.get(key, to) < to
            }
        )

    def _recall(self, events: Sequence[AwEvent]) -> None:
        """Know again what was written before a restart, if the server's events are still so."""
        (since, digest), self._recalled = self._recalled, (None, None)
        if since is None or self._to is None:
            return
        found = [event for event in events if since <= event.start_ms < self._to]
        known = {e.key: e.end if self._slicer.wanted(e) else None for e in found}
        if _digest_of(known) == digest:
            self._known |= known
            self._complete = True

    def _say_changed(self, changed: int) -> None:
        self._counts.rewritten += changed
        self.note = _changed_words(changed, self.bucket.id) if changed else ""
        if changed:
            self._log.warning("past_changed", count=changed)

    def _count_left_out(self, event: AwEvent) -> None:
        if event.private:
            self._counts.private += 1
        else:
            self._counts.short += 1

    def _refuse(self, bad: Sequence[object], why: InvalidEvent | None) -> None:
        """Quarantine what hasn't been already; one file for all of an answer."""
        texts = [_text(item) for item in bad]
        fresh = [text for text in texts if text not in self._refused]
        if not fresh or why is None:
            return
        if len(self._refused) > 10 * PAGE_EVENTS:
            self._refused.clear()
        self._refused.update(fresh)
        self._counts.refused += len(fresh)
        payload = "\n".join(fresh).encode("utf-8", "replace")[:MAX_REFUSED_BYTES]
        error = InvalidEvent(
            f"{len(fresh)} events of the bucket {self.bucket.id} can't be rows; the first: {why}"
        )
        self._sink.refuse(payload, error)

    def _now_ms(self) -> int:
        return self._clock.wall_us() // 1000


def _digest_of(known: Mapping[str, int | None]) -> str:
    lines = "\n".join(sorted(f"{key} {end}" for key, end in known.items()))
    return hashlib.blake2b(lines.encode(), digest_size=9).hexdigest()


def _text(item: object) -> str:
    try:
        return json.dumps(item)
    except (ValueError, RecursionError):
        return "an item that can't be written"


def _changed_words(count: int, bucket: str) -> str:
    return (
        f"{count} past events of {bucket} came late or were changed: what they have more is added, "
        "what was recorded before stays."
    )
