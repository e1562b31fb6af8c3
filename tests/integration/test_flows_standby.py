"""Prefect stopped: somebody still looks, and says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.standby import Standby
from lifelog_lake.care import flow_status
from lifelog_lake.care.facts import FlowsFacts
from lifelog_lake.care.health import ran
from lifelog_lake.care.health.alerts import Book
from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.home import Home
from tests.fixtures.device import wait_for
from tests.helpers import make_home

ENV = {"LIFELOG_HEALTH__EVERY_S": "1", "LIFELOG_ALERTS__RESOLVE_AFTER_S": "0"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    made = make_home(tmp_path / "home")
    (made.path / "health.toml").write_text("[disk]\nenabled = false\n")
    return made


@contextmanager
def flows_of(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """The flows' process as the supervisor starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "--home", str(home.path)],
        env=os.environ | ENV,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        assert process.stdin is not None
        process.stdin.close()


def open_alerts(home: Home) -> list[str]:
    with Book(home, SystemClock()) as book:
        return [alert.key for alert in book.alerts() if alert.is_open]


def said(home: Home, at_us: int) -> None:
    flow_status.write(home.run, FlowsFacts(at=at_us))


def test_a_prefect_that_cannot_start_becomes_an_alert_and_ends(home: Home) -> None:
    now_us = SystemClock().wall_us()
    said(home, now_us - 3600 * US_PER_S)
    (home.path / "prefect").write_bytes(b"")  # no directory can be made there
    with flows_of(home) as process:
        assert process.wait(120) != 0
    assert open_alerts(home) == ["flows/-/-"]
    assert ran.last_s(home.run) > 0
    (home.path / "prefect").unlink()
    with flows_of(home) as process:
        wait_for(lambda: open_alerts(home) == [], "The alert's end, by Prefect's own run")
        assert process.poll() is None


def test_it_starts_the_job_when_nobody_did(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.standby.GRACE_S", 0.0)
    standby = Standby(home)
    standby.look()
    assert ran.last_s(home.run) == 0

    def has_run() -> bool:
        standby.look()
        return ran.last_s(home.run) > 0

    wait_for(has_run, "A health run without Prefect")
    standby.stop()


def test_it_leaves_alone_what_runs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    standby = Standby(home)
    clock_s = [standby._since_s]
    monkeypatch.setattr("time.monotonic", lambda: clock_s[0])
    for _ in range(20):
        clock_s[0] += 20.0
        ran.note(home, SystemClock())
        standby.look()
        assert standby._process is None
