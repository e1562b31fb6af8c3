"""The fleet's health as JSON. Times are RFC 3339 in UTC, durations seconds, sizes bytes.

What a series is good for (restarts of the last hour, when a disk will be full) is given instead of
the series; the past day is given as spells of states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lifelog_lake.care.facts import (
    DeviceFacts,
    Fleet,
    FlowFacts,
    Spell,
    StorageFacts,
    StreamFacts,
    during,
    rise,
)
from lifelog_lake.care.forecast import full_at
from lifelog_lake.clock import MAX_US, MIN_US, US_PER_S, iso
from lifelog_lake.events import STREAMS

if TYPE_CHECKING:
    from lifelog_lake.care.health.model import Alert

HOUR_US = 3600 * US_PER_S
DAY_US = 24 * HOUR_US
#: What runs on a device beside its collectors, as a person calls it.
PARTS = {"ship": "Shipper", "server": "Pages", "flows": "Flows"}

Json = dict[str, Any]


def health_json(fleet: Fleet, alerts: Sequence[Alert]) -> Json:
    """All of it."""
    return {
        "at": iso(fleet.at),
        "devices": [_device(device, fleet.at) for device in fleet.devices],
        "storage": _storage(fleet.storage),
        "flows": None
        if fleet.flows is None
        else {
            "at": iso(fleet.flows.at),
            "trouble": fleet.flows.trouble,
            "flows": [_flow(flow) for flow in fleet.flows.flows],
        },
        "verified": None
        if fleet.verified is None
        else {
            "at": iso(fleet.verified.at),
            "device": fleet.verified.device,
            "read_data": fleet.verified.read_data,
            "count": fleet.verified.count,
            "findings": list(fleet.verified.findings),
        },
        "troubles": list(fleet.troubles),
        "alerts": [alert_json(alert) for alert in alerts],
    }


def alert_json(alert: Alert) -> Json:
    """One alert."""
    return {
        "key": alert.key,
        "rule": alert.rule,
        "device": alert.device,
        "stream": alert.stream,
        "subject": alert.subject,
        "severity": alert.severity,
        "state": alert.state,
        "says": alert.says,
        "hint": alert.hint,
        "since": _iso(alert.since),
        "opened_at": _iso(alert.opened_at),
        "changed_at": _iso(alert.changed_at),
        "until": _iso(alert.until),
    }


def label_of(stream: str | None, collector: str | None) -> str:
    """What a person calls a stream, or a process without one."""
    if stream is not None:
        return STREAMS[stream].label if stream in STREAMS else stream
    return PARTS.get(collector or "", collector or "?")


def _device(device: DeviceFacts, now_us: int) -> Json:
    return {
        "device": device.device,
        "state": device.state,
        "last_seen_at": _iso(device.last_seen_at),
        "version": device.version,
        "config_revision": device.config_revision,
        "config_hash": device.config_hash,
        "uptime_s": device.uptime_s,
        "disk_free_bytes": device.disk_free_bytes,
        "disk_full_at": _iso(full_at(device.disk_free_series)),
        "skew_s": None if device.skew_us is None else device.skew_us / US_PER_S,
        "paused": during(device.paused, now_us),
        "activitywatch": device.extra.get("activitywatch"),
        "streams": [
            _stream(stream, device.pulse_at or device.last_seen_at, now_us)
            for stream in device.streams
        ],
        "spells": _spells((*device.off, *device.suspended, *device.paused), now_us),
    }


def _stream(stream: StreamFacts, seen_at: int, now_us: int) -> Json:
    return {
        "stream": stream.stream,
        "collector": stream.collector,
        "label": label_of(stream.stream, stream.collector),
        "state": stream.state,
        "enabled": stream.enabled,
        "last_capture_at": _iso(stream.last_capture_at),
        "last_ack_at": _iso(stream.last_ack_at),
        "newest_at": _iso(stream.newest_at),
        "spool_bytes": stream.spool_bytes,
        "spool_oldest_at": _iso(stream.spool_oldest_at),
        "lag_s": _lag_s(stream, seen_at),
        "errors": stream.errors,
        "last_error": stream.last_error,
        "restarts_hour": rise(stream.restarts_series, now_us - HOUR_US),
        "cpu_percent": stream.cpu_percent,
        "memory_bytes": stream.memory_bytes,
        "spells": _spells(stream.history, now_us),
    }


def _lag_s(stream: StreamFacts, seen_at: int) -> float | None:
    """How old what waited longest was when the device told of it; 0 if nothing waited."""
    if not stream.spool_bytes:
        return None if stream.spool_bytes is None else 0.0
    if stream.spool_oldest_at is None:
        return None
    return max(0.0, (seen_at - stream.spool_oldest_at) / US_PER_S)


def _spells(spells: Sequence[Spell], now_us: int) -> list[Json]:
    """Those of the last day."""
    return [
        {"start": _iso(max(start, now_us - DAY_US)), "end": _iso(end), "state": state}
        for start, end, state in sorted(spells)
        if end is None or end > now_us - DAY_US
    ]


def _storage(storage: StorageFacts) -> Json:
    return {
        "url": storage.url,
        "total_bytes": storage.total_bytes,
        "day_bytes": storage.day_bytes,
        "disk_total_bytes": storage.disk_total_bytes,
        "disk_free_bytes": storage.disk_free_bytes,
        "full_at": _iso(storage.full_at),
        "tables": [
            {
                "stream": table.stream,
                "label": label_of(table.stream, None),
                "rows": table.rows,
                "files": table.files,
                "table_bytes": table.table_bytes,
                "content_bytes": table.content_bytes,
                "day_bytes": table.day_bytes,
                "newest_at": _iso(table.newest_at),
            }
            for table in storage.tables
        ],
    }


def _flow(flow: FlowFacts) -> Json:
    return {
        "name": flow.name,
        "enabled": flow.enabled,
        "every_s": flow.every_s,
        "cron": flow.cron,
        "state": flow.state,
        "failed": flow.failed,
        "message": flow.message,
        "started_at": _iso(flow.started_at),
        "ended_at": _iso(flow.ended_at),
        "well_at": _iso(flow.well_at),
        "running_since": _iso(flow.running_since),
        "next_at": _iso(flow.next_at),
        "failures": flow.failures,
    }


def _iso(at: int | None) -> str | None:
    """A time that any reader can show; None for what another program's row made of it."""
    return iso(at) if at is not None and MIN_US <= at < MAX_US else None
