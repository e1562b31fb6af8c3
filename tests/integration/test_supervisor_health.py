"""A device's health with real processes: silent collectors, ActivityWatch, the endpoint."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as families

from lifelog_lake.clock import SystemClock, iso
from lifelog_lake.collect.health import read_status
from tests.fixtures.aw import WINDOW, AwServer, an_aw, shared_aw  # noqa: F401
from tests.fixtures.aw_faults import FaultyProxy
from tests.fixtures.device import Device, a_device, gone, stop, wait_for  # noqa: F401

QUICK = "tick_s=0.1, status_s=0.2, pulse_s=0.5, fresh_s=8, backoff=Backoff(first_s=0.1, most_s=1.0)"


def status(device: Device) -> dict[str, Any]:
    found: dict[str, Any] = read_status(device.path / "run") or {}
    return found


def get(device: Device, path: str) -> tuple[int, str]:
    url = wait_for(lambda: status(device).get("endpoint", {}).get("url"), "the endpoint")
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def reasons(device: Device) -> list[str]:
    code, body = get(device, "/healthz")
    found: list[str] = json.loads(body)["reasons"]
    assert code == (503 if found else 200)
    return found


def sample(device: Device, name: str, **labels: str) -> float:
    for family in families(get(device, "/metrics")[1]):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return one.value
    return -1.0


def extra(device: Device) -> dict[str, Any]:
    """Of the newest pulse."""
    found = device.rows("pulse")[-1].get("extra")
    return found if isinstance(found, dict) else json.loads(str(found or "{}"))


def logged(device: Device) -> list[str]:
    text = (device.path / "logs" / "lifelog-supervisor.jsonl").read_text("utf-8")
    return [m for line in text.splitlines() if (m := json.loads(line).get("message"))]


def listening(**more: str) -> dict[str, str]:
    return {"LIFELOG_HEALTH__LISTEN": "127.0.0.1:0", **more}


def test_one_that_beats_without_data_is_started_again(device: Device) -> None:
    device.use("blind", "second")
    device.mark("sees")
    env = listening(
        WATCHER_TIMESTAMP_THRESHOLD_MINUTES="0.01",
        LIFELOG_HEALTH__STALE_AFTER_MINUTES_BY_STREAM='{"audio": 0}',
    )
    device.supervise(env=env, timing=QUICK)
    pid, other = device.pid("blind"), device.pid("second")
    wait_for(lambda: device.child("blind")["observed_at"], "an observation")
    wait_for(lambda: reasons(device) == [], "health")
    (device.fakes / "sees").unlink()
    row = device.told("restarted", "blind")
    assert "no event of sensor since" in str(row["reason"])
    assert gone(pid)
    at = device.status()["blind"]["observed_at"]["sensor"]  # type: ignore[index]
    assert logged(device) == [f"last event timestamp is too old: {iso(at)}. Restarting."]
    wait_for(lambda: device.pid("blind", "stale") != pid, "a new process that sees nothing", 120)
    wait_for(lambda: any("blind" in one for one in reasons(device)), "a reason")
    assert sample(device, "lifelog_restarts_total", collector="blind") == 1
    assert sample(device, "lifelog_stream_well", collector="blind", stream="sensor") == 0
    device.mark("sees")
    wait_for(lambda: reasons(device) == [], "health again")
    assert sample(device, "lifelog_stream_well", collector="blind", stream="sensor") == 1
    assert device.pid("second") == other
    assert not device.lifecycle("restarted", "second")


def test_the_metrics_of_a_real_device_move(device: Device) -> None:
    device.use("ticker")
    device.supervise(env=listening(), timing=QUICK)
    pid = device.pid("ticker")
    stream = {"stream": "sensor"}
    both = {"stream": "sensor", "collector": "ticker"}
    wait_for(lambda: sample(device, "lifelog_captured_events_total", **stream) > 3, "events")
    wait_for(lambda: sample(device, "lifelog_captured_bytes_total", **both) > 300, "bytes")
    wait_for(lambda: sample(device, "lifelog_cpu_seconds_total", collector="ticker") > 0, "CPU")
    assert sample(device, "lifelog_shipped_events_total", **stream) == 0
    assert sample(device, "lifelog_lag_seconds", **stream) > 0
    assert sample(device, "lifelog_spool_bytes", **stream) > 300
    assert sample(device, "lifelog_resident_memory_bytes", collector="ticker") > 1e6
    assert sample(device, "lifelog_resident_memory_bytes", collector="supervisor") > 1e6
    assert sample(device, "lifelog_up", collector="ticker") == 1
    before = {
        name: sample(device, name, **labels)
        for name, labels in (
            ("lifelog_captured_bytes_total", both),
            ("lifelog_cpu_seconds_total", {"collector": "ticker"}),
            ("lifelog_last_observation_timestamp_seconds", both),
        )
    }
    os.kill(pid, signal.SIGKILL)
    wait_for(
        lambda: sample(device, "lifelog_restarts_total", collector="ticker") == 1, "the restart"
    )
    assert sample(device, "lifelog_errors_total", collector="ticker") >= 1
    for name, value in before.items():  # a counter goes on over the lives of a collector
        labels = {"collector": "ticker"} if "cpu" in name else both
        wait_for(lambda: sample(device, name, **labels) > value, name)  # noqa: B023


def test_a_port_that_is_taken_is_told_and_stops_nothing(device: Device) -> None:
    device.use("ticker")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        device.supervise(env={"LIFELOG_HEALTH__LISTEN": f"127.0.0.1:{port}"}, timing=QUICK)
        wait_for(lambda: device.rows("sensor"), "rows")
        told = wait_for(lambda: status(device).get("endpoint"), "the status")
        assert told["url"] is None
        assert f"127.0.0.1:{port} can't be had" in told["problem"]
    assert wait_for(lambda: reasons(device) == [], "it is served once the port is free")


def test_activitywatch_stops_answers_garbage_and_is_back(device: Device, aw: AwServer) -> None:
    """A real server; the proxy before it answers HTML for a while."""
    aw.bucket("aw-watcher-window_health", WINDOW)
    proxy = FaultyProxy(aw.url)
    section = f'url = "{proxy.url}"\nevery_s = 0.5\ntimeout_s = 5\nstreams = ["window"]\n'
    device.configure(f"[collectors.activitywatch]\n{section}[collectors.screen]\nenabled = false\n")
    env = listening(
        LIFELOG_COLLECTORS__ACTIVITYWATCH__ENABLED="true",
        LIFELOG_HEALTH__ACTIVITYWATCH_EVERY_S="2",
        LIFELOG_HEALTH__STALE_AFTER_MINUTES_BY_STREAM='{"window": 0.05}',
    )

    def state() -> str | None:
        return (status(device).get("activitywatch") or {}).get("state")

    try:
        process = device.supervise(env=env, timing=QUICK)
        wait_for(lambda: state() == "healthy", "a healthy server")
        wait_for(lambda: extra(device).get("activitywatch", {}).get("state") == "healthy", "pulse")
        first = extra(device)["activitywatch"]
        assert "0.12" in first["version"]
        assert sample(device, "lifelog_activitywatch_up") == 1
        proxy.fault, proxy.only = "html", b"/api/0/info"  # its buckets are read all the while
        wait_for(lambda: state() == "degraded", "garbage that is noticed")
        wait_for(lambda: any("answers with HTML" in one for one in reasons(device)), "a reason")
        device.child("activitywatch")
        proxy.fault = None
        wait_for(lambda: state() == "healthy", "a healthy server")
        aw.kill()
        proxy.fault, proxy.only = "away", b""
        wait_for(lambda: state() in ("unhealthy", "degraded"), "a dead server that is noticed")
        assert any(one.startswith("ActivityWatch server unhealthy: ") for one in logged(device))
        device.told("unavailable", "activitywatch")
        wait_for(lambda: extra(device)["activitywatch"]["state"] != "healthy", "the pulse")
        told = extra(device)["activitywatch"]
        assert told["version"] == first["version"]
        assert told["healthy_at"] >= first["healthy_at"]
        assert sample(device, "lifelog_activitywatch_up") == 0
        aw.start()
        proxy.fault = None
        wait_for(lambda: state() == "healthy", "the server is back")
        device.told("available", "activitywatch")
        # Its watcher sends one heartbeat, and dies.
        aw.heartbeat("aw-watcher-window_health", SystemClock().wall_us() // 1000, 1.0, app="a")
        told = wait_for(lambda: extra(device).get("silent"), "a dead watcher that is noticed")[0]
        assert (told["stream"], told["restarts"]) == ("window", 0)
        assert told["reason"].startswith("aw-watcher-window has sent nothing since")
        assert extra(device)["activitywatch"]["state"] == "healthy"
        wait_for(lambda: any(told["reason"] in one for one in reasons(device)), "a reason")
        aw.heartbeat("aw-watcher-window_health", SystemClock().wall_us() // 1000, 1.0, app="b")
        wait_for(lambda: "silent" not in extra(device), "the watcher is back")
        assert not device.lifecycle("restarted", "activitywatch")
        assert stop(process) == 0
    finally:
        proxy.stop()
