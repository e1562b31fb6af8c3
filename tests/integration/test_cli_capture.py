"""``lifelog collect`` and ``lifelog up``: the real processes, from the first start to the end."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from tests.fixtures.xvfb import Display, an_xvfb  # noqa: F401 - the fixture "xvfb"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals and X are of POSIX"),
]

LIFELOG = Path(sys.executable).with_name("lifelog")
#: Generous: only a hang runs into it.
SOON_S = 180.0
T = TypeVar("T")


def soon(look: Callable[[], T | None], what: str) -> T:
    """Wait until ``look`` gives something."""
    deadline = time.monotonic() + SOON_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    pytest.fail(f"waited {SOON_S:.0f} s for {what}")


class Device:
    """A home, commands on it, and the one that runs in the foreground."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.home = home
        self.env = {
            **{
                key: value for key, value in env.items() if not key.startswith(("LIFELOG_", "LOG_"))
            },
            "LIFELOG_HOME": str(home),
            "LIFELOG_SPOOL__MIN_FREE_BYTES": "0",
            "LIFELOG_SHIP__EVERY_S": "2",
            "LIFELOG_COLLECTORS__ACTIVITYWATCH__ENABLED": "false",  # who runs it may have one
            "NO_COLOR": "1",
        }
        self.out = home.parent / "out.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(LIFELOG), *words], env=self.env, capture_output=True, text=True, timeout=SOON_S
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [str(LIFELOG), *words], env=self.env, stdout=out, stderr=subprocess.STDOUT
            )
        return self.process

    def said(self) -> str:
        return self.out.read_text("utf-8")

    def says(self, pattern: str) -> re.Match[str]:
        """Wait until it says this."""

        def look() -> re.Match[str] | None:
            assert self.process is not None
            if (match := re.search(pattern, self.said())) is None:
                assert self.process.poll() is None, self.said()
            return match

        return soon(look, f"{pattern!r} in {self.said()!r}")

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return status

    def state(self, name: str) -> str:
        return next((row["state"] for row in self.status()["rows"] if row["name"] == name), "")

    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int) -> int:
        """Send a signal to the foreground process alone; its exit code, with nobody left behind."""
        assert self.process is not None
        children = self.children()
        assert children
        self.process.send_signal(number)
        code = self.process.wait(SOON_S)
        _, alive = psutil.wait_procs(children, timeout=SOON_S)
        assert not alive
        return code


@pytest.fixture
def make_device(tmp_path: Path) -> Iterator[Callable[[dict[str, str]], Device]]:
    made: list[Device] = []

    def make(env: dict[str, str]) -> Device:
        made.append(Device(tmp_path / "home", env))
        return made[-1]

    yield make
    for device in made:
        if device.process is not None and device.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in device.children():
                    child.kill()
            device.process.kill()
            device.process.wait()


@pytest.fixture
def device(make_device: Callable[[dict[str, str]], Device], xvfb: Display) -> Device:
    """A device with a screen."""
    return make_device(xvfb.env)


def test_collect_records_pauses_goes_on_and_ends(device: Device) -> None:
    device.start("collect")
    device.says("Screen: running")
    said = device.said()
    assert str(device.home / "config.toml") in said
    assert f"Kept in   {device.home / 'lake'}" in said
    assert "lifelog pause" in said
    soon((device.home / "lake" / "tables" / "screen").exists, "the first frame in the lake")
    status = device.run("status")
    assert status.returncode == 0, status.stdout

    second = device.run("collect")
    assert second.returncode == 1
    assert "running already" in second.stderr
    assert "--home" in second.stderr
    assert device.status()["running"], "the first one goes on"

    device.run("pause")
    soon(lambda: device.state("screen") == "paused", "the pause")
    device.says("Paused until you resume")
    assert device.run("status").returncode == 0, "a pause is no finding"
    device.run("resume")
    soon(lambda: device.state("screen") == "running", "the end of the pause")
    device.says("Recording goes on")

    assert device.stop(signal.SIGTERM) == 0
    assert "Stopped." in device.said()
    assert device.run("status").returncode == 1
    assert device.run("ship").returncode == 0
    verified = device.run("verify", "--read-data", "--json")
    assert verified.returncode == 0, verified.stdout
    report = json.loads(verified.stdout)
    assert report["blobs"] >= 1
    logs = {path.name for path in (device.home / "logs").glob("*.jsonl")}
    assert {"lifelog-supervisor.jsonl", "lifelog-screen.jsonl", "lifelog-shipper.jsonl"} <= logs


