"""The device's endpoint: what it answers, to whom, and that its text is Prometheus'."""

from __future__ import annotations

import http.client
import json
import mmap
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as families

from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect.endpoint import SILENT_S, Endpoint, Snapshot
from lifelog_lake.spool import StreamStats
from tests.helpers import T0, FixedClock

LOOPBACK = ("127.0.0.1", 0)


class Clock(FixedClock):
    """The monotonic clock by hand."""

    s = 100.0

    def monotonic_s(self) -> float:
        return self.s


def a_child(**more: Any) -> dict[str, Any]:
    told = {
        "state": "running", "stale": [], "streams": ["screen"], "pid": 7, "errors": 1,
        "restarts": 2, "cpu_s": 3.5, "rss_bytes": 4096, "observed_at": {"screen": T0},
        "written_bytes": {"screen": 500}, "unseen": {}, "reason": "", "last_error": None,
    }  # fmt: skip
    return told | more


def a_status(**more: Any) -> dict[str, Any]:
    told = {
        "device": 'a "device"\n', "version": "1.2.3", "at": T0, "started_at": T0 - 60 * US_PER_S,
        "pause": None, "rows_waiting": 0, "disk_free_bytes": 10**9,
        "children": {"screen": a_child()},
    }  # fmt: skip
    return told | more


STATS = StreamStats(
    epoch="e", next_seq=12, acked_seq=4, pending_rows=7, pending_bytes=900,
    oldest_at=T0 - 30 * US_PER_S, newest_at=T0, last_ack_at=T0 - 31 * US_PER_S,
)  # fmt: skip
NO_STATS = StreamStats(
    epoch="e", next_seq=0, acked_seq=-1, pending_rows=0, pending_bytes=0,
    oldest_at=None, newest_at=None, last_ack_at=None,
)  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint(clock: Clock) -> Iterator[Endpoint]:
    made = Endpoint(LOOPBACK, clock)
    made.open()
    yield made
    made.close()


def show(endpoint: Endpoint, status: dict[str, Any], **more: Any) -> None:
    more.setdefault("stats", {"screen": STATS})
    more.setdefault("own_bytes", {"pulse": 77})
    endpoint.show(Snapshot(status=status, at_s=100.0, **more))


def get(
    endpoint: Endpoint, path: str, *, method: str = "GET", **headers: str
) -> tuple[int, str, dict[str, str]]:
    url = str(endpoint.told()["url"])
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": url.removeprefix("http://")} | headers).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode(), dict(answer.headers)
    finally:
        connection.close()


def test_it_is_well_or_says_why_not(endpoint: Endpoint, clock: Clock) -> None:
    assert get(endpoint, "/healthz")[0] == 503  # nothing is known yet
    show(endpoint, a_status())
    code, body, headers = get(endpoint, "/healthz")
    assert (code, json.loads(body)["status"], json.loads(body)["reasons"]) == (200, "ok", [])
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"
    clock.s += SILENT_S + 1  # nobody has told anything new
    code, body, _ = get(endpoint, "/healthz")
    assert code == 503
    assert "hasn't come round" in json.loads(body)["reasons"][0]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (a_status(children={"screen": a_child(state="unavailable", reason="No display.")}),
         "screen is unavailable: No display."),
        (a_status(children={"screen": a_child(stale=["screen"], unseen={"screen": "why"})}),
         "screen: screen is stale: why"),
        (a_status(activitywatch={"state": "degraded", "reason": "HTML", "checked_at": T0}),
         "ActivityWatch server degraded: HTML"),
        (a_status(care={"state": "stopped", "reason": "The hub's care has not run."}),
         "The hub's care has not run."),
        (a_status(rows_waiting=3), "3 of the supervisor's own rows"),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_a_reason(
    endpoint: Endpoint, status: dict[str, Any], reason: str
) -> None:
    show(endpoint, status)
    code, body, _ = get(endpoint, "/healthz")
    assert code == 503
    assert [one[: len(reason)] for one in json.loads(body)["reasons"]] == [reason]


