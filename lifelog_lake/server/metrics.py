"""The fleet's metrics for Prometheus, made from the facts when somebody asks.

Names and units follow Prometheus: base units in the name, ``_total`` for counters (each begins at 0
again with the process that counts), times as seconds since 1970. Each begins with
``lifelog_fleet_``: what a device serves of itself has other names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from lifelog_lake.care.facts import DeviceFacts, Fleet, FlowFacts, StreamFacts, TableFacts, during
from lifelog_lake.care.health.model import SEVERITIES, Alert, State
from lifelog_lake.clock import US_PER_S
from lifelog_lake.server.api.meter import METER

PREFIX = "lifelog_fleet"
_DEVICE = ("device",)
_STREAM = ("device", "stream", "collector")
_TABLE = ("stream",)
_FLOW = ("flow",)
#: States of an alert that isn't resolved.
OPEN: tuple[State, ...] = ("open", "acknowledged", "snoozed")

#: Values of labels, and what was read; None is unknown and left out.
Readings = Sequence[tuple[Sequence[str], float | None]]


def exposition(fleet: Fleet, alerts: Sequence[Alert], accept: str) -> tuple[str, bytes]:
    """The type and the text, by what the one who asks accepts."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FleetMetrics(fleet, alerts))
    METER.register(registry)
    encode, kind = choose_encoder(accept)
    return kind, encode(registry)


class FleetMetrics(Collector):
    """All metrics of one look at the fleet."""

    def __init__(self, fleet: Fleet, alerts: Sequence[Alert]) -> None:
        self._fleet = fleet
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        """See Prometheus' client."""
        yield from _devices(self._fleet)
        yield from _streams(self._fleet)
        yield from _storage(self._fleet)
        yield from _flows(self._fleet)
        yield from _findings(self._fleet, self._alerts)


def _devices(fleet: Fleet) -> Iterator[Metric]:
    labels = ("device", "state", "paused", "version", "config_revision", "config_hash")
    info = InfoMetricFamily(
        f"{PREFIX}_device", "Each device as its newest pulse tells.", labels=labels
    )
    for one in fleet.devices:
        paused = str(during(one.paused, fleet.at)).lower()
        words = (one.device, one.state, paused, one.version, one.config_revision, one.config_hash)
        info.add_metric([word or "" for word in words], {})
    yield info

    def each(value: Callable[[DeviceFacts], float | None]) -> Readings:
        return [((one.device,), value(one)) for one in fleet.devices]

    yield _gauge(
        "device_last_seen_timestamp", "seconds",
        "When a device's newest pulse or lifecycle row was written, by its own clock.",
        _DEVICE, each(lambda one: _s(one.last_seen_at)),
    )  # fmt: skip
    yield _gauge(
        "device_uptime", "seconds", "How long a device's supervisor had been running.",
        _DEVICE, each(lambda one: one.uptime_s),
    )  # fmt: skip
    yield _gauge(
        "device_disk_free", "bytes", "Free space where a device's spool lies.",
        _DEVICE, each(lambda one: one.disk_free_bytes),
    )  # fmt: skip
    yield _gauge(
        "device_clock_skew", "seconds", "How far a device's clock is ahead of the lake's.",
        _DEVICE, each(lambda one: _s(one.skew_us)),
    )  # fmt: skip
    yield _gauge(
        "device_quarantined", "rows", "Rows that a device put aside in the last 31 days.",
        _DEVICE, each(lambda one: sum(value for _, value in one.quarantined)),
    )  # fmt: skip
    yield _gauge(
        "device_lost", "rows", "Rows that a device lost in the last 31 days.",
        _DEVICE, each(lambda one: sum(value for _, value in one.lost)),
    )  # fmt: skip


def _streams(fleet: Fleet) -> Iterator[Metric]:
    streams = [stream for device in fleet.devices for stream in device.streams]
    info = InfoMetricFamily(
        f"{PREFIX}_stream",
        "Each stream of a device, and each process without one, as its newest pulse tells.",
        labels=(*_STREAM, "state", "enabled"),
    )
    for one in streams:
        info.add_metric([*_names(one), one.state, str(one.enabled).lower()], {})
    yield info

    def each(value: Callable[[StreamFacts], float | None]) -> Readings:
        return [(_names(one), value(one)) for one in streams]

    yield _gauge(
        "stream_last_capture_timestamp", "seconds", "When something was observed last.",
        _STREAM, each(lambda one: _s(one.last_capture_at)),
    )  # fmt: skip
    yield _gauge(
        "stream_last_ack_timestamp", "seconds", "When rows came into the lake last.",
        _STREAM, each(lambda one: _s(one.last_ack_at)),
    )  # fmt: skip
    yield _gauge(
        "stream_newest_row_timestamp", "seconds", "When the newest row in the lake began.",
        _STREAM, each(lambda one: _s(one.newest_at)),
    )  # fmt: skip
    yield _gauge(
        "stream_spool", "bytes", "What waits on the device for the lake.",
        _STREAM, each(lambda one: one.spool_bytes),
    )  # fmt: skip
    yield _gauge(
        "stream_spool_oldest_timestamp", "seconds", "When the oldest row that waits began.",
        _STREAM, each(lambda one: _s(one.spool_oldest_at)),
    )  # fmt: skip
    yield _gauge(
        "stream_lag", "seconds", "How long the oldest row of a device's spool has waited.",
        _STREAM, each(lambda one: _waited_s(one, fleet.at)),
    )  # fmt: skip
    yield _counter(
        "stream_errors", "errors", "Errors since the supervisor started.",
        _STREAM, each(lambda one: one.errors),
    )  # fmt: skip
    yield _counter(
        "stream_restarts", "restarts", "Restarts since the supervisor started.",
        _STREAM, each(lambda one: one.restarts),
    )  # fmt: skip
    yield _gauge(
        "stream_cpu", "ratio", "Share of one processor in the minute before the pulse.",
        _STREAM, each(lambda one: None if one.cpu_percent is None else one.cpu_percent / 100),
    )  # fmt: skip
    yield _gauge(
        "stream_memory", "bytes", "Memory of the process.",
        _STREAM, each(lambda one: one.memory_bytes),
    )  # fmt: skip


