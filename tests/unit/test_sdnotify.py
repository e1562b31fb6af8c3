"""The datagrams to systemd, and who sends none."""

from __future__ import annotations

import os
import queue
import re
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lifelog_lake.collect.process import Backoff, Child, ChildSpec
from lifelog_lake.collect.service import READY_AT_LATEST_S, ServiceBeat
from lifelog_lake.places import shipped
from lifelog_lake.sdnotify import Notifier
from tests.fixtures.systemd import Manager, a_manager  # noqa: F401


def test_a_message_and_the_interval(manager: Manager) -> None:
    env = manager.env(180) | {"WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(env)
    assert env == {}, "children would speak in our name"
    assert notifier.every_s == 90
    assert notifier.say(READY=1, STATUS="two\nlines")
    assert manager.listen() == ["READY=1", "STATUS=two lines"]


def test_beats_that_another_process_owes(manager: Manager) -> None:
    assert Notifier(manager.env(180) | {"WATCHDOG_PID": "1"}).every_s is None


def test_nobody_listens(tmp_path: Path) -> None:
    """A socket that is gone is told once; nothing ends or waits for it."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    with capture_logs() as logs:
        assert not notifier.say(READY=1)
        assert not notifier.say(READY=1)
    assert [line["event"] for line in logs] == ["service_manager_deaf"]


def test_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    assert not notifier.heard
    assert not notifier.say(READY=1)


def test_a_source_that_is_seldom_looked_at_is_no_reason_to_start_again(manager: Manager) -> None:
    """A script each hour whose first run gives nothing: systemd would end it, over and over."""
    child = Child(ChildSpec(name="hourly", argv=(), streams=("s",)), queue.SimpleQueue(), Backoff())
    service = ServiceBeat(Notifier(manager.env(180)), late_s=30)
    service.look([child], 1000.0, paused=False)
    service.look([child], 1000.0 + READY_AT_LATEST_S - 1, paused=False)
    assert "READY=1" not in manager.listen()
    service.look([child], 1000.0 + READY_AT_LATEST_S, paused=False)
    assert manager.listen()[-1] == "READY=1"
    for unit in (shipped("deploy") / "systemd").glob("lifelog*.service"):
        (limit,) = re.findall(r"^TimeoutStartSec=(\d+)$", unit.read_text("utf-8"), re.MULTILINE)
        assert int(limit) > READY_AT_LATEST_S, unit
