"""The lake as a person reads it: ``lake = lifelog_lake.open_lake()``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Literal

import polars as pl
import tzlocal

from lifelog_lake.clock import MAX_US, MIN_US, Clock, SystemClock, utc
from lifelog_lake.config import default_home
from lifelog_lake.errors import LakeDamaged, LakeUnreachable, MissingExtra, UsageError
from lifelog_lake.events import STREAMS
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import parse_url, read_identity, require_known
from lifelog_lake.lake.identity import LakeIdentity
from lifelog_lake.lake.store import Store, blob_key
from lifelog_lake.recall.coverage import coverage
from lifelog_lake.recall.days import app_days, days
from lifelog_lake.recall.journal.standing import JOURNAL, Standing
from lifelog_lake.recall.journal.standing import STREAMS as WRITTEN
from lifelog_lake.recall.pending import pending
from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.summary import as_html, summary
from lifelog_lake.recall.tables import Tables, scan
from lifelog_lake.recall.timeline import reach, span, timeline
from lifelog_lake.recall.usage import usage

if TYPE_CHECKING:
    from lifelog_lake.recall.search.find import Finder

#: Streams in which the system speaks of itself.
_ABOUT_ITSELF = frozenset({"pulse", "lifecycle", "alert"})


def open_lake(url: str | None = None) -> Lake:
    """Open a lake for reading; None means the lake of this home (``LIFELOG_HOME``).

    Raises :class:`~lifelog_lake.errors.LakeUnreachable` if there is none.
    """
    if url is None:
        home = open_home()
        known = parse_url(home.lake_url, home)
        return Lake(known, require_known(home, known), home)
    target = parse_url(url)
    identity = read_identity(target)
    if identity is None:
        raise LakeUnreachable(
            f"There is no lake at {target.url}.", hint="Check the address and the mount."
        )
    return Lake(target, identity)


class Lake:
    """A lake, open for reading: each call sees the newest rows. Several threads may share one."""

    def __init__(self, target: Store, identity: LakeIdentity, home: Home | None = None) -> None:
        self._target = target
        self._identity = identity
        self._home = home
        self._tables = Tables(target)
        self._standing: Standing | None = None
        self._making = threading.Lock()
        self._finder: Finder | None = None

    def __repr__(self) -> str:
        return f"Lake({self._target.url!r}, generation {self._identity.generation})"

    @property
    def url(self) -> str:
        """Its address."""
        return self._target.url

    @property
    def store(self) -> Store:
        """Where it lies, for what reads its objects by their keys."""
        return self._target

    @property
    def demo(self) -> Mapping[str, object] | None:
        """What ``lifelog demo`` filled it with; None for a lake of real days."""
        return self._identity.demo

    def streams(self) -> list[str]:
        """Names of the streams that have a table.

        Raises :class:`~lifelog_lake.errors.LakeUnreachable` if the lake has gone since it was
        opened: the empty directory of an unmounted disk must not pass for one without rows.
        """
        names = self._target.streams()
        if not names and read_identity(self._target) is None:
            raise LakeUnreachable(
                f"There is no lake at {self._target.url} any more.", hint="Mount its disk."
            )
        return names

    def scan(self, stream: str) -> pl.LazyFrame:
        """All rows of a stream, lazily: filter on ``date`` or ``at`` to read only those days.

        A stream without a table gives an empty frame of its schema. Raises
        :class:`~lifelog_lake.errors.UsageError` for a name that is neither.
        """
        there = stream in self.streams()
        if not there and stream not in STREAMS:
            raise UsageError(
                f"There is no stream '{stream}'.", hint=f"The streams are: {', '.join(STREAMS)}."
            )
        if not there:
            return pl.LazyFrame(schema=polars_schema(stream))
        rows = scan(self._target, stream)
        if stream not in STREAMS:
            return rows
        # Asking the frame itself would tie it to the version that is there now.
        missing = self._tables.of(stream).missing
        return rows.with_columns(pl.lit(None, type_).alias(n) for n, type_ in missing.items())

    def rows(self, stream: str, start: datetime, end: datetime) -> pl.LazyFrame:
        """The rows of a stream that overlap a range (aware times, ``end`` exclusive), lazily.

        Slices stay slices, of the journal there is every revision, in no order. Other than a
        filtered :meth:`scan` it never looks at files of other days, unless rows in them last into
        the range: collect it soon, vacuum may remove files a week after they were replaced.
        """
        if stream not in self.streams():
            return self.scan(stream)
        return self._tables.of(stream).rows(start, end, reach(stream))

    def timeline(
        self,
        start: datetime | date | str,
        end: datetime | date | str | None = None,
        streams: Sequence[str] | str | None = None,
        devices: Sequence[str] | str | None = None,
    ) -> pl.DataFrame:
        """What happened between two times, one row an event, in the order of ``at``.

        ``start`` and ``end`` (exclusive) are aware datetimes, dates or ISO texts; a date or a text
        without a zone is local time, ``"today"`` and ``"yesterday"`` are days; without ``end`` it
        is the whole day of ``start``. ``streams`` and ``devices`` are one name or several; without
        them it is every device and all streams but pulses and what is derived from others. Slices
        are joined to events. Entries and their files are as they stand now (see :meth:`entries`).

        Columns: stream, device, id, at and end (UTC; no end is a moment), label (the stream as a
        person reads it), text (the event in a few words), blob (sha256), blob_bytes, media_type,
        duration, app, title, url, tz (zone of the device then), time_quality (``checked`` by the
        store's clock, ``corrected`` by it, or ``unknown``), local (``at`` by this machine's clock).
        Raises :class:`~lifelog_lake.errors.UsageError` for what is no time or no stream.
        """
        there = self.streams()
        if self._home is not None:  # what this home wrote may not be in a table yet
            there = [*there, *(name for name in sorted(WRITTEN) if name not in there)]
        return timeline(self._tables, there, start, end, streams, devices, self.standing)

    def standing(self) -> Standing:
        """Entries and files as they stand; several threads may share it."""
        with self._making:
            if self._standing is None:
                self._standing = Standing(self._target, self._home)
            return self._standing

    def entries(
        self, start: datetime | date | str | None = None, end: datetime | date | str | None = None
    ) -> pl.DataFrame:
        """The journal's entries as they stand, the oldest first.

        Each is its newest revision; deleted ones are gone. The range of ``at`` is as in
        :meth:`timeline`; without ``start`` it is all of them. In the home's own lake those are
        there, too, that wait in the spool. Columns: id, device (that wrote it last), at (UTC), end,
        tz, created_at, updated_at, title, description, tags, metadata (JSON or null), files (key,
        name, media_type, size_bytes, sha256). ``scan("journal")`` has every revision.
        """
        self.streams()  # says so if the lake has gone
        if start is None:
            first, last = utc(MIN_US), utc(MAX_US)
        else:
            first, last = span(start, end)
        return self.standing().entries(first, last)

    def coverage(
        self,
        start: datetime | date | str,
        end: datetime | date | str | None = None,
        streams: Sequence[str] | str | None = None,
        devices: Sequence[str] | str | None = None,
        *,
        clock: Clock | None = None,
    ) -> pl.DataFrame:
        """What was recorded between two times and why not, to the minute; up to now at most.

        The range, ``streams`` and ``devices`` are as in :meth:`timeline`; without them it is every
        stream that a collector ever had on a device. Of each device and stream every minute is in
        just one row and so in one state: *captured, idle* (observed, nothing to record), *paused,
        excluded, suspended, off* (shut down, or the stream disabled), *pending* (not shipped yet)
        or *lost*; see :mod:`lifelog_lake.ledger`.

        Columns: device, stream, at and end (UTC, whole minutes), state, reason, minutes.
        """
        now_us = (clock or SystemClock()).wall_us()
        return coverage(self.scan, self.rows, start, end, streams, devices, now_us)

    def search(
        self,
        query: str = "",
        *,
        streams: Sequence[str] | str | None = None,
        devices: Sequence[str] | str | None = None,
        tags: Sequence[str] | str | None = None,
        match: Literal["all", "any"] = "all",
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
        order: Literal["best", "newest"] = "best",
        recency_days: float = 0.0,
        limit: int = 50,
        semantic: bool = False,
    ) -> pl.DataFrame:
        """Find events by what was written in them, the best hit first or the newest.

        The language of ``query`` is that of the search page (docs/search.md); it may be empty if
        something else narrows the search. ``tags`` must all be there, or any of them; ``start`` and
        ``end`` (exclusive) bound when an event began, as in :meth:`timeline`. With ``recency_days``
        the rank falls with age towards its half, half of the way in that time. The index below the
        home (``index/search``) is brought up to date first, which takes a while the first time.
        ``semantic`` also finds what is near in meaning, if ``[search] semantic`` is on.

        Columns: stream, label, device, id, at and end (UTC), title, snippet, marks (places in it:
        from, to), app, url, site, tags, tz, blob, score, similarity (of what is near in meaning, -1
        to 1), local (``at`` by this machine's clock).
        Raises :class:`~lifelog_lake.recall.search.query.QueryError` with a ``position`` for a query
        that doesn't parse, and another :class:`~lifelog_lake.errors.UsageError` for a wrong option.
        """
        from lifelog_lake.recall.search.frame import as_frame
        from lifelog_lake.recall.search.request import request

        asked = request(
            query, streams, devices, tags, match, start, end, order, recency_days, limit, semantic
        )
        finder = self.finder()
        asked.node()  # what is wrong is said before the index is made
        finder.refresh()
        return as_frame(finder.find(asked))

    def finder(self) -> Finder:
        """What answers searches, with pages and facets; one a lake.

        Raises :class:`~lifelog_lake.errors.MissingExtra` where searching isn't installed.
        """
        with self._making:
            if self._finder is None:
                try:
                    from lifelog_lake.recall.meaning.nearest import meaning_of
                    from lifelog_lake.recall.search.find import Finder
                except ModuleNotFoundError as error:
                    if error.name != "tantivy":
                        raise
                    raise MissingExtra("Searching the lake", "hub") from error
                home = self._home
                if home is None:
                    self._finder = Finder(default_home(), self._target)
                else:
                    self._finder = Finder(
                        home.path,
                        self._target,
                        meaning=meaning_of(home, self._target),
                        outlet=partial(pending, home),
                    )
            return self._finder

    def last_day(self) -> date | None:
        """The newest day, by this machine's clock, on which anything was captured; or None.

        What the system tells of itself (pulses, lifecycle, alerts) and what is derived from other
        rows doesn't count.
        """
        names = [
            name
            for name in self.streams()
            if name in STREAMS and name not in _ABOUT_ITSELF and not STREAMS[name].derived
        ]
        newest = self.newest_at(names)
        return None if newest is None else newest.astimezone(tzlocal.get_localzone()).date()

    def newest_at(self, streams: Sequence[str]) -> datetime | None:
        """When the newest row of some streams began (UTC), by the logs alone; None without rows.

        Entries of a time to come don't count.
        """
        names = [name for name in self.streams() if name in streams]
        now = datetime.now(UTC)
        newest = None
        for name, contents in zip(names, self._tables.of_all(names), strict=True):
            began = contents.files["last_at"]
            at = (began.filter(began <= now) if name == JOURNAL else began).max()
            if isinstance(at, datetime) and (newest is None or at > newest):
                newest = at
        return newest

    def oldest_at(self, streams: Sequence[str]) -> datetime | None:
        """When the oldest row of some streams began (UTC), by the logs alone; None without rows.

        Where a log doesn't tell, the beginning of its file's day.
        """
        names = [name for name in self.streams() if name in streams]
        day = pl.col("date").cast(pl.Datetime("us", "UTC"))
        found = [
            contents.files.select(pl.coalesce("first_at", day).min()).item()
            for contents in self._tables.of_all(names)
        ]
        return min((at for at in found if isinstance(at, datetime)), default=None)

    def usage(
        self,
        start: datetime | date | str,
        end: datetime | date | str | None = None,
        by: str | Sequence[str] = "app",
        *,
        afk: bool = False,
        devices: Sequence[str] | str | None = None,
    ) -> pl.DataFrame:
        """Where the time of a range went: ``time`` (a duration) by one or several columns.

        The range is as in :meth:`timeline`. ``by`` is of ``app``, ``title`` (of windows), ``site``
        (of the pages in front), ``device``, ``day``, ``weekday`` (1 is Monday) and ``hour``, the
        last three by this machine's clock. Time away is left out, unless ``afk`` says to count it;
        a device that never told of presence in the range counts whole. Two devices in use at once
        count both. The longest time comes first.

        Raises :class:`~lifelog_lake.errors.UsageError` for a range or a column that there isn't.
        """
        return usage(self.rows, start, end, by, afk=afk, devices=devices)

    def days(
        self,
        start: date | str,
        end: date | str | None = None,
        streams: Sequence[str] | str | None = None,
        devices: Sequence[str] | str | None = None,
    ) -> pl.DataFrame:
        """What the lake holds by day (UTC), stream and device, from the daily summaries.

        They are made by the hub now and then: what was shipped since isn't in them. ``start`` and
        ``end`` (exclusive) are days; without ``end`` it is one day. Columns: date, stream, device,
        rows, contents and blob_bytes (of the content that events name; what several events share
        counts each time), first_at and last_at (when the first and the last row began). Raises
        :class:`~lifelog_lake.errors.UsageError` if there are no summaries yet.
        """
        return days(self._target, start, end, streams, devices)

    def app_days(
        self,
        start: datetime | date | str,
        end: datetime | date | str | None = None,
        *,
        devices: Sequence[str] | str | None = None,
    ) -> pl.DataFrame:
        """Time by day, device and program without the time away, from the daily summaries.

        The same as ``usage(start, end, by=("day", "device", "app"))`` when the summaries were
        made, in a fraction of its time. Days are by this machine's clock, the range is as in
        :meth:`timeline`, to the quarter of an hour. Columns: day, device, app, time.
        """
        return app_days(self._target, start, end, devices)

    def summary(self) -> pl.DataFrame:
        """What the lake holds, one row a stream; in a notebook the lake itself shows this as HTML.

        Columns: stream, label, rows, first_at and last_at (UTC), lag (since last_at), files,
        data_bytes (of the tables' files), blob_bytes (of the content that events name; what several
        events share counts each time), devices: of each device that recorded within 31 days of the
        newest row its name, last_at, lag and ingested_at (when the newest row came in).
        """
        streams = self.streams()
        found = self._tables.of_all(streams)
        return summary(dict(zip(streams, found, strict=True)))

    def _repr_html_(self) -> str:
        return as_html(self.summary(), self.url, self._identity.generation, self.demo)

    def devices(self) -> list[str]:
        """Every device that has a row."""
        names = [name for name in self.streams() if "device" in self._tables.of(name).stored]
        frames = [self.scan(name).select("device").unique() for name in names]
        if not frames:
            return []
        return sorted(pl.concat(frames).unique().collect()["device"].drop_nulls().to_list())

    def blob(self, sha256: str) -> BinaryIO:
        """Open content by its hash, seekable, positioned at its beginning.

        In the home's own lake also that of a file of an entry that hasn't been shipped yet.
        Raises :class:`~lifelog_lake.errors.UsageError` for what is no hash and
        :class:`~lifelog_lake.errors.LakeDamaged` if it isn't in the lake.
        """
        if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise UsageError("A blob is named by 64 lower-case hexadecimal digits.")

        def there() -> BinaryIO | None:
            with contextlib.suppress(FileNotFoundError):
                return self._target.open(blob_key(sha256))
            return None

        found = there()
        if found is None and self._home is not None:
            # What was shipped between the two looks is there at the third one.
            found = self.standing().waiting(sha256) or there()
        if found is not None:
            return found
        raise LakeDamaged(
            f"Blob {sha256} isn't in the lake.", hint="lifelog verify tells which rows need it."
        )
