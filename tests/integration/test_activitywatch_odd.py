"""What ActivityWatch's data can look like after years: clocks that were wrong, doubles, imports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from collectors import activitywatch, aw_bucket
from collectors.activitywatch import ActivityWatchSettings
from tests.fixtures.aw import (  # noqa: F401 - two fixtures
    T0_MS,
    WEB,
    WINDOW,
    AwServer,
    an_aw,
    event,
    shared_aw,
)
from tests.fixtures.aw_device import AwDevice, exported
from tests.fixtures.aw_faults import FaultyProxy

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW = (T0_MS + 40 * DAY_MS) * 1000


@pytest.fixture(name="proxy")
def a_proxy(aw: AwServer) -> Iterator[FaultyProxy]:
    """A proxy before the server."""
    proxy = FaultyProxy(aw.url)
    yield proxy
    proxy.stop()


def test_a_server_that_is_in_trouble_for_long_costs_no_history(
    aw: AwServer, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what it can't give while it gives other things is passed over."""
    monkeypatch.setattr(aw_bucket, "PAGE_EVENTS", 50)
    monkeypatch.setattr(activitywatch, "BUDGET_S", 0.0)
    name = aw.bucket("window_trouble", WINDOW)
    aw.insert(name, [event(T0_MS + n * HOUR_MS, 10, app=str(n)) for n in range(900)])
    device = AwDevice(tmp_path / "home", proxy.url, now=NOW)
    for _ in range(3):
        device.runner.turn()
    assert device.beat.share is not None
    proxy.fault, proxy.only = "http-500", b"/events"
    for _ in range(100):
        device.runner.turn()
    assert device.beat.state == "error"
    proxy.fault = None
    device.read()
    assert device.shipped() == exported(aw.export())


def test_the_same_event_twice_is_one_as_long_as_the_longer(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("window_double", WINDOW)
    lengths = (5, 20, 7, 7, 0)
    aw.insert(name, [event(T0_MS, length, app="a") for length in lengths])
    aw.insert(name, [event(T0_MS + 30_000, 7, app="b")])
    device = AwDevice(tmp_path / "home", aw, now=NOW)
    device.read()
    assert [told[2] for told in device.shipped()] == [20_000, 7_000]


def test_a_private_window_is_in_no_file_whatever_its_event_is(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("web_private", WEB)
    secret = {"url": "https://secret/", "title": "secret"}
    aw.insert(
        name,
        [
            event(T0_MS, -5, **secret, incognito=True),
            event(T0_MS + 1_000, 5, **secret, incognito="true"),
            event(T0_MS + 2_000, 5, **secret, incognito=1),
            event(T0_MS + 9_000, 5, url="https://open/", incognito=None),
        ],
    )
    device = AwDevice(tmp_path / "home", aw, now=NOW)
    device.read()
    assert len(device.shipped()) == 1
    everything = b"".join(p.read_bytes() for p in device.home.path.rglob("*") if p.is_file())
    assert b"secret" not in everything
    (cursor,) = device.spool.cursor("web").values()
    assert (cursor["counts"]["private"], cursor["counts"]["refused"]) == (2, 1)


def test_a_password_in_the_address_is_used_and_not_told(tmp_path: Path) -> None:
    device = AwDevice(tmp_path / "home", "http://me:hunter2@127.0.0.1:9", now=NOW)
    device.runner.turn()
    assert "at http://127.0.0.1:9." in device.beat.reason
    with pytest.raises(ValidationError):
        ActivityWatchSettings(url="http://[::1")
