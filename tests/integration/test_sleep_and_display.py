"""Sleep, resume and what happens to the display: capture goes on by itself, and it is told."""

from __future__ import annotations

import itertools
import os
import signal
import time

import psutil

from tests.fixtures.device import Device, a_device, wait_for  # noqa: F401
from tests.fixtures.xvfb import Display, an_xvfb, start_xvfb  # noqa: F401
from tests.needs import require_program

QUICK = "tick_s=0.1, status_s=0.1"
#: The machine slept for an hour as soon as the file is there: its boot clock went on.
SLEEPER = """
import os
from lifelog_lake.clock import SystemClock

class Sleeper(SystemClock):
    def slept_us(self):
        return 3_600_000_000 if os.path.exists(os.environ["FAKES_DIR"] + "/slept") else 0

    def wall_us(self):
        return super().wall_us() + self.slept_us()

    def boot_us(self):
        return super().boot_us() + self.slept_us()

clock = Sleeper()
"""


def screens(device: Device) -> list[dict[str, object]]:
    """The first rows of frames."""
    return [row for row in device.rows("screen") if "cont" not in row]


def test_an_x_server_that_dies_and_comes_back(device: Device) -> None:
    """As at a logout and the next login, or when the graphics driver dies."""
    device.configure("[collectors.screen]\nevery_s = 0.1\n")
    display = start_xvfb("800x600")
    try:
        device.supervise(env=display.env, timing=QUICK)
        wait_for(lambda: screens(device), "a frame")
        display.process.kill()
        display.process.wait(timeout=30)
        assert f"The display {display.name}" in str(device.told("unavailable", "screen")["reason"])
        before = len(screens(device))
        display = start_xvfb("1024x768", number=display.name)
        device.told("available", "screen")
        wait_for(lambda: len(screens(device)) > before, "a frame of the new one")
        assert screens(device)[-1]["width"] == 1024
        row = device.told("changed", "screen")
        assert row["reason"] == "1 monitor: 800x600+0+0 -> 1 monitor: 1024x768+0+0"
        assert not device.lifecycle("restarted", "screen"), "it is found again, not started again"
    finally:
        display.stop()


def test_monitors_that_come_and_go_are_told(device: Device, xvfb: Display) -> None:
    require_program("xrandr", package="x11-xserver-utils")
    device.configure("[collectors.screen]\nevery_s = 0.5\n")
    device.supervise(env=xvfb.env, timing=QUICK)
    wait_for(lambda: screens(device), "a frame")
    assert not device.lifecycle("changed", "screen"), "the first look is no change"
    xvfb.run("xrandr", "--setmonitor", "left", "640/300x720/300+0+0", "screen")
    xvfb.run("xrandr", "--setmonitor", "right", "640/300x720/300+640+0", "none")
    both = "2 monitors: 640x720+0+0, 640x720+640+0"
    wait_for(lambda: str(device.told("changed", "screen")["reason"]).endswith(both), "the change")
    assert device.told("changed", "screen")["stream"] == "screen"


def test_all_processes_stand_still_and_go_on(device: Device) -> None:
    """As in a sleep that the clocks don't show (a virtual machine that is paused)."""
    device.use("ticker", "second")
    supervisor = device.supervise(timing=f"alive_s=12, {QUICK}")
    device.pid("second")
    wait_for(lambda: len(device.rows("sensor")) > 3, "rows")
    family = [supervisor.pid, device.pid("ticker"), device.pid("second")]
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    before = len(device.rows("sensor"))
    time.sleep(14)
    for pid in family:  # the supervisor first: it could take the others for dead
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: len(device.rows("sensor")) > before + 3, "rows after it")
    assert [device.pid("ticker"), device.pid("second")] == family[1:]
    assert not device.lifecycle("restarted", "ticker")
    ticks = [row["value"] for row in device.rows("sensor")]
    assert ticks == list(range(1, len(ticks) + 1)), "nothing twice, nothing missing"
    assert psutil.Process(supervisor.pid).is_running()


def test_after_a_sleep_nothing_waits(device: Device) -> None:
    """A collector that failed is tried again at once, however long it was to wait."""
    device.use("crasher", "ticker")
    device.supervise(timing=f"{QUICK}, backoff=Backoff(first_s=600.0, most_s=600.0)", clock=SLEEPER)
    device.told("restarted", "crasher")
    device.child("crasher", "down")
    pid = device.pid("ticker")
    device.mark("healed")
    device.mark("slept")
    row = device.told("suspended")
    assert row["end"] - row["at"] >= 3_600_000_000  # type: ignore[operator]
    device.pid("crasher")
    assert len(device.lifecycle("suspended")) == 1, "told once"
    assert not device.lifecycle("clock_step")
    assert device.pid("ticker") == pid, "who slept through it isn't taken for dead"
    at = [row["at"] for row in device.rows("lifecycle") if row["kind"] == "started"]
    assert all(a <= b for a, b in itertools.pairwise(at))  # type: ignore[operator]
