"""What the service manager hears: a test plays systemd, supervisor and children are real."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lifelog_lake.clock import SystemClock
from lifelog_lake.collect.health import read_status
from lifelog_lake.errors import Locked
from lifelog_lake.locks import FileLock
from lifelog_lake.pause import set_pause
from tests.fixtures.device import Device, a_device, stop, wait_for  # noqa: F401
from tests.fixtures.systemd import Manager, a_manager  # noqa: F401

QUICK = "tick_s=0.1, status_s=0.1, backoff=Backoff(first_s=0.1, most_s=1.0)"
#: A child says something each five seconds at least.
BEATS = f"late_s=7, {QUICK}"
BEAT_S = 0.4
SILENT_S = 2.0

one_address = pytest.mark.parametrize("manager", ["path"], indirect=True)


def freeze(pid: int, path: Path) -> None:
    """Stop a collector's process, but not while it holds its stream's lock: the supervisor itself
    would stand still at the next pulse, which the second half of the test is for."""
    lock, process = FileLock(path), psutil.Process(pid)
    try:
        while True:
            os.kill(pid, signal.SIGSTOP)
            wait_for(lambda: process.status() == psutil.STATUS_STOPPED, "the collector's stop")
            with contextlib.suppress(Locked):
                lock.acquire_now("A test")
                return
            os.kill(pid, signal.SIGCONT)
    finally:
        lock.close()


@one_address
def test_ready_beats_silence_and_the_end(device: Device, manager: Manager) -> None:
    device.use("ticker")
    supervisor = device.supervise(env=manager.env(BEAT_S), timing=BEATS)
    manager.ready()
    assert device.rows("sensor"), "READY before anything was captured"
    assert "WATCHDOG=1" not in manager.heard[: manager.heard.index("READY=1")]
    manager.until("WATCHDOG=1")
    wait_for(lambda: manager.status() == "running: ticker", "the status in words")

    # A collector's loop is frozen: systemd hears nothing, though the supervisor goes on.
    pid = device.pid("ticker")
    freeze(pid, device.path / "spool" / "sensor" / "lock")
    manager.until_silence(SILENT_S)
    at = (read_status(device.path / "run") or {})["at"]
    wait_for(lambda: (read_status(device.path / "run") or {})["at"] != at, "the supervisor's loop")
    os.kill(pid, signal.SIGCONT)
    manager.until("WATCHDOG=1")

    # And so it is when the supervisor itself is.
    supervisor.send_signal(signal.SIGSTOP)
    manager.until_silence(SILENT_S)
    supervisor.send_signal(signal.SIGCONT)
    manager.until("WATCHDOG=1")

    assert "STOPPING=1" not in manager.listen()
    assert stop(supervisor) == 0
    assert manager.listen()[-2:] == ["STOPPING=1", "STATUS=Ending"]
    assert manager.heard.count("READY=1") == 1


@one_address
def test_it_is_ready_when_its_source_gives_something(device: Device, manager: Manager) -> None:
    device.use("blind")
    device.supervise(env=manager.env(BEAT_S), timing=f"fresh_s=600, {BEATS}")
    device.child("blind")
    at = (read_status(device.path / "run") or {})["at"]
    wait_for(lambda: (read_status(device.path / "run") or {})["at"] != at, "the supervisor's loop")
    assert "READY=1" not in manager.listen()
    device.mark("sees")
    manager.ready()


def test_it_is_ready_when_nothing_can_be_captured(device: Device, manager: Manager) -> None:
    """Or systemd would start it again and again for want of a display."""
    device.use("flaky")
    set_pause(device.path, SystemClock(), 3600)
    supervisor = device.supervise(env=manager.env(), timing=BEATS)
    manager.ready()
    wait_for(lambda: manager.status() == "Paused by you. paused: flaky", "the pause in words")
    assert stop(supervisor) == 0
    assert "WATCHDOG=1" not in manager.listen(), "nobody asked for beats"


@one_address
def test_a_child_does_not_speak_in_its_name(device: Device, manager: Manager) -> None:
    device.use()
    code = "import os; print(sorted(os.environ)); import time; time.sleep(600)"
    device.supervise(
        env=manager.env(BEAT_S),
        timing=BEATS,
        extra=f'foreign("page", (sys.executable, "-c", "{code}"), stderr=home.logs / "page.log")',
    )
    log = device.path / "logs" / "page.log"
    wait_for(lambda: log.exists() and "PATH" in log.read_text("utf-8"), "its variables")
    assert "NOTIFY_SOCKET" not in log.read_text("utf-8")
    assert "WATCHDOG_USEC" not in log.read_text("utf-8")


def test_children_are_as_safe_as_their_parent() -> None:
    """``-P`` of a unit keeps modules of the working directory out; it must reach the children."""
    code = "from lifelog_lake.collect.process import SAFE; print(SAFE)"
    for options, found in (([], "{}"), (["-P"], "{'PYTHONSAFEPATH': '1'}")):
        env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
        done = subprocess.run(
            [sys.executable, *options, "-c", code], env=env, capture_output=True, text=True
        )
        assert done.stdout.strip() == found, done.stderr
