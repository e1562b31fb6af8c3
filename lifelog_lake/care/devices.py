"""Facts of devices and their streams, from the rows that they shipped. Reads nothing itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from lifelog_lake.care.facts import DeviceFacts, Sample, Series, Spell, StreamFacts
from lifelog_lake.care.told import AHEAD_US, Row, Told, object_of, presence_by, told_by, us_of
from lifelog_lake.clock import US_PER_S
from lifelog_lake.recall.schema import polars_schema

MINUTE_US = 60 * US_PER_S
#: A pulse may be late; without one for so long nothing is known of the time between.
GAP_US = 10 * MINUTE_US
#: Of gauges one reading in so long is kept.
STEP_US = 10 * MINUTE_US
#: The last pulse is written just after the row that says that the supervisor stopped.
LAST_PULSE_US = MINUTE_US
_NO_PROCESS = frozenset({"disabled", "spooled"})


class Arrival(NamedTuple):
    """When a device's last shipment came to the lake, by the lake's clock, and how far the
    device's is ahead of that; both µs."""

    at: int
    ahead_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Rows that were read, None where there is no such table.

    ``pulses`` are of the stream's schema, ``lifecycle`` of the kinds that matter here, ``presence``
    has device, at, end, status; ``newest`` device, stream, at, ingested_at. ``arrivals`` are of
    the devices that shipped lately.
    """

    now_us: int
    pulses: pl.DataFrame | None
    lifecycle: pl.DataFrame | None
    presence: pl.DataFrame | None
    newest: pl.DataFrame
    arrivals: Mapping[str, Arrival]
    #: Streams that hold nothing, by device; see :mod:`lifelog_lake.care.content`.
    blanks: Mapping[str, tuple[Spell, ...]] = field(default_factory=dict)


def devices_of(seen: Seen) -> tuple[DeviceFacts, ...]:
    """Every device with a pulse or a lifecycle row, by name."""
    pulses = _in_order(seen)
    last = {row["device"]: row for row in pulses.group_by("device").last().iter_rows(named=True)}
    told = {
        device: told_by(rows, seen.now_us) for device, rows in _by_device(seen.lifecycle).items()
    }
    presence = {device: presence_by(rows) for device, rows in _by_device(seen.presence).items()}
    newest = {
        (device, stream): (us_of(at), us_of(ingested_at))
        for device, stream, at, ingested_at in seen.newest.iter_rows()
    }
    entries = _entries(pulses)
    series = _free(pulses)
    devices = []
    for device in sorted({*last, *told}):
        pulse, life = last.get(device, {}), told.get(device, Told())
        pulse_at = us_of(pulse.get("at"))
        arrival = seen.arrivals.get(device)
        stopped = life.state == "stopped" and (pulse_at or 0) <= life.state_at + LAST_PULSE_US
        state = "stopped" if stopped else "running" if pulse else life.state
        devices.append(
            DeviceFacts(
                device=device,
                # Their times may be corrected ones: here they are by the device's own clock.
                last_seen_at=max(pulse_at or 0, life.last_at) - (pulse.get("skew_us") or 0),
                pulse_at=pulse_at,
                ingested_at=us_of(pulse.get("ingested_at")),
                state=state,
                version=pulse.get("version"),
                config_revision=pulse.get("config_revision"),
                config_hash=pulse.get("config_hash"),
                uptime_s=pulse.get("uptime_s"),
                disk_free_bytes=pulse.get("disk_free_bytes"),
                disk_free_series=series.get(device, ()),
                arrived_at=None if arrival is None else arrival.at,
                skew_us=_ahead_us(pulse.get("skew_us")) if arrival is None else arrival.ahead_us,
                streams=_streams(device, pulse, entries.get(device, {}), newest),
                paused=tuple(life.paused),
                suspended=tuple(life.suspended),
                off=tuple(life.off),
                presence=presence.get(device, ()),
                quarantined=tuple(life.counts["quarantined"]),
                lost=tuple(life.counts["lost"]),
                dropped=tuple(life.counts["dropped"]),
                blanks=seen.blanks.get(device, ()),
                extra=object_of(pulse.get("extra")),
            )
        )
    return tuple(devices)


def _ahead_us(correction: int | None) -> int | None:
    """How far a clock is ahead whose times had to be corrected by so much."""
    return None if correction is None else -correction


# --- pulses ---------------------------------------------------------------------------------------


def _in_order(seen: Seen) -> pl.DataFrame:
    """Pulses of each device, the newest last: by seq, as a clock may have been wrong a while."""
    schema = polars_schema("pulse")
    if seen.pulses is None:
        return pl.DataFrame(schema=schema)
    pulses = seen.pulses.select(
        (pl.col(name) if name in seen.pulses.columns else pl.lit(None, type_)).cast(
            type_, strict=False
        )
        for name, type_ in schema.items()
    ).drop_nulls(["device", "at"])
    at = pl.col("at").dt.epoch("us")
    newest_of_epoch = at.sort_by("seq").last().over("device", "epoch")
    from_the_future = newest_of_epoch > seen.now_us + AHEAD_US
    return (
        pulses.with_columns(_future=~from_the_future, _epoch=newest_of_epoch)
        .filter(at <= pl.col("_epoch"))
        .sort("device", "_future", "_epoch", "seq", nulls_last=False)
        .drop("_future", "_epoch")
    )


def _entries(pulses: pl.DataFrame) -> dict[str, dict[tuple[Any, Any], dict[str, Any]]]:
    """Series and states by device, then by stream and collector."""
    if pulses.is_empty():
        return {}
    key = ["device", "stream", "collector"]
    rows = (
        pulses.select("device", "at", "streams")
        .explode("streams")
        .drop_nulls("streams")
        .unnest("streams")
        .with_columns(pl.col("at").dt.epoch("us"))
        .sort(*key, "at")
    )
    gap = pl.col("at").diff().over(key) > GAP_US
    changed = (pl.col("state").ne_missing(pl.col("state").shift().over(key)) | gap).fill_null(True)
    spells = (
        rows.with_columns(run=changed.cum_sum().over(key))
        .group_by(*key, "run", maintain_order=True)
        .agg(pl.col("state").first(), start=pl.col("at").first(), last=pl.col("at").last())
        .with_columns(after=pl.col("start").shift(-1).over(key))
    )
    found: dict[str, dict[tuple[Any, Any], dict[str, Any]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for device, stream, collector, _, state, start, last, after in spells.iter_rows():
        end = None if after is None else after if after - last <= GAP_US else last + MINUTE_US
        found[device][stream, collector]["history"].append(Spell(start, end, state or "unknown"))
    for name in ("errors", "restarts"):
        moved = pl.col(name).ne_missing(pl.col(name).shift().over(key))
        ends = pl.col("at") == pl.col("at").last().over(key)
        _collect(found, rows.filter((moved | ends).fill_null(True)), name)
    step = rows.with_columns(step=pl.col("at") // STEP_US)
    thin = step.unique([*key, "step"], keep="last", maintain_order=True)
    _collect(found, thin, "spool_bytes")
    return found


def _collect(found: Any, rows: pl.DataFrame, name: str) -> None:
    columns = rows.select("device", "stream", "collector", "at", name).drop_nulls(name)
    for device, stream, collector, at, value in columns.iter_rows():
        found[device][stream, collector][name].append(Sample(at, float(value)))


def _free(pulses: pl.DataFrame) -> dict[str, Series]:
    """Readings of free disk space, the lowest of each step."""
    rows = (
        pulses.select("device", pl.col("at").dt.epoch("us"), "disk_free_bytes")
        .drop_nulls()
        .with_columns(step=pl.col("at") // STEP_US)
        .sort("device", "step", "disk_free_bytes", "at", descending=[False, False, False, True])
        .unique(["device", "step"], keep="first", maintain_order=True)
    )
    found: dict[str, list[Sample]] = defaultdict(list)
    for device, at, value, _ in rows.iter_rows():
        found[device].append(Sample(at, float(value)))
    return {device: tuple(samples) for device, samples in found.items()}


def _streams(
    device: str,
    pulse: Row,
    series: Mapping[tuple[Any, Any], Mapping[str, Any]],
    newest: Mapping[tuple[str, str], tuple[int | None, int | None]],
) -> tuple[StreamFacts, ...]:
    """One entry for each of the newest pulse."""
    facts = []
    for entry in pulse.get("streams") or ():
        if entry is None:
            continue
        stream, collector = entry["stream"], entry["collector"]
        past = series.get((stream, collector), {})
        state = entry["state"] or "unknown"
        row_at, ingested_at = newest.get((device, stream), (None, None))
        facts.append(
            StreamFacts(
                device=device,
                stream=stream,
                collector=collector,
                state=state,
                enabled=state not in _NO_PROCESS,
                last_capture_at=us_of(entry["last_capture_at"]),
                last_ack_at=us_of(entry["last_ack_at"]),
                newest_at=row_at,
                newest_ingested_at=ingested_at,
                spool_bytes=entry["spool_bytes"],
                spool_oldest_at=us_of(entry["spool_oldest_at"]),
                spool_newest_at=us_of(entry["spool_newest_at"]),
                errors=entry["errors"] or 0,
                last_error=entry["last_error"],
                restarts=entry["restarts"] or 0,
                cpu_percent=entry["cpu_percent"],
                memory_bytes=entry["memory_bytes"],
                errors_series=tuple(past.get("errors", ())),
                restarts_series=tuple(past.get("restarts", ())),
                spool_series=tuple(past.get("spool_bytes", ())),
                history=tuple(past.get("history", ())),
            )
        )
    return tuple(facts)


def _by_device(rows: pl.DataFrame | None) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in () if rows is None else rows.drop_nulls(["device", "at"]).iter_rows(named=True):
        found[row["device"]].append(row)
    return found
