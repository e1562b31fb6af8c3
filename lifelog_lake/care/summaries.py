"""Daily summaries, kept up: only days that the tables' logs name as changed are worked out again.

How far each log was read is committed with the last month of a run. Months before it stand without
that, so a run that is killed only has them worked out once more, with the same result. What is
read is at least as new as what is marked as read.

A damaged data file is left out and told, and nothing of its stream is marked as read: each run
tells it again, and the first after its repair sums it. A table that can't be read is told; the
others are summed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from lifelog_lake.care.days_table import DaysTable
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.care.trouble import told, worded
from lifelog_lake.clock import Clock
from lifelog_lake.errors import CommitConflict, Terminal, Transient
from lifelog_lake.events import STREAMS
from lifelog_lake.home import Home
from lifelog_lake.lake import datafile, require_known
from lifelog_lake.lake.store import Store
from lifelog_lake.recall.days import APP, SCHEMA
from lifelog_lake.recall.follow import Place, changes, place_of
from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.tables import Contents, Tables
from lifelog_lake.recall.timeline import reach
from lifelog_lake.recall.usage import by_quarter, told_of_presence

JOB = "summaries"
#: Raised when the same rows give other summaries: everything is worked out again then.
VERSION = 1
MOST_CONFLICTS = 20
_DAY = timedelta(days=1)
_KEYS = ("date", "device")
#: What either sums takes the rows of both.
_PAIR = frozenset(("window", "afk"))

#: Days to work out again, by stream.
Touched = Mapping[str, set[date]]


@worded
def run(home: Home, store: Store, clock: Clock) -> Outcome:
    """Bring the summaries up to date; see the package for what a job promises.

    Raises :class:`~lifelog_lake.errors.LakeUnreachable` if the lake isn't there.
    """
    del clock  # days are the rows' own
    for _ in range(MOST_CONFLICTS):
        work, days = _Run(store), 0
        try:
            if require_known(home, store).is_settled:
                days = work.run()
        except CommitConflict:
            continue
        return Outcome(job=JOB, counts={"days summed": days}, findings=tuple(work.findings))
    raise Transient(
        f"{MOST_CONFLICTS} runs met another one.", hint="It is tried again with the next run."
    )


class _Run:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables = Tables(store)
        self._there = {name for name in store.streams() if _is_summed(name)}
        self._places: dict[str, Place] = {}
        self._left_out: dict[str, set[str]] = defaultdict(set)
        self.findings: list[str] = []

    def run(self) -> int:
        """How many days were worked out."""
        if not self._there:
            return 0
        table = DaysTable(self._store)
        touched = self._touched(table)
        months = _by_month(touched)
        if not months:
            table.mark(self._marks())
        for number, (month, streams) in enumerate(months.items(), 1):
            kept = table.rows(month).filter(~_is_among(streams))
            rows = pl.concat([kept, *self._worked_out(month, streams)])
            marks = self._marks() if number == len(months) else {}
            table.replace(month, rows.sort("date", "stream", "device"), marks)
        if self._marks():
            table.tidy()
        return len({day for days in touched.values() for day in days})

    def _touched(self, table: DaysTable) -> Touched:
        """Follow every log to its end; what is read of it later is at least as new."""
        touched: dict[str, set[date]] = {}
        for stream in sorted(self._there):
            with told(stream, self.findings):
                touched[stream], whole = self._followed(table, stream)
                if whole:
                    touched[stream] |= table.dates_of(stream)
        if not self._there & _PAIR <= touched.keys():
            for name in _PAIR:
                touched.pop(name, None)
        self._places = {name: at for name, at in self._places.items() if name in touched}
        both = touched.get("window", set()) | touched.get("afk", set())
        return touched | {name: both for name in _PAIR if name in touched}

    def _followed(self, table: DaysTable, stream: str) -> tuple[set[date], bool]:
        """Days on which something changed in a table, and whether it is another table by now."""
        days: set[date] = set()
        whole = False
        place = place_of(table.watermark, _mark_of(stream))
        while (found := changes(self._store, self._tables, stream, place)) is not None:
            days |= found.days
            whole |= found.whole
            if stream in _PAIR:  # a row counts on each day it lasts into
                for file in found.files:
                    days.update(_dates(file.day, file.last_day))
                days.update(day + _DAY for day in found.rewritten)
            self._places[stream] = place = found.place
        return days, whole

    def _marks(self) -> dict[str, int]:
        """How far each log was read, but of streams of which something had to be left out."""
        anew = set(self._left_out)
        if anew & _PAIR:
            anew |= _PAIR
        marks: dict[str, int] = {}
        for stream in self._places.keys() - anew:
            marks |= self._places[stream].marks(_mark_of(stream))
        return marks

    def _worked_out(self, month: str, streams: Touched) -> Iterator[pl.DataFrame]:
        for stream, days in streams.items():
            yield (
                self._sparing(stream, days, self._summed)
                .with_columns(
                    pl.lit(stream).alias("stream"),
                    pl.lit(month).alias("month"),
                    pl.col("rows", "contents", "blob_bytes").fill_null(0),
                )
                .match_to_schema(SCHEMA, missing_columns="insert")
            )

    def _sparing(
        self,
        stream: str,
        days: Collection[date],
        work: Callable[[str, Collection[date]], pl.DataFrame],
    ) -> pl.DataFrame:
        """Do it without the data files that are damaged."""
        while True:
            try:
                return work(stream, days)
            except (pl.exceptions.PolarsError, OSError) as error:
                if not self._leave_out_damaged(stream, days):
                    raise Terminal(
                        f"The rows of '{stream}' can't be summed: {type(error).__name__}.",
                        hint="lifelog verify --read-data looks closer.",
                    ) from error

    def _leave_out_damaged(self, stream: str, days: Collection[date]) -> bool:
        """Whether there were any: of those days, else of others, whose rows may last into them."""
        streams = self._there & _PAIR if stream in _PAIR else {stream}
        for near in (True, False):
            found = False
            for name in sorted(streams):
                files = self._contents(name).files
                among = files["date"].is_in(sorted(days)) == near
                for path in files.filter(among)["path"]:
                    if not datafile.is_whole(self._store, name, path):
                        found = True
                        self._left_out[name].add(path)
                        self.findings.append(
                            f"The data file {name}/{path} can't be read; its rows aren't summed. "
                            "lifelog verify --read-data looks closer."
                        )
            if found:
                return True
        return False

    def _contents(self, stream: str) -> Contents:
        found = self._tables.of(stream)
        left_out = self._left_out.get(stream)
        if not left_out:
            return found
        return replace(found, files=found.files.filter(~pl.col("path").is_in(sorted(left_out))))

    def _summed(self, stream: str, days: Collection[date]) -> pl.DataFrame:
        rows = self._counted(stream, days)
        if stream == "window":
            rows = _joined(rows, self._apps(days))
        if stream == "afk":
            rows = _joined(rows, self._hosts(days))
        return rows

    def _counted(self, stream: str, days: Collection[date]) -> pl.DataFrame:
        # A slice names the content of its event's first once more.
        first = pl.col("cont").is_null() & pl.col("blob_bytes").is_not_null()
        return (
            self._contents(stream)
            .on(days)
            .group_by(_KEYS)
            .agg(
                rows=pl.len().cast(pl.Int64),
                contents=first.sum().cast(pl.Int64),
                blob_bytes=pl.col("blob_bytes").filter(first).sum(),
                first_at=pl.col("at").min(),
                last_at=pl.col("at").max(),
            )
            .collect()
        )

    def _apps(self, days: Collection[date]) -> pl.DataFrame:
        start, end = _midnight(min(days)), _midnight(max(days) + _DAY)
        found = by_quarter(self._rows, start, end).with_columns(date=pl.col("at").dt.date())
        return (
            found.filter(pl.col("date").is_in(sorted(days)))
            .sort("at", "host", "app")
            .group_by(_KEYS, maintain_order=True)
            .agg(apps=pl.struct(*APP.to_schema()))
        )

    def _hosts(self, days: Collection[date]) -> pl.DataFrame:
        start, end = _midnight(min(days)), _midnight(max(days) + _DAY)
        found = told_of_presence(self._rows, start, end)
        return (
            found.filter(pl.col("date").is_in(sorted(days)))
            .sort("host")
            .group_by(_KEYS, maintain_order=True)
            .agg(hosts=pl.col("host"))
        )

    def _rows(self, stream: str, start: datetime, end: datetime) -> pl.LazyFrame:
        if stream not in self._there:
            return pl.LazyFrame(schema=polars_schema(stream))
        return self._contents(stream).rows(start, end, reach(stream))


def _mark_of(stream: str) -> str:
    """The name under which the place in a stream's log is kept."""
    return f"{VERSION}<-{stream}"


def _is_summed(stream: str) -> bool:
    """Of streams that are made from others, nothing was recorded on a day."""
    return stream in STREAMS and not STREAMS[stream].derived


def _by_month(touched: Touched) -> dict[str, dict[str, set[date]]]:
    """The same by month (``2026-01``), in order."""
    months: dict[str, dict[str, set[date]]] = {}
    for stream, days in touched.items():
        for day in days:
            months.setdefault(f"{day:%Y-%m}", {}).setdefault(stream, set()).add(day)
    return dict(sorted(months.items()))


def _is_among(streams: Touched) -> pl.Expr:
    return pl.any_horizontal(
        [
            (pl.col("stream") == name) & pl.col("date").is_in(sorted(days))
            for name, days in streams.items()
        ]
    )


def _joined(counts: pl.DataFrame, lists: pl.DataFrame) -> pl.DataFrame:
    """A day may have time without having rows: those of the day before last into it."""
    return counts.join(lists, on=_KEYS, how="full", coalesce=True, nulls_equal=True)


def _dates(first: date, last: date) -> Iterator[date]:
    return (first + _DAY * n for n in range((last - first).days + 1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
