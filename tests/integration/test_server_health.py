"""``/lifelog/api/health``, ``metrics`` and ``alerts`` of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from lifelog_lake.care.health import job
from lifelog_lake.clock import SystemClock, iso
from lifelog_lake.lake import parse_url
from tests.browser.hub import HOSTILE, Hub, new_home, start_hub, wait_until
from tests.fixtures.pulses import MINUTE_US, entry, pulse, record

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One device, in trouble, with an alert."""
    home = new_home(tmp_path_factory.mktemp("health"))
    at = SystemClock().wall_us() - MINUTE_US
    bad = entry("screen", "screen", at, state="error", errors=3, last_error=HOSTILE)
    record(home, pulse(at, [bad], version="0.0.1"))
    job.run(home, parse_url(home.lake_url, home), SystemClock())
    hub = start_hub(home)
    yield hub
    hub.stop()


def url(hub: Hub, name: str) -> str:
    return f"{hub.url}lifelog/api/{name}"


def test_the_fleet_as_json(hub: Hub) -> None:
    answer = hub.client().get(url(hub, "health"))
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    fleet = answer.json()
    (device,) = fleet["devices"]
    assert (device["device"], device["version"]) == (hub.home.device, "0.0.1")
    (screen,) = device["streams"]
    assert (screen["label"], screen["state"], screen["errors"]) == ("Screen", "error", 3)
    assert screen["last_error"] == HOSTILE
    assert screen["lag_s"] == 40.0
    assert screen["spells"] == [{"start": device["last_seen_at"], "end": None, "state": "error"}]
    assert fleet["storage"]["disk_free_bytes"] > 0
    assert {table["stream"] for table in fleet["storage"]["tables"]} >= {"pulse"}
    assert (fleet["flows"], fleet["verified"], fleet["troubles"]) == (None, None, [])
    assert [alert["state"] for alert in fleet["alerts"]] == ["open"] * len(fleet["alerts"])
    assert fleet["alerts"]


def test_what_is_new_is_seen(hub: Hub) -> None:
    at = SystemClock().wall_us()
    record(hub.home, pulse(at, [entry("screen", "screen", at, restarts=1)]))
    wait_until(
        "The new pulse isn't seen.",
        60,
        lambda: (
            hub.client().get(url(hub, "health")).json()["devices"][0]["last_seen_at"] == iso(at)
        ),
    )


def test_the_fleet_as_metrics(hub: Hub) -> None:
    answer = hub.client().get(url(hub, "metrics"))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    parsed = {one.name: one for one in text_string_to_metric_families(answer.text)}
    (seen,) = parsed["lifelog_fleet_device_last_seen_timestamp_seconds"].samples
    assert seen.labels == {"device": hub.home.device}
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = hub.client().get(url(hub, "metrics"), headers=accept)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    names = {name.removesuffix("_info") for name in parsed}
    assert {one.name for one in open_metrics(answer.text)} == names


@pytest.mark.parametrize("name", ["health", "metrics", "alerts"])
def test_a_stranger_gets_nothing(hub: Hub, name: str) -> None:
    import requests

    ask = requests.post if name == "alerts" else requests.get
    answer = ask(url(hub, name), timeout=60)
    assert answer.status_code == 401
    assert hub.home.device not in answer.text


def test_a_browser_without_its_second_cookie_answers_no_alert(hub: Hub) -> None:
    person = hub.person()
    assert person.post(url(hub, "alerts"), json={"do": "test"}).status_code == 403
    person.get(url(hub, "settings"))
    token = {"X-XSRFToken": person.cookies["_xsrf"]}
    told = person.post(url(hub, "alerts"), json={"do": "test"}, headers=token)
    assert told.json() == {"sent": 0, "failed": []}


def test_a_program_acknowledges_and_snoozes(hub: Hub) -> None:
    client = hub.client()
    key = client.get(url(hub, "health")).json()["alerts"][0]["key"]
    body = {"do": "acknowledge", "key": key}
    told = client.post(url(hub, "alerts"), json=body).json()["alert"]
    assert (told["key"], told["state"]) == (key, "acknowledged")
    body = {"do": "snooze", "key": key, "seconds": 60}
    told = client.post(url(hub, "alerts"), json=body).json()["alert"]
    assert told["state"] == "snoozed"
    assert told["until"]
    found = {one["key"]: one for one in client.get(url(hub, "health")).json()["alerts"]}
    assert found[key]["state"] == "snoozed"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"do": "resolve", "key": "a"}',
        b'{"do": "acknowledge"}',
        b'{"do": "acknowledge", "key": "nobody/-/-"}',
        b'{"do": "snooze", "key": "a/-/-", "seconds": -1}',
        b'{"do": "snooze", "key": "a/-/-", "seconds": true}',
        b'{"do": "snooze", "key": "a/-/-", "seconds": 1e300}',
        b'{"do": "snooze", "key": "a/-/-", "seconds": 99999999999999}',
    ],
)
def test_what_makes_no_sense_is_refused(hub: Hub, body: bytes) -> None:
    answer = hub.client().post(url(hub, "alerts"), data=body)
    assert answer.status_code in (400, 422)  # not as described, or without meaning
    assert answer.json()["hint"]


def test_a_lake_that_is_away_is_503(hub: Hub) -> None:
    lake = Path(hub.home.lake_url)
    lake.rename(lake.with_name("away"))
    try:
        wait_until(
            "The lake's absence isn't told.",
            60,
            lambda: hub.client().get(url(hub, "health")).status_code == 503,
        )
        assert hub.client().get(url(hub, "metrics")).status_code == 503
    finally:
        lake.with_name("away").rename(lake)
    wait_until(
        "The lake isn't found again.",
        60,
        lambda: hub.client().get(url(hub, "health")).status_code == 200,
    )
