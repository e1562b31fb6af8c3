"""What is known of a fleet at one moment: facts that health rules judge and pages show.

All times (``at`` and whatever ends in ``_at``) are µs since 1970 UTC by the clock of who wrote
them; None is unknown. Nothing here reads: :mod:`lifelog_lake.care.observe` does.

Facts come from what devices have shipped. A device that is out of reach keeps its last ones, so a
rule compares its own times with each other (a capture with the pulse that tells of it) where it
can, and with :attr:`Fleet.at` only to say how long a device has been silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Sample(NamedTuple):
    """One reading of a series."""

    at: int
    value: float


#: Readings in the order of time, the oldest first.
Series = tuple[Sample, ...]


class Spell(NamedTuple):
    """A state that lasted from ``start`` to ``end``; without an end it still lasts."""

    start: int
    end: int | None
    state: str

    def holds(self, at: int) -> bool:
        """Whether it was so at a time."""
        return self.start <= at and (self.end is None or at < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """One stream of one device, by the device's newest pulse; ``history`` is of the last day.

    A process without a stream of its own, such as the shipper, has ``stream`` None and its name in
    ``collector``; a stream that has a spool but no process has no ``collector``.

    ``state`` is the pulse's word: running, starting, stale, unavailable, full, error, stopped …,
    disabled (not enabled in the settings) or spooled (no process). ``enabled`` is false for the
    last two. ``newest_at`` and ``newest_ingested_at`` are of the newest row in the lake, to about
    the quarter of an hour for a stream that has stood still. ``errors`` and ``restarts`` count
    since the supervisor started; their series are of the last hours, so that a rise can be told
    (:func:`rise`).
    """

    device: str
    stream: str | None
    collector: str | None
    state: str
    enabled: bool
    last_capture_at: int | None = None
    last_ack_at: int | None = None
    newest_at: int | None = None
    newest_ingested_at: int | None = None
    spool_bytes: int | None = None
    spool_oldest_at: int | None = None
    spool_newest_at: int | None = None
    errors: int = 0
    last_error: str | None = None
    restarts: int = 0
    cpu_percent: float | None = None
    memory_bytes: int | None = None
    errors_series: Series = ()
    restarts_series: Series = ()
    spool_series: Series = ()
    history: tuple[Spell, ...] = ()

    @property
    def name(self) -> str:
        """What to call it: the stream, else the process."""
        return self.stream or self.collector or "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """One device that has ever sent a pulse.

    ``last_seen_at`` is the time of its newest pulse or lifecycle row, by the device's own clock.
    ``state`` is the last that it said of itself, "running" or "stopped", or "unknown"; one that
    sleeps says so only when it wakes. ``arrived_at`` is when its last shipment came, by the lake's
    clock, if that was within the hour. ``skew_us`` is how far its clock is ahead of the lake's
    (behind: negative), by what it says of its newest shipment and when that arrived; None where
    it can't be told. ``extra`` is what else its newest pulse says of the device as a whole
    (docs/health.md), by whatever version of ours wrote it.

    ``paused``, ``suspended``, ``off`` and ``presence`` are spells of the last day (and what began
    before and lasts). ``presence`` has the states "afk" and "not-afk" as the device told them;
    times without a spell are unknown. ``quarantined``, ``lost`` and ``dropped`` are counts of rows
    (or contents) that the device put aside, lost, or dropped because it was told to, each at the
    time it said so, of the last 31 days. ``blanks`` are spells of rows that hold nothing, until the
    newest one: "black", "silent" or "frozen" (:mod:`lifelog_lake.care.content`).
    """

    device: str
    last_seen_at: int
    pulse_at: int | None = None
    ingested_at: int | None = None
    arrived_at: int | None = None
    state: str = "unknown"
    version: str | None = None
    config_revision: str | None = None
    config_hash: str | None = None
    uptime_s: float | None = None
    disk_free_bytes: int | None = None
    disk_free_series: Series = ()
    skew_us: int | None = None
    streams: tuple[StreamFacts, ...] = ()
    paused: tuple[Spell, ...] = ()
    suspended: tuple[Spell, ...] = ()
    off: tuple[Spell, ...] = ()
    presence: tuple[Spell, ...] = ()
    quarantined: Series = ()
    lost: Series = ()
    dropped: Series = ()
    blanks: tuple[Spell, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def stream(self, name: str) -> StreamFacts | None:
        """The facts of a stream (or, by its name, of a process without one)."""
        return next((one for one in self.streams if one.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What one stream's table and its contents take up, by its log and the daily summaries.

    ``day_bytes`` is what a day adds, table and contents together, by the last week.
    """

    stream: str
    rows: int
    files: int
    table_bytes: int
    content_bytes: int
    day_bytes: float
    newest_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFacts:
    """The lake as a whole. ``disk_*`` is the disk it lies on, None for a lake at a server.

    ``full_at`` is when that disk will be full if the lake grows on as it did in the last days.
    """

    url: str
    tables: tuple[TableFacts, ...] = ()
    disk_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    full_at: int | None = None

    @property
    def total_bytes(self) -> int:
        """Tables and contents."""
        return sum(table.table_bytes + table.content_bytes for table in self.tables)

    @property
    def day_bytes(self) -> float:
        """What a day adds."""
        return sum(table.day_bytes for table in self.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFacts:
    """One flow of this machine. ``state`` is the last run's: Completed, Findings, Failed, Crashed,
    Cancelled, TimedOut …; None before the first; ``message`` what it
    did, or why not. ``running_since`` is set while one goes on.
    ``next_at`` is when the next run is due (None: not scheduled, or not known yet)."""

    name: str
    enabled: bool
    every_s: float
    cron: str = ""
    state: str | None = None
    message: str = ""
    started_at: int | None = None
    ended_at: int | None = None
    well_at: int | None = None
    running_since: int | None = None
    next_at: int | None = None
    failures: int = 0

    @property
    def failed(self) -> bool:
        """Whether the last run didn't come to its end."""
        return self.state in {"Failed", "Crashed", "TimedOut"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowsFacts:
    """The flows' process of this machine. ``at`` is when it last said so: it does each minute."""

    at: int
    flows: tuple[FlowFacts, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyFacts:
    """The last ``lifelog verify`` of this lake, by any device. ``findings`` are the first of
    them, in words; ``count`` is how many there were."""

    at: int
    device: str
    read_data: bool
    count: int
    findings: tuple[str, ...] = ()
    rows: int = 0
    files: int = 0
    blobs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Everything, as read at ``at`` by this machine's clock.

    ``flows`` is None where this machine runs none (or never did), ``verified`` where nobody ever
    verified this lake. ``troubles`` are what couldn't be read and why, each a sentence.
    """

    at: int
    storage: StorageFacts
    devices: tuple[DeviceFacts, ...] = ()
    flows: FlowsFacts | None = None
    verified: VerifyFacts | None = None
    troubles: tuple[str, ...] = ()

    def device(self, name: str) -> DeviceFacts | None:
        """One device."""
        return next((one for one in self.devices if one.device == name), None)


def rise(series: Series, since: int) -> int:
    """How much a counter went up since a time; it begins at 0 again when its process does."""
    total = 0.0
    before: float | None = None
    for at, value in series:
        if before is not None and at >= since:
            total += value - before if value >= before else value
        before = value
    return round(total)


def during(spells: tuple[Spell, ...], at: int, state: str | None = None) -> bool:
    """Whether any of the spells (with that state) held at a time."""
    return any(spell.holds(at) and state in (None, spell.state) for spell in spells)


def covered(spells: Iterable[Spell], start: int, end: int) -> int:
    """How much of a time is covered by any of the spells, µs."""
    total, reached = 0, start
    for spell in sorted(spells, key=lambda one: one.start):
        begin = max(spell.start, reached)
        until = end if spell.end is None else min(spell.end, end)
        if until > begin:
            total += until - begin
            reached = until
    return total