def test_a_pause_is_well(endpoint: Endpoint) -> None:
    child = a_child(state="paused")
    show(endpoint, a_status(children={"screen": child}, pause={"since": T0, "until": None}))
    assert get(endpoint, "/healthz")[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.2:8770", "", "localhost.", "[::"]
)
def test_a_foreign_name_is_refused(endpoint: Endpoint, host: str) -> None:
    """A web page may have its own name point to this machine."""
    show(endpoint, a_status())
    for path in ("/healthz", "/metrics", "/"):
        code, body, _ = get(endpoint, path, Host=host)
        assert code == 421
        assert "screen" not in body


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8770", "LOCALHOST"])
def test_names_of_this_machine_are_taken(endpoint: Endpoint, host: str) -> None:
    show(endpoint, a_status())
    assert get(endpoint, "/healthz", Host=host)[0] == 200


def test_other_paths_and_methods(endpoint: Endpoint) -> None:
    show(endpoint, a_status())
    assert get(endpoint, "/../config.toml")[0] == 404
    assert get(endpoint, "/healthz", method="POST")[0] == 501
    code, body, headers = get(endpoint, "/healthz", method="HEAD")
    assert (code, body) == (200, "")
    assert int(headers["Content-Length"]) > 10


def test_it_is_on_loopback_only(endpoint: Endpoint) -> None:
    url = str(endpoint.told()["url"])
    assert url.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_told_and_tried_again(clock: Clock) -> None:
    with socket.create_server(LOOPBACK) as taken:
        port = taken.getsockname()[1]
        second = Endpoint(("127.0.0.1", port), clock)
        second.open()
        told = second.told()
        assert told["url"] is None
        assert f"127.0.0.1:{port}" in str(told["problem"])
        assert "[health] listen" in str(told["problem"])
    second.open()
    try:
        assert second.told() == {"url": f"http://127.0.0.1:{port}", "problem": None}
    finally:
        second.close()


def test_it_may_be_off(clock: Clock) -> None:
    off = Endpoint(None, clock)
    off.open()
    assert off.told() == {"url": None, "problem": None}
    off.close()


def metrics(endpoint: Endpoint) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    code, text, headers = get(endpoint, "/metrics")
    assert code == 200
    assert headers["Content-Type"].startswith("text/plain")
    found = {}
    for family in families(text):
        assert len(family.documentation) > 5, family.name
        for sample in family.samples:
            key = (sample.name, *(value for _, value in sorted(sample.labels.items())))
            assert key not in found, "one series twice"
            found[key] = sample.value
    return found


def test_before_anything_is_known_there_is_nothing(endpoint: Endpoint) -> None:
    assert metrics(endpoint) == {}


def test_it_is_open_metrics_with_units_too(endpoint: Endpoint) -> None:
    show(endpoint, everything(1))
    accept = "application/openmetrics-text; version=1.0.0"
    code, text, headers = get(endpoint, "/metrics", Accept=accept)
    assert code == 200
    assert "openmetrics" in headers["Content-Type"]
    found = list(open_metrics(text))
    without = {"lifelog_paused", "lifelog_up", "lifelog_activitywatch_up", "lifelog_hub_care_up",
               "lifelog_stream_well", "lifelog_stream_silent", "lifelog_device"}  # fmt: skip
    assert {family.name for family in found if not family.unit} == without
    assert all(family.documentation for family in found)


def everything(n: int) -> dict[str, Any]:
    """A status in which each figure depends on ``n``, 0 or 1."""
    child = a_child(
        pid=n or None, errors=n, restarts=n, cpu_s=n, rss_bytes=4096 + n,
        observed_at={"screen": T0 + n * US_PER_S}, written_bytes={"screen": n},
        state="running" if n else "error",
    )  # fmt: skip
    return a_status(
        at=T0 + n * US_PER_S, rows_waiting=n, disk_free_bytes=n, children={"screen": child},
        pause={"since": T0, "until": None} if n else None,
        activitywatch={"state": "healthy" if n else "unhealthy", "checked_at": T0 + n * US_PER_S},
        care={"state": "running" if n else "stopped"}, version=f"{n}",
        silent=[{"stream": "screen", "collector": "screen"}] * n,
    )  # fmt: skip


def test_every_metric_moves(endpoint: Endpoint) -> None:
    """With the world: a sample that is the same before and after measures nothing."""
    show(endpoint, everything(0), stats={"screen": STATS}, own_bytes={"pulse": 1})
    before = metrics(endpoint)
    moved = StreamStats(
        epoch="e", next_seq=13, acked_seq=5, pending_rows=8, pending_bytes=901,
        oldest_at=T0 - 20 * US_PER_S, newest_at=T0, last_ack_at=T0,
    )  # fmt: skip
    sum(number * number for number in range(2_000_000))  # our own processor time counts, too
    kept = mmap.mmap(-1, 64 * 2**20)  # pages of its own: the allocator may have had others left
    for page in range(0, len(kept), mmap.PAGESIZE):
        kept[page] = 1
    show(endpoint, everything(1), stats={"screen": moved}, own_bytes={"pulse": 2})
    after = metrics(endpoint)
    kept.close()
    known = {key for key in before if key[0] != "lifelog_device_info"}
    assert len(known) > 25
    assert known == {key for key in after if key[0] != "lifelog_device_info"}
    assert [key for key in known if before[key] == after[key]] == []


def test_the_figures_are_right(endpoint: Endpoint) -> None:
    show(endpoint, a_status(), stats={"screen": STATS, "audio": NO_STATS})
    found = metrics(endpoint)
    assert found["lifelog_captured_events_total", "screen"] == 12
    assert found["lifelog_shipped_events_total", "screen"] == 5
    assert found["lifelog_shipped_events_total", "audio"] == 0
    assert found["lifelog_spool_events", "screen"] == 7
    assert found["lifelog_spool_bytes", "screen"] == 900
    assert found["lifelog_lag_seconds", "screen"] == 30
    assert found["lifelog_lag_seconds", "audio"] == 0
    assert ("lifelog_spool_oldest_timestamp_seconds", "audio") not in found
    assert found["lifelog_spool_oldest_timestamp_seconds", "screen"] == T0 / 1e6 - 30
    assert found["lifelog_captured_bytes_total", "screen", "screen"] == 500
    assert found["lifelog_captured_bytes_total", "supervisor", "pulse"] == 77
    assert found["lifelog_restarts_total", "screen"] == 2
    assert found["lifelog_errors_total", "screen"] == 1
    assert found["lifelog_cpu_seconds_total", "screen"] == 3.5
    assert found["lifelog_uptime_seconds",] == 60