def _storage(fleet: Fleet) -> Iterator[Metric]:
    storage = fleet.storage

    def each(value: Callable[[TableFacts], float]) -> Readings:
        return [((table.stream,), value(table)) for table in storage.tables]

    yield _gauge("table_rows", "rows", "Rows of a stream.", _TABLE, each(lambda table: table.rows))
    yield _gauge(
        "table_files", "files", "Data files of a table.", _TABLE, each(lambda table: table.files)
    )
    yield _gauge(
        "table", "bytes", "Size of a table's data files.",
        _TABLE, each(lambda table: table.table_bytes),
    )  # fmt: skip
    yield _gauge(
        "content", "bytes", "Size of the contents that a stream's rows name.",
        _TABLE, each(lambda table: table.content_bytes),
    )  # fmt: skip
    yield _gauge(
        "table_growth_a_day", "bytes", "What a day adds, by the last week.",
        _TABLE, each(lambda table: table.day_bytes),
    )  # fmt: skip
    yield _gauge(
        "lake_disk", "bytes", "Size of the disk that the lake lies on.",
        (), [((), storage.disk_total_bytes)],
    )  # fmt: skip
    yield _gauge(
        "lake_disk_free", "bytes", "Free space of the disk that the lake lies on.",
        (), [((), storage.disk_free_bytes)],
    )  # fmt: skip
    yield _gauge(
        "lake_disk_full_timestamp", "seconds",
        "When that disk is full if the lake grows on as in the last week.",
        (), [((), _s(storage.full_at))],
    )  # fmt: skip


def _flows(fleet: Fleet) -> Iterator[Metric]:
    flows = () if fleet.flows is None else fleet.flows.flows

    def each(value: Callable[[FlowFacts], float | None]) -> Readings:
        return [((flow.name,), value(flow)) for flow in flows]

    yield _gauge(
        "flows_alive_timestamp", "seconds", "When the flows' process last said that it lives.",
        (), [((), None if fleet.flows is None else _s(fleet.flows.at))],
    )  # fmt: skip
    yield _gauge(
        "flow_last_end_timestamp", "seconds", "When a flow's last run ended, well or not.",
        _FLOW, each(lambda flow: _s(flow.ended_at)),
    )  # fmt: skip
    yield _gauge(
        "flow_last_success_timestamp", "seconds", "When a run of a flow last ended well.",
        _FLOW, each(lambda flow: _s(flow.well_at)),
    )  # fmt: skip
    yield _gauge(
        "flow_next_timestamp", "seconds", "When a flow's next run is due.",
        _FLOW, each(lambda flow: _s(flow.next_at)),
    )  # fmt: skip
    yield _gauge(
        "flow_failed_in_a_row", "runs", "Runs of a flow that failed since one that didn't.",
        _FLOW, each(lambda flow: flow.failures),
    )  # fmt: skip


def _findings(fleet: Fleet, alerts: Sequence[Alert]) -> Iterator[Metric]:
    verified = fleet.verified
    yield _gauge(
        "verify_timestamp", "seconds", "When the lake was last verified.",
        (), [((), None if verified is None else _s(verified.at))],
    )  # fmt: skip
    yield _gauge(
        "verify_findings", "findings", "What the last verify of the lake found.",
        (), [((), None if verified is None else verified.count)],
    )  # fmt: skip
    counts = Counter((alert.severity, alert.state) for alert in alerts if alert.is_open)
    yield _gauge(
        "alerts_open", "alerts", "Alerts that aren't resolved.",
        ("severity", "state"),
        [((severity, state), counts[severity, state]) for severity in SEVERITIES for state in OPEN],
    )  # fmt: skip
    yield _gauge(
        "unreadable", "tables", "What of the lake couldn't be read.",
        (), [((), len(fleet.troubles))],
    )  # fmt: skip
    yield _gauge(
        "look_timestamp", "seconds", "When the fleet was looked at.", (), [((), _s(fleet.at))]
    )


def _waited_s(one: StreamFacts, now_us: int) -> float | None:
    """Nothing waits: no lag. Nothing is known of a stream that never said how much does."""
    if one.spool_oldest_at is not None:
        return max(0.0, (now_us - one.spool_oldest_at) / US_PER_S)
    return None if one.spool_bytes is None else 0.0


def _names(one: StreamFacts) -> tuple[str, ...]:
    return one.device, one.stream or "", one.collector or ""


def _gauge(
    name: str, unit: str, doc: str, labels: Sequence[str], readings: Readings
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{_named(name, unit)}", doc, labels=labels, unit=unit)
    for values, value in readings:
        if value is not None:
            family.add_metric(values, value)
    return family


def _counter(
    name: str, unit: str, doc: str, labels: Sequence[str], readings: Readings
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"{PREFIX}_{_named(name, unit)}", doc, labels=labels, unit=unit)
    for values, value in readings:
        if value is not None:
            family.add_metric(values, value)
    return family


def _named(name: str, unit: str) -> str:
    return name if name.endswith(f"_{unit}") else f"{name}_{unit}"


def _s(us: int | None) -> float | None:
    return None if us is None else us / US_PER_S
