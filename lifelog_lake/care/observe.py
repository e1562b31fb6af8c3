"""Reads the :class:`~lifelog_lake.care.facts.Fleet` from a lake, with few and bounded reads.

However many years a lake holds, a look reads pulses, presence and lifecycle of the last days, the
newest few files of each table, and the daily summaries. A device that has been away for longer is
found by those, and its last pulse by its day.

Rows may be anybody's: what a table lacks counts as unknown, and a table that can't be read is told
and left out.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import polars as pl
import pyarrow as pa
from deltalake.exceptions import DeltaError

from lifelog_lake.care import flow_status, verified
from lifelog_lake.care.content import COLUMNS, Looked, blanks_of
from lifelog_lake.care.devices import Arrival, Seen, devices_of
from lifelog_lake.care.facts import Fleet, VerifyFacts
from lifelog_lake.care.storage import storage_of
from lifelog_lake.clock import US_PER_S, Clock, SystemClock, to_us, utc
from lifelog_lake.errors import LakeUnreachable, LifelogError
from lifelog_lake.home import Home
from lifelog_lake.lake.identity import read_identity
from lifelog_lake.lake.logcheck import first_line, is_panic
from lifelog_lake.lake.store import Store, table_key
from lifelog_lake.recall.days import TABLE as DAYS
from lifelog_lake.recall.tables import TIME, Contents, Tables, scan
from lifelog_lake.recall.timeline import reach

DAY = timedelta(days=1)
HOUR_US = 3600 * US_PER_S
#: How far back content is looked at: the longest that a rule waits, and a little.
CONTENT = timedelta(hours=5)
#: How far back pauses, losses and (where there are no summaries) devices are looked for.
LATELY = timedelta(days=31)
#: Files of a table that are looked into for its newest rows. A device that ships each minute is
#: among them; of another one the summaries tell.
NEWEST_FILES = 16
#: By so many of its last shipments a device's clock is judged: one may have been on a slow way.
ARRIVALS = 2
#: What a lifecycle row may say of pauses, sleep, the supervisor's life, and losses.
_TOLD = (
    *("started", "stopped", "paused", "resumed", "suspended"),
    *("quarantined", "blob-quarantined", "lost", "blob-lost", "blob-refused", "dropped"),
)
_NEWEST = pl.Schema({"device": pl.String(), "stream": pl.String(), "at": TIME, "ingested_at": TIME})
_DAYS = pl.Schema(
    {
        "date": pl.Date(),
        "stream": pl.String(),
        "device": pl.String(),
        "blob_bytes": pl.Int64(),
        "last_at": TIME,
    }
)


@dataclass(slots=True)
class _Look:
    """One look at the lake: when, and what couldn't be read."""

    now: datetime
    there: frozenset[str]
    troubles: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, what: str) -> Iterator[None]:
        """Trouble with one table is told; a lake that is gone is raised."""
        try:
            yield
        except LakeUnreachable:
            raise
        except (
            LifelogError,
            DeltaError,
            OSError,
            pa.ArrowException,
            pl.exceptions.PolarsError,
        ) as e:
            self.troubles.append(f"{what} can't be read: {first_line(e)}")
        except BaseException as error:
            if not is_panic(error):
                raise
            self.troubles.append(f"{what} can't be read: {first_line(error)}")


