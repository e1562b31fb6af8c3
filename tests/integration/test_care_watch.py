"""A device notices that the hub's care has stopped: by its mark in the lake."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lifelog_lake import hub_care, notice
from lifelog_lake.clock import US_PER_S, iso
from lifelog_lake.collect.health import read_status
from lifelog_lake.home import Home
from lifelog_lake.lake import care_mark
from lifelog_lake.lake.store import Store
from lifelog_lake.lake.target import parse_url
from lifelog_lake.ship.care_watch import CareWatch
from tests.fixtures.device import ROOT, wait_for
from tests.helpers import T0, FixedClock, make_home

EVERY_S, GRACE_S = 60.0, 300.0
LIMIT_S = 3 * EVERY_S + GRACE_S


class Clock(FixedClock):
    """The monotonic clock by hand too."""

    s = 0.0

    def monotonic_s(self) -> float:
        return self.s

    def go(self, seconds: float) -> None:
        self.s += seconds
        self.now_us += int(seconds * US_PER_S)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home", lake=tmp_path / "lake")


@pytest.fixture
def store(home: Home) -> Store:
    return parse_url(home.lake_url, home)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def notices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desktop's notify-send that writes down what it is told."""
    directory, told = tmp_path / "bin", tmp_path / "told"
    directory.mkdir()
    program = directory / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> "{told}"\necho >> "{told}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")
    return told


def mark(store: Store, clock: Clock, behind_s: float = 0.0) -> None:
    now = FixedClock(clock.now_us - int(behind_s * US_PER_S))
    care_mark.write(store, device="hub-1", every_s=EVERY_S, clock=now)


def known(home: Home) -> hub_care.HubCare:
    found = hub_care.read(home.run)
    assert found is not None
    return found


def test_where_no_hub_ever_was_nothing_is_said(home: Home, store: Store, clock: Clock) -> None:
    watch = CareWatch(home, store, clock)
    for _ in range(50):
        watch.look_if_due()
        clock.go(3600)
    assert hub_care.read(home.run) is None


def test_care_that_stops_is_said_once_and_when_it_is_back(
    home: Home, store: Store, clock: Clock, notices: Path
) -> None:
    watch = CareWatch(home, store, clock)
    for _ in range(20):  # well, for longer than the limit
        mark(store, clock)
        watch.look_if_due()
        clock.go(EVERY_S)
    assert known(home).state == "running"
    assert known(home).reason == ""
    last_us = clock.now_us - int(EVERY_S * US_PER_S)
    stopped_s = clock.s
    while known(home).state == "running":
        assert clock.s - stopped_s <= 1.25 * LIMIT_S
        clock.go(30)
        watch.look_if_due()
    assert clock.s - stopped_s >= LIMIT_S - EVERY_S
    said = known(home)
    assert iso(said.at_us) in said.reason
    assert "hub-1" in said.reason
    assert said.at_us == last_us
    since_us = said.since_us
    for _ in range(20):
        clock.go(3600)
        watch.look_if_due()
    CareWatch(home, store, clock).look_if_due()  # a shipper that was started again
    assert known(home).state == "stopped"
    assert known(home).since_us == since_us
    assert len(notices.read_text().splitlines()) == 1
    assert "care has stopped" in notices.read_text()
    mark(store, clock)
    clock.go(3600)
    watch.look_if_due()
    assert known(home).state == "running"
    clock.go(2 * LIMIT_S)
    watch.look_if_due()
    assert known(home).state == "stopped"
    assert len(notices.read_text().splitlines()) == 2, "another outage"


def test_a_wrong_clock_is_no_outage(home: Home, store: Store, clock: Clock) -> None:
    watch = CareWatch(home, store, clock)
    for _ in range(30):
        mark(store, clock, behind_s=86_400)  # the hub's clock, or ours
        watch.look_if_due()
        assert known(home).state == "running"
        clock.go(EVERY_S)
        clock.now_us += 600 * US_PER_S


