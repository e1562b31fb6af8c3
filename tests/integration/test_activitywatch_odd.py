"""What ActivityWatch's data can look like after years: clocks that were wrong, doubles, imports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from collectors import activitywatch, aw_bucket
from collectors.activitywatch import ActivityWatchSettings
from lifelog_lake.pause import clear_pause, set_pause
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
from tests.helpers import lifecycle

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


def test_events_of_the_future_wait_and_hide_nothing(
    aw: AwServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that was hours ahead left more of them than an answer holds."""
    monkeypatch.setattr(aw_bucket, "PAGE_EVENTS", 50)
    name = aw.bucket("window_future", WINDOW)
    aw.insert(name, [event(T0_MS + n * 1_000, 1, app=f"{n}") for n in range(30)])
    future = [event(T0_MS + 3 * HOUR_MS + n * 1_000, 1, app=f"future {n}") for n in range(100)]
    aw.insert(name, future)
    device = AwDevice(tmp_path / "home", aw, now=(T0_MS + HOUR_MS) * 1000)
    device.read()
    device.read()
    begin = T0_MS + HOUR_MS
    aw.insert(name, [event(begin + n * 1_000, 1, app=f"now {n}") for n in range(3)])
    device.clock.pass_s(10)
    device.read()
    assert len(device.shipped()) == 32  # at once; the newest may still grow
    device.clock.pass_s(4 * 3_600)
    device.read()
    assert device.shipped() == exported(aw.export())
    assert device.beat.errors == 0


@pytest.mark.parametrize("alive", [True, False])
def test_after_a_clock_that_was_ahead_all_is_read(
    aw: AwServer, tmp_path: Path, alive: bool
) -> None:
    """``alive``: whether lifelog ran when the clock was set right."""
    name = aw.bucket("window_ahead", WINDOW)
    ahead_ms = T0_MS + 400 * DAY_MS
    aw.insert(name, [event(ahead_ms, 1, app="ahead"), event(ahead_ms + 5_000, 1, app="ahead 2")])
    device = AwDevice(tmp_path / "home", aw, now=(ahead_ms + 60_000) * 1000)
    device.read()
    device.clock.now_us = T0_MS * 1000
    if alive:
        device.read()
    aw.insert(name, [event(T0_MS + n * 10_000, 1, app=f"{n}") for n in range(3)])
    device.restart()
    device.clock.pass_s(5 * 3_600)
    device.read()
    wanted = [told for told in exported(aw.export()) if "ahead 2" not in told[3]]
    assert device.shipped() == wanted


def test_history_that_is_imported_into_a_bucket_arrives(
    aw: AwServer, proxy: FaultyProxy, tmp_path: Path
) -> None:
    name = aw.bucket("window_import", WINDOW)
    aw.insert(name, [event(T0_MS + 20 * DAY_MS + n * 20_000, 15, app=f"{n}") for n in range(99)])
    device = AwDevice(tmp_path / "home", proxy.url, now=NOW)
    device.read()
    before = device.shipped()
    aw.insert(name, [event(T0_MS + n * 20_000, 15, app=f"old {n}") for n in range(99)])
    device.clock.pass_s(301)
    device.read()
    assert device.shipped() == before  # the past is counted once an hour
    device.clock.pass_s(3_600)
    device.read()
    assert device.shipped() == exported(aw.export())
    aw.insert(name, [event(T0_MS - DAY_MS, 15, app="older")])
    device.restart()  # and at each start
    device.read()
    assert device.shipped() == exported(aw.export())
    asked = len(proxy.asked)
    device.clock.pass_s(3_601)
    device.read()
    assert len(proxy.asked) - asked <= 4  # not read again without a reason


def test_a_server_that_counts_without_a_range_is_not_believed(
    aw: AwServer, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = aw.bucket("window_count", WINDOW)
    aw.insert(name, [event(T0_MS + n * 20_000, 15, app=f"{n}") for n in range(20)])
    monkeypatch.setattr(
        "collectors.aw_client.Server.count",
        lambda self, bucket, **_range: len(self.events(bucket, limit=99)),
    )
    device = AwDevice(tmp_path / "home", proxy.url, now=NOW)
    device.read()
    aw.insert(name, [event(T0_MS + 30 * DAY_MS, 15, app="new")])
    device.clock.pass_s(3_601)
    asked = len(proxy.asked)
    device.read()
    assert len(proxy.asked) - asked <= 4
    assert device.shipped() == exported(aw.export())


def test_a_restart_offers_nothing_again(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("window_restart", WINDOW)
    aw.insert(name, [event(T0_MS + n * 20_000, 15, app=f"{n}") for n in range(900)])
    device = AwDevice(tmp_path / "home", aw, now=(T0_MS + 900 * 20_000) * 1000)
    device.read()
    for n in range(900, 903):
        aw.insert(name, [event(T0_MS + n * 20_000, 15, app=f"{n}")])
        device.clock.pass_s(3_600 if n == 901 else 20)
        device.read()
    device.restart()
    device.read()
    device.clock.pass_s(301)
    device.read()
    device.clock.pass_s(3_600)
    device.read()
    assert device.shipped() == exported(aw.export())
    assert lifecycle(device.home, "present") == []
    late = event(T0_MS + 901 * 20_000 + 16_000, 2, app="late")  # while it was down
    aw.insert(name, [late, event(T0_MS + 950 * 20_000, 2, app="newest")])
    device.restart()
    device.clock.pass_s(3_600)
    device.read()
    assert device.shipped() == exported(aw.export())


def test_what_it_recorded_in_a_pause_stays_out(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("window_pause", WINDOW)
    begin_ms = NOW // 1000
    aw.insert(name, [event(begin_ms - HOUR_MS, 60, app="before")])
    device = AwDevice(tmp_path / "home", aw, now=NOW)
    device.read()
    set_pause(device.home.path, device.clock)
    device.runner.turn()
    aw.insert(name, [event(begin_ms - 600_000, 1200, app="around")])
    aw.insert(name, [event(begin_ms + 700_000, 60, app="secret")])
    device.clock.pass_s(1800)
    clear_pause(device.home.path, device.clock)
    aw.insert(name, [event(begin_ms + 1_900_000, 60, app="after")])
    device.clock.pass_s(3600)
    device.read()
    assert [(told[1] - begin_ms, told[2], told[3]) for told in device.shipped()] == [
        (-HOUR_MS, 60_000, '{"app": "before"}'),
        (-600_000, 600_000, '{"app": "around"}'),
        (1_900_000, 60_000, '{"app": "after"}'),
    ]
    assert not any(b"secret" in path.read_bytes() for path in files_of(device.home.path))


def files_of(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]