def test_without_a_display_it_says_why_and_goes_on(
    make_device: Callable[[dict[str, str]], Device],
) -> None:
    env = {key: v for key, v in os.environ.items() if key not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    device = make_device(env)
    device.start("collect")
    device.says("Screen: unavailable - .*DISPLAY")
    done = device.run("status")
    assert done.returncode == 1
    assert "Finding: Screen is unavailable" in done.stdout
    assert device.stop(signal.SIGINT) == 0


def test_a_lake_that_goes_away_doesnt_stop_capture(device: Device) -> None:
    assert device.run("init").returncode == 0
    (device.home / "lake").rename(device.home / "unmounted")
    device.start("collect")
    device.says("Trouble   There is no lake at")
    device.says("Screen: running")
    soon(
        lambda: any(
            row["waiting_rows"] for row in device.status()["rows"] if row["name"] == "screen"
        ),
        "rows that wait",
    )
    soon(lambda: device.run("status").returncode == 1, "the finding")
    assert not (device.home / "lake").exists()
    assert device.stop(signal.SIGTERM) == 0
    assert re.search(r"Stopped\. \d+ rows? waits? in the spool", device.said())


def test_the_first_start_with_an_unusable_lake_is_refused(device: Device, tmp_path: Path) -> None:
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "1.jpg").write_bytes(b"x")
    device.env["LIFELOG_LAKE__URL"] = str(foreign)
    done = device.run("collect")
    assert done.returncode == 3
    assert "isn't empty" in done.stderr
    assert [path.name for path in foreign.iterdir()] == ["1.jpg"]


#: Makes its stdin its controlling terminal, as a shell does, so that ^C reaches it.
IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_in_a_terminal_a_table_is_kept_up_to_date_until_ctrl_c(device: Device) -> None:
    ours, theirs = os.openpty()
    env = {key: value for key, value in device.env.items() if key != "NO_COLOR"}
    device.process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, str(LIFELOG), "collect"],
        env=env | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = bytearray()

    def seen(pattern: bytes) -> bool:
        with contextlib.suppress(BlockingIOError, OSError):  # OSError: its end was closed
            while data := os.read(ours, 65_536):
                shown.extend(data)
        return re.search(pattern, shown) is not None

    soon(lambda: seen(rb"Screen +\x1b\[32mrunning"), "the table")
    assert seen(rb"Stop      Ctrl-C")
    children = device.children()
    os.write(ours, b"\x03")
    soon(lambda: seen(rb"Stopped\."), "the end")
    assert device.process.wait(SOON_S) == 0
    os.close(ours)
    _, alive = psutil.wait_procs(children, timeout=SOON_S)
    assert not alive


def get(address: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )
    try:
        with opener.open(address, timeout=SOON_S) as answer:
            return answer.status, answer.geturl()
    except urllib.error.HTTPError as error:
        return error.code, error.geturl()


def test_up_shows_the_page_and_ends_with_ctrl_c(device: Device) -> None:
    device.start("up", "--no-browser", "--port", "0")
    address = device.says(r"Open      (http://127\.0\.0\.1:\d+/\S+)").group(1)
    assert "token=" in address
    device.says("Pages: running")
    status, where = get(address)
    assert status == 200
    assert "/login" not in where
    assert "/login" in get(address.partition("?")[0])[1], "no token, no page"

    second = device.run("up", "--no-browser")
    assert second.returncode == 1
    assert "running already" in second.stderr
    assert get(address)[0] == 200
    assert (device.home / "run" / "server.json").exists(), "the second one has touched nothing"

    token = address.partition("token=")[2]
    for child in device.children():
        assert token not in " ".join(child.cmdline())
    assert device.stop(signal.SIGINT) == 0
    for log in (device.home / "logs").iterdir():
        assert token not in log.read_text("utf-8", "replace"), log.name


def test_up_opens_the_browser_without_showing_the_token_to_others(
    device: Device, tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    seen = tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {seen}.new\nmv {seen}.new {seen}\n')
    browser.chmod(0o700)
    device.env["BROWSER"] = str(browser)
    device.start("up", "--port", "0")
    address = device.says(r"Open      (http://\S+)").group(1)
    soon(seen.exists, "the browser")
    given = seen.read_text()
    assert given.startswith("file://")
    page = Path(given.removeprefix("file://"))
    assert page.stat().st_mode & 0o077 == 0
    assert address.replace("&", "&amp;") in page.read_text()
    assert device.stop(signal.SIGTERM) == 0
    assert not page.exists()
