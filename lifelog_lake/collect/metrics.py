"""A device's metrics for Prometheus, made from a snapshot when somebody asks.

Names and units follow Prometheus: base units in the name, ``_total`` for counters (each begins at 0
again with what counts it), times as seconds since 1970. Only this module imports Prometheus'
client, and :meth:`Endpoint.metrics` alone imports this one: who isn't scraped doesn't pay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import psutil
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect.endpoint import Snapshot
from lifelog_lake.collect.reasons import WELL
from lifelog_lake.spool import StreamStats

#: The supervisor's own name among the collectors.
SELF = "supervisor"
_BY_CHILD = ("collector",)
_BY_STREAM = ("stream",)
_BY_BOTH = ("stream", "collector")


def exposition(snapshot: Snapshot | None, accept: str) -> tuple[str, bytes]:
    """The type and the text; of what was known last, nothing before there was anything."""
    registry = CollectorRegistry()
    if snapshot is not None:
        registry.register(DeviceMetrics(snapshot))
    encode, kind = choose_encoder(accept)
    return kind, encode(registry)


class DeviceMetrics(Collector):
    """All metrics of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._status = snapshot.status
        self._stats = snapshot.stats
        self._own_bytes = snapshot.own_bytes
        self._children = cast(
            "Mapping[str, Mapping[str, Any]]", snapshot.status.get("children") or {}
        )

    def collect(self) -> Iterator[Metric]:
        """See Prometheus' client."""
        yield from self._of_device()
        yield from self._of_collectors()
        yield from self._of_streams()
        yield from self._of_spool()

    def _of_device(self) -> Iterator[Metric]:
        status = self._status
        now_us = cast(int, status["at"])
        yield InfoMetricFamily(
            "lifelog_device", "This device and its version of lifelog.",
            {"device": str(status.get("device")), "version": str(status.get("version"))},
        )  # fmt: skip
        yield GaugeMetricFamily(
            "lifelog_status_timestamp_seconds", "When these figures were taken.",
            now_us / US_PER_S, unit="seconds",
        )  # fmt: skip
        yield GaugeMetricFamily(
            "lifelog_uptime_seconds", "Since the supervisor started.",
            (now_us - cast(int, status["started_at"])) / US_PER_S, unit="seconds",
        )  # fmt: skip
        yield GaugeMetricFamily(
            "lifelog_paused", "1 while the person has paused all capture.",
            float(status.get("pause") is not None),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "lifelog_waiting_rows", "The supervisor's own rows that the spool doesn't take now.",
            float(cast(int, status.get("rows_waiting") or 0)), unit="rows",
        )  # fmt: skip
        if (free := status.get("disk_free_bytes")) is not None:
            yield GaugeMetricFamily(
                "lifelog_disk_free_bytes", "Free space where the spool lies.",
                float(cast(int, free)), unit="bytes",
            )  # fmt: skip
        if server := cast("Mapping[str, Any] | None", status.get("activitywatch")):
            yield GaugeMetricFamily(
                "lifelog_activitywatch_up", "1 if the ActivityWatch server was healthy at last.",
                float(server["state"] == "healthy"),
            )  # fmt: skip
            yield GaugeMetricFamily(
                "lifelog_activitywatch_check_timestamp_seconds",
                "When the ActivityWatch server was checked last.",
                server["checked_at"] / US_PER_S, unit="seconds",
            )  # fmt: skip
        if care := cast("Mapping[str, Any] | None", status.get("care")):
            yield GaugeMetricFamily(
                "lifelog_hub_care_up", "1 if the hub's care runs, as far as this device can tell.",
                float(care["state"] == "running"),
            )  # fmt: skip

    def _of_collectors(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "lifelog_up", "1 while the process of a collector (or the shipper) runs.",
            labels=_BY_CHILD,
        )  # fmt: skip
        errors = CounterMetricFamily(
            "lifelog_errors", "Errors since the supervisor started.",
            labels=_BY_CHILD, unit="errors",
        )  # fmt: skip
        restarts = CounterMetricFamily(
            "lifelog_restarts", "Starts after the first one.", labels=_BY_CHILD, unit="restarts"
        )
        cpu = CounterMetricFamily(
            "lifelog_cpu_seconds", "Processor time used.", labels=_BY_CHILD, unit="seconds"
        )
        memory = GaugeMetricFamily(
            "lifelog_resident_memory_bytes", "Memory in use.", labels=_BY_CHILD, unit="bytes"
        )
        for name, child in self._children.items():
            up.add_metric([name], float(child["pid"] is not None))
            errors.add_metric([name], child["errors"])
            restarts.add_metric([name], child["restarts"])
            cpu.add_metric([name], child["cpu_s"])
            if child["rss_bytes"] is not None:
                memory.add_metric([name], child["rss_bytes"])
        own = psutil.Process()
        times = own.cpu_times()
        cpu.add_metric([SELF], times.user + times.system)
        memory.add_metric([SELF], own.memory_info().rss)
        yield from (up, errors, restarts, cpu, memory)

    def _of_streams(self) -> Iterator[Metric]:
        well = GaugeMetricFamily(
            "lifelog_stream_well", "1 while a stream is captured, or needs nobody.", labels=_BY_BOTH
        )
        silent = GaugeMetricFamily(
            "lifelog_stream_silent",
            "1 while a collector lives, gives no events, and starting it again doesn't help.",
            labels=_BY_BOTH,
        )
        seen = GaugeMetricFamily(
            "lifelog_last_observation_timestamp_seconds",
            "When a source was last looked at with success.", labels=_BY_BOTH, unit="seconds",
        )  # fmt: skip
        written = CounterMetricFamily(
            "lifelog_captured_bytes", "Rows and content that went into the spool.",
            labels=_BY_BOTH, unit="bytes",
        )  # fmt: skip
        found = cast("list[Mapping[str, Any]]", self._status.get("silent") or [])
        without = {(one["stream"], one["collector"]) for one in found}
        for name, child in self._children.items():
            for stream in child["streams"]:
                both = [stream, name]
                stale = stream in child["stale"]
                well.add_metric(both, float(child["state"] in WELL and not stale))
                silent.add_metric(both, float((stream, name) in without))
                written.add_metric(both, child["written_bytes"].get(stream, 0))
                if (at_us := child["observed_at"].get(stream)) is not None:
                    seen.add_metric(both, at_us / US_PER_S)
        for stream, count in self._own_bytes.items():
            written.add_metric([stream, SELF], count)
        yield from (well, silent, seen, written)

    def _of_spool(self) -> Iterator[Metric]:
        now_us = cast(int, self._status["at"])
        captured = CounterMetricFamily(
            "lifelog_captured_events", "Events that the spool took in this life of its numbering.",
            labels=_BY_STREAM, unit="events",
        )  # fmt: skip
        shipped = CounterMetricFamily(
            "lifelog_shipped_events", "Events of it that are in the lake.",
            labels=_BY_STREAM, unit="events",
        )  # fmt: skip
        waiting = GaugeMetricFamily(
            "lifelog_spool_events", "Events that wait for the lake.",
            labels=_BY_STREAM, unit="events",
        )  # fmt: skip
        size = GaugeMetricFamily(
            "lifelog_spool_bytes", "What waits for the lake.", labels=_BY_STREAM, unit="bytes"
        )
        oldest = GaugeMetricFamily(
            "lifelog_spool_oldest_timestamp_seconds", "Time of the oldest event that waits.",
            labels=_BY_STREAM, unit="seconds",
        )  # fmt: skip
        lag = GaugeMetricFamily(
            "lifelog_lag_seconds", "Age of the oldest event that waits; 0 if none does.",
            labels=_BY_STREAM, unit="seconds",
        )  # fmt: skip
        acked = GaugeMetricFamily(
            "lifelog_last_ship_timestamp_seconds", "When events were last brought into the lake.",
            labels=_BY_STREAM, unit="seconds",
        )  # fmt: skip
        for stream, stat in self._stats.items():
            captured.add_metric([stream], stat.next_seq)
            shipped.add_metric([stream], stat.acked_seq + 1)
            waiting.add_metric([stream], stat.pending_rows)
            size.add_metric([stream], stat.pending_bytes)
            lag.add_metric([stream], _age_s(stat, now_us))
            if stat.oldest_at is not None:
                oldest.add_metric([stream], stat.oldest_at / US_PER_S)
            if stat.last_ack_at is not None:
                acked.add_metric([stream], stat.last_ack_at / US_PER_S)
        yield from (captured, shipped, waiting, size, oldest, lag, acked)


def _age_s(stat: StreamStats, now_us: int) -> float:
    return max(0.0, (now_us - stat.oldest_at) / US_PER_S) if stat.oldest_at is not None else 0.0
