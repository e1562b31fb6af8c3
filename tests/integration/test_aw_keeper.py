"""The helper that keeps ActivityWatch alive: a real aw-server, and a test that plays systemd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fixtures.aw import PYTHON, AwServer
from tests.fixtures.device import gone, wait_for
from tests.fixtures.s3 import free_ports
from tests.fixtures.systemd import Manager, a_manager  # noqa: F401
from tests.needs import lacking

pytestmark = pytest.mark.parametrize("manager", ["path"], indirect=True)
BEAT_S = 0.4
WAIT_S = 60.0


class Kept:
    """The helper with the server that it keeps."""

    def __init__(self, server: AwServer, manager: Manager) -> None:
        self.server = server
        self.manager = manager
        self.helper: subprocess.Popen[bytes] | None = None

    def start(self, *more: str, program: str = str(PYTHON)) -> subprocess.Popen[bytes]:
        """Start the helper, which starts the server."""
        argv = [sys.executable, "-m", "lifelog_lake.fleet.aw_keeper", "--url", self.server.url]
        words = ["-m", "aw_server", "--host", "127.0.0.1", "--port", str(self.server.port)]
        self.server.directory.mkdir(parents=True, exist_ok=True)
        env = self.server.env() | self.manager.env(BEAT_S)
        self.helper = subprocess.Popen(
            [*argv, *more, program, *words], env=env, cwd=Path.cwd(), stderr=subprocess.PIPE
        )
        return self.helper

    def pid(self) -> int:
        """The server's process."""
        assert self.helper is not None
        (child,) = psutil.Process(self.helper.pid).children()
        return child.pid

    def end(self) -> None:
        """Kill what is left."""
        if self.helper is not None:
            if self.helper.poll() is None:
                for child in psutil.Process(self.helper.pid).children(recursive=True):
                    child.kill()
                self.helper.kill()
            self.helper.communicate(timeout=30)
        self.server.stop()


@pytest.fixture
def kept(manager: Manager, tmp_path: Path) -> Iterator[Kept]:
    if not PYTHON.exists():
        lacking("needs a real ActivityWatch server: make test sets it up")
    made = Kept(AwServer(directory=tmp_path / "aw", port=free_ports(1)[0]), manager)
    yield made
    made.end()


def test_it_says_ready_and_beats_while_the_api_answers(kept: Kept, manager: Manager) -> None:
    helper = kept.start()
    manager.ready()
    assert kept.server.answers(), "READY before the API answers"
    manager.until("WATCHDOG=1")
    wait_for(lambda: manager.status().endswith("answers"), "the status in words")
    pid = kept.pid()
    os.kill(pid, signal.SIGSTOP)  # alive, but it answers nobody
    manager.until_silence(3.0)
    assert helper.poll() is None
    wait_for(lambda: manager.status().startswith("No answer for"), "the silence in words")
    os.kill(pid, signal.SIGCONT)
    manager.until("WATCHDOG=1")
    helper.send_signal(signal.SIGTERM)
    assert helper.wait(timeout=WAIT_S) == 0
    assert gone(pid)
    assert "STOPPING=1" in manager.listen()


def test_it_ends_both_when_nobody_answers(kept: Kept, manager: Manager) -> None:
    """Where nothing asks for beats (launchd), the manager starts it again by its end."""
    helper = kept.start("--give-up-s", "4")
    manager.ready()
    pid = kept.pid()
    os.kill(pid, signal.SIGSTOP)
    assert helper.wait(timeout=WAIT_S) == 1
    assert gone(pid), "a frozen server must go, or its port stays taken"
    assert helper.stderr is not None
    assert b"gave no answer for" in helper.stderr.read()


def test_it_ends_when_the_program_does(kept: Kept, manager: Manager) -> None:
    helper = kept.start()
    manager.ready()
    os.kill(kept.pid(), signal.SIGKILL)
    assert helper.wait(timeout=WAIT_S) == 1


def test_a_program_that_is_not_there(kept: Kept) -> None:
    assert kept.start(program="/nowhere/aw-qt").wait(timeout=WAIT_S) == 127