class Observer:
    """Reads the fleet of one lake; keep it, a second look costs less. Safe for several threads."""

    def __init__(self, home: Home, store: Store, clock: Clock | None = None) -> None:
        self._home = home
        self._store = store
        self._clock = clock or SystemClock()
        self._tables = Tables(store)
        self._is_demo = False
        self._days: tuple[int, pl.DataFrame] | None = None
        self._lock = threading.Lock()

    def fleet(self) -> Fleet:
        """The facts of now.

        Raises :class:`~lifelog_lake.errors.LakeUnreachable`. What is wrong with a single table is
        told in ``troubles``, and the rest is read all the same.
        """
        with self._lock:
            return self._fleet()

    def _fleet(self) -> Fleet:
        now_us = self._clock.wall_us()
        identity = read_identity(self._store)
        if identity is None:
            raise LakeUnreachable(
                f"There is no lake at {self._store.url} any more.", hint="Mount its disk."
            )
        # Made-up days were written long after their times.
        self._is_demo = identity.demo is not None
        there = self._store.streams()
        look = _Look(now=utc(now_us), there=frozenset(there))
        tables = self._contents(look)
        days = self._read_days(look)
        newest = self._newest(look, tables, days)
        pulses = self._pulses(look, tables, days)
        seen = Seen(
            now_us=now_us,
            pulses=pulses,
            lifecycle=self._lifecycle(look, tables),
            presence=self._presence(look, tables),
            newest=newest,
            arrivals=self._arrivals(look, pulses),
            blanks={} if self._is_demo else blanks_of(self._content(look, tables)),
        )
        verify: VerifyFacts | None = None
        try:
            verify = verified.last(self._store)
        except ValueError as error:
            look.troubles.append(f"The last verify's result can't be read: {error}")
        return Fleet(
            at=now_us,
            storage=storage_of(self._store, tables, days, look.now, look.troubles),
            devices=devices_of(seen),
            flows=flow_status.read(self._home.run),
            verified=verify,
            troubles=tuple(look.troubles),
        )

    # --- what is read -------------------------------------------------------------------------

    def _contents(self, look: _Look) -> dict[str, Contents]:
        found = {}
        for stream in sorted(look.there):
            with look.at(f"The table '{stream}'"):
                found[stream] = self._tables.of(stream)
        return found

    def _read_days(self, look: _Look) -> pl.DataFrame:
        """The daily summaries, the few columns of them; read again when they have changed."""
        key = f"{table_key(DAYS)}/_delta_log"
        with look.at("The table of the daily summaries"):
            if next(iter(self._store.keys(key)), None) is None:
                return pl.DataFrame(schema=_DAYS)
            version = self._tables.of(DAYS).version
            if self._days is None or self._days[0] != version:
                found = scan(self._store, DAYS).filter(pl.col("rows") > 0).select(list(_DAYS))
                self._days = version, found.cast(_DAYS).collect()
            return self._days[1]
        return pl.DataFrame(schema=_DAYS)

    def _pulses(
        self, look: _Look, tables: dict[str, Contents], days: pl.DataFrame
    ) -> pl.DataFrame | None:
        """Pulses of the last day, and the last day's of each device that has been away; with the
        ``path`` that each lies in."""
        contents = tables.get("pulse")
        if contents is None:
            return None
        with look.at("The table 'pulse'"):
            columns = [*contents.schema, "path"]
            recent = contents.since(look.now - DAY, named=True).select(columns).collect()
            away = self._away(look, contents, days).join(recent, on="device", how="anti")
            if away.is_empty():
                return recent
            before = contents.on(set(away["date"]), named=True).join(
                away.lazy(), on=["device", "date"], how="semi"
            )
            return pl.concat([before.select(columns).collect(), recent])
        return None

    @staticmethod
    def _away(look: _Look, contents: Contents, days: pl.DataFrame) -> pl.DataFrame:
        """The last day with a pulse of each device, by the summaries and what they don't know."""
        tomorrow = (look.now + DAY).date()  # what a clock that was once wrong dated is left aside
        told = days.filter(pl.col("stream") == "pulse", pl.col("date") <= tomorrow)
        known = told["date"].max()
        since = (look.now - LATELY).date()
        if isinstance(known, date):
            since = max(since, known)
        start = datetime.combine(since, datetime.min.time(), tzinfo=look.now.tzinfo)
        parts = [
            told.select("device", "date"),
            contents.since(start)
            .filter(pl.col("date") <= tomorrow)
            .select("device", "date")
            .collect(),
        ]
        both = pl.concat(parts).drop_nulls()
        return both.group_by("device").agg(pl.col("date").max())

    def _lifecycle(self, look: _Look, tables: dict[str, Contents]) -> pl.DataFrame | None:
        contents = tables.get("lifecycle")
        if contents is None:
            return None
        with look.at("The table 'lifecycle'"):
            rows = contents.since(look.now - LATELY).filter(pl.col("kind").is_in(_TOLD))
            names = ("device", "at", "end", "kind", "collector", "stream", "extra")
            return rows.select(*names, "first_seq", "last_seq").collect()
        return None

    def _presence(self, look: _Look, tables: dict[str, Contents]) -> pl.DataFrame | None:
        contents = tables.get("afk")
        if contents is None:
            return None
        with look.at("The table 'afk'"):
            rows = contents.rows(look.now - DAY, look.now + DAY, reach("afk"))
            return rows.select("device", "at", "end", "status").collect()
        return None

    def _content(self, look: _Look, tables: dict[str, Contents]) -> Looked:
        """What tells whether rows of the last hours hold anything."""
        found: dict[str, pl.DataFrame] = {}
        for stream, columns in COLUMNS.items():
            if stream in tables:
                with look.at(f"The table '{stream}'"):
                    rows = tables[stream].rows(look.now - CONTENT, look.now + DAY, reach(stream))
                    found[stream] = rows.select(columns).collect()
        return Looked(**found)

    def _newest(self, look: _Look, tables: dict[str, Contents], days: pl.DataFrame) -> pl.DataFrame:
        """The newest row of each device and stream."""
        parts = [
            days.group_by("device", "stream").agg(
                at=pl.col("last_at").max(), ingested_at=pl.lit(None, TIME)
            )
        ]
        for stream, contents in tables.items():
            with look.at(f"The table '{stream}'"):
                rows = contents.newest(NEWEST_FILES, look.now - LATELY)
                newest = rows.group_by("device").agg(pl.col("at", "ingested_at").max())
                parts.append(
                    newest.select("device", pl.lit(stream).alias("stream"), "at", "ingested_at")
                    .cast(_NEWEST)
                    .collect()
                )
        found = pl.concat(parts).drop_nulls("device")
        return found.group_by("device", "stream").agg(pl.col("at", "ingested_at").max())

    def _arrivals(self, look: _Look, pulses: pl.DataFrame | None) -> dict[str, Arrival]:
        """The last shipment of each device, if it came within the hour, and how far its clock is
        ahead of the lake's.

        A commit names one time for all of its rows, by the device's clock; its file has the time
        of its arrival by the store's. Merged files, which have rows of several, tell nothing. The
        last files of a device are those of its last seqs: its times may be wrong.
        """
        if pulses is None or self._is_demo:
            return {}
        found: dict[str, list[Arrival]] = defaultdict(list)
        with look.at("The table 'pulse'"):
            files = (
                pulses.select("path", "device", "epoch", "seq", "ingested_at")
                .drop_nulls(["path", "device", "ingested_at"])
                .group_by("path")
                .agg(
                    pl.col("device", "epoch", "ingested_at").first(),
                    pl.col("seq").max(),
                    several=(pl.col("ingested_at").n_unique() + pl.col("device").n_unique()) > 2,
                )
                .filter(~pl.col("several"))
                .sort("seq", descending=True, nulls_last=True)
                .group_by("device", "epoch")
                .head(ARRIVALS)
            )
            root = self._store.table_url("pulse")
            for path, device, sent_at in files.select("path", "device", "ingested_at").iter_rows():
                key = table_key("pulse") + str(path).removeprefix(root)
                try:
                    arrived_us = round(self._store.stat(key).modified_s * US_PER_S)
                except FileNotFoundError:
                    continue  # merged meanwhile
                if abs(to_us(look.now) - arrived_us) <= HOUR_US:
                    found[device].append(Arrival(arrived_us, to_us(sent_at) - arrived_us))
        # It was sent a moment before: the quickest way is the nearest to the truth.
        return {
            device: Arrival(
                max(several).at, max(one.ahead_us for one in sorted(several)[-ARRIVALS:])
            )
            for device, several in found.items()
        }