def test_a_night_in_suspend_is_no_outage(home: Home, store: Store, clock: Clock) -> None:
    mark(store, clock)
    watch = CareWatch(home, store, clock)
    watch.look_if_due()
    clock.now_us += 9 * 3600 * US_PER_S
    clock.go(LIMIT_S / 2)
    watch.look_if_due()
    assert known(home).state == "running"
    fresh = CareWatch(home, store, clock)  # nor is one that the machine was off
    fresh.look_if_due()
    assert known(home).state == "running"


def test_a_lake_that_is_away_says_nothing(
    home: Home, store: Store, clock: Clock, tmp_path: Path
) -> None:
    mark(store, clock)
    watch = CareWatch(home, store, clock)
    watch.look_if_due()
    (tmp_path / "lake").rename(tmp_path / "unmounted")
    for _ in range(10):
        clock.go(3600)
        watch.look_if_due()
    assert known(home).state == "running"
    assert known(home).checked_us == T0
    (tmp_path / "unmounted").rename(tmp_path / "lake")
    watch.look_if_due()
    assert known(home).state == "stopped"


def test_a_mark_that_was_taken_away_gets_old_too(home: Home, store: Store, clock: Clock) -> None:
    mark(store, clock)
    watch = CareWatch(home, store, clock)
    watch.look_if_due()
    store.delete(care_mark.KEY, at="lake")
    clock.go(LIMIT_S)
    watch.look_if_due()
    assert known(home).state == "stopped"


def test_no_desktop_is_no_error(
    home: Home, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert not notice.show("title", "text")
    mark(store, clock)
    watch = CareWatch(home, store, clock)
    watch.look_if_due()
    clock.go(LIMIT_S)
    watch.look_if_due()
    assert known(home).state == "stopped"


def test_the_notice_may_be_off(tmp_path: Path, clock: Clock, notices: Path) -> None:
    home = make_home(tmp_path / "home", lake=tmp_path / "lake")
    settings = home.settings.model_copy(
        update={"health": home.settings.health.model_copy(update={"desktop_notice": False})}
    )
    quiet = Home(path=home.path, settings=settings, device=home.device)
    store = parse_url(home.lake_url, home)
    mark(store, clock)
    watch = CareWatch(quiet, store, clock)
    watch.look_if_due()
    clock.go(LIMIT_S)
    watch.look_if_due()
    assert known(home).state == "stopped"
    assert not notices.exists()


def test_a_real_device_says_it_in_its_status(tmp_path: Path, notices: Path) -> None:
    """Shipper and supervisor as they run, thresholds in seconds."""
    path = tmp_path / "home"
    env = {
        **os.environ,
        "LIFELOG_HEALTH__CARE_GRACE_S": "1",
        "LIFELOG_SHIP__EVERY_S": "1",
        "LIFELOG_COLLECTORS__SCREEN__ENABLED": "false",
        "PYTHONPATH": str(ROOT),
    }
    home = make_home(path)
    store = parse_url(home.lake_url, home)
    care_mark.write(store, device="hub-1", every_s=1.0, clock=FixedClock())
    argv = [sys.executable, "-m", "lifelog_lake", "--home", str(path)]
    device = subprocess.Popen(
        [*argv, "collect"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def status() -> dict[str, object]:
        done = subprocess.run([*argv, "status", "--json"], env=env, capture_output=True)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def care() -> dict[str, object]:
        told = (read_status(home.run) or {}).get("care")
        return told if isinstance(told, dict) else {}

    try:
        wait_for(lambda: care().get("state") == "stopped", "care that has stopped")
        told = status()
        (finding,) = told["findings"]  # type: ignore[misc]
        assert str(finding).startswith("The hub's care has not run since 2026-01-02T03:04:05")
        assert told["care"]["at"] == "2026-01-02T03:04:05.000000Z"  # type: ignore[index]
        wait_for(notices.exists, "the notice")
        care_mark.write(store, device="hub-1", every_s=3600.0, clock=FixedClock(T0 + 1))
        wait_for(lambda: care().get("state") == "running", "care that runs again")
        assert status()["findings"] == []
    finally:
        device.terminate()
        device.wait(timeout=60)
