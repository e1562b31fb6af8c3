"""The fleet's metrics: each has a help, a unit and a meaning, and moves with its fact."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from lifelog_lake.care.facts import (
    DeviceFacts,
    Fleet,
    FlowFacts,
    FlowsFacts,
    Sample,
    Spell,
    StorageFacts,
    StreamFacts,
    TableFacts,
    VerifyFacts,
)
from lifelog_lake.care.health.model import Alert
from lifelog_lake.server.metrics import PREFIX, FleetMetrics, exposition

S = 1_000_000
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def fleet(n: int) -> Fleet:
    """One whose every fact depends on ``n``."""
    stream = StreamFacts(
        device="d",
        stream="screen",
        collector="screen",
        state=f"state {n}",
        enabled=True,
        last_capture_at=n * S,
        last_ack_at=2 * n * S,
        newest_at=3 * n * S,
        spool_bytes=4 * n,
        spool_oldest_at=5 * n * S,
        errors=6 * n,
        restarts=7 * n,
        cpu_percent=8.0 * n,
        memory_bytes=9 * n,
    )
    device = DeviceFacts(
        device="d",
        last_seen_at=10 * n * S,
        state="running",
        version=f"v{n}",
        config_revision=None,
        config_hash="abc",
        uptime_s=11.0 * n,
        disk_free_bytes=12 * n,
        skew_us=13 * n * S,
        streams=(stream, replace(stream, stream=None, collector="ship", spool_bytes=None)),
        quarantined=(Sample(0, 14.0 * n), Sample(0, 1.0)),
        lost=(Sample(0, 15.0 * n),),
        paused=(Spell(0, None, "paused"),) if n % 2 else (),
    )
    table = TableFacts(
        stream="screen", rows=16 * n, files=17 * n, table_bytes=18 * n, content_bytes=19 * n,
        day_bytes=20.0 * n,
    )  # fmt: skip
    flow = FlowFacts(
        name="compact", enabled=True, every_s=60.0, ended_at=21 * n * S, well_at=22 * n * S,
        next_at=23 * n * S, failures=24 * n,
    )  # fmt: skip
    return Fleet(
        at=25 * n * S,
        storage=StorageFacts(
            url="/lake", tables=(table,), disk_total_bytes=26 * n, disk_free_bytes=27 * n,
            full_at=28 * n * S,
        ),
        devices=(device,),
        flows=FlowsFacts(at=29 * n * S, flows=(flow,)),
        verified=VerifyFacts(at=30 * n * S, device="d", read_data=True, count=31 * n),
        troubles=("x",) * n,
    )  # fmt: skip


def alerts(n: int) -> list[Alert]:
    one = Alert(
        key="a", rule="r", device="d", stream="", subject="", severity="warning", state="open",
        says="", hint="", since=None, opened_at=0, changed_at=0,
    )  # fmt: skip
    gone = replace(one, state="resolved", severity="critical")
    return [gone, *[replace(one, key=str(number)) for number in range(n)]]


def families(n: int) -> dict[str, Metric]:
    return {one.name: one for one in FleetMetrics(fleet(n), alerts(n)).collect()}


@pytest.mark.parametrize("name", sorted(families(1)))
def test_each_metric_has_help_and_unit_and_moves(name: str) -> None:
    before, after = families(1)[name], families(2)[name]
    assert name.startswith(f"{PREFIX}_")
    assert before.documentation.endswith(".")
    assert before.type in {"gauge", "counter", "info"}
    assert before.type == "info" or name.endswith(f"_{before.unit}")
    assert before.type == "info" or before.unit
    assert before.samples, "nothing is told"

    def told(metric: Metric) -> dict[tuple[tuple[str, str], ...], float]:
        return {tuple(sorted(s.labels.items())): s.value for s in metric.samples}

    if before.type == "info":
        assert told(before).keys() != told(after).keys()
        return
    moved = [labels for labels, value in told(before).items() if told(after)[labels] > value]
    assert moved


def test_its_own_client_reads_it() -> None:
    kind, text = exposition(fleet(3), alerts(3), "")
    assert kind.startswith("text/plain")
    parsed = {one.name: one for one in text_string_to_metric_families(text.decode())}
    capture = parsed["lifelog_fleet_stream_last_capture_timestamp_seconds"]
    assert {s.labels["collector"]: s.value for s in capture.samples} == {"screen": 3.0, "ship": 3.0}
    assert parsed["lifelog_fleet_stream_cpu_ratio"].samples[0].value == 0.24
    (lost,) = parsed["lifelog_fleet_device_lost_rows"].samples
    assert lost.value == 45.0
    (quarantined,) = parsed["lifelog_fleet_device_quarantined_rows"].samples
    assert quarantined.value == 43.0
    (spool,) = parsed["lifelog_fleet_stream_spool_bytes"].samples  # what is unknown is left out
    assert spool.value == 12.0
    by_state = {
        (s.labels["severity"], s.labels["state"]): s.value
        for s in parsed["lifelog_fleet_alerts_open_alerts"].samples
    }
    assert by_state["warning", "open"] == 3.0
    assert sum(by_state.values()) == 3.0
    kind, text = exposition(fleet(3), alerts(3), OPEN_METRICS)
    assert kind.startswith("application/openmetrics-text")
    units = {one.name: one.unit for one in open_metrics(text.decode())}
    assert units["lifelog_fleet_stream_errors"] == "errors"
    assert units["lifelog_fleet_device_disk_free_bytes"] == "bytes"


def test_hostile_labels_stay_labels() -> None:
    device = replace(fleet(1).devices[0], device='a"} 1\nlifelog_fleet_x{b="\\')
    _, text = exposition(replace(fleet(1), devices=(device,)), [], "")
    parsed = {one.name: one for one in text_string_to_metric_families(text.decode())}
    assert "lifelog_fleet_x" not in parsed
    (seen,) = parsed["lifelog_fleet_device_last_seen_timestamp_seconds"].samples
    assert seen.labels["device"] == device.device


def test_an_empty_fleet_has_metrics_too() -> None:
    empty = Fleet(at=S, storage=StorageFacts(url="s3://lake"))
    _, text = exposition(empty, [], "")
    parsed = {one.name for one in text_string_to_metric_families(text.decode())}
    assert "lifelog_fleet_look_timestamp_seconds" in parsed
