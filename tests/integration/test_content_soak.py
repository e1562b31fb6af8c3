"""Rows that hold nothing, of a real display, a real microphone and a real ActivityWatch."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Mapping

import pytest

from collectors.audio import MUTE
from collectors.screen import BLACK
from lifelog_lake.care.health.rules import judge
from lifelog_lake.care.health.rules_file import Content, RuleBook, Rules
from lifelog_lake.care.observe import Observer
from lifelog_lake.lake import init_lake, parse_url
from tests.fixtures.aw import WINDOW, AwServer, an_aw, event, shared_aw  # noqa: F401
from tests.fixtures.device import Device, a_device, stop, wait_for  # noqa: F401
from tests.fixtures.sound import Sound, a_sound  # noqa: F401
from tests.fixtures.xvfb import Display, an_xvfb  # noqa: F401
from tests.helpers import ship

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

SETTINGS = """
[collectors.screen]
every_s = 0.2
[collectors.audio]
enabled = true
interval_s = 10
[collectors.activitywatch]
url = "{}"
every_s = 1
streams = ["window"]
[spool]
min_free_bytes = 0
"""
TIMING = "tick_s=0.2, status_s=0.2, pulse_s=2.0"
RULES = RuleBook(general=Rules(content=Content(after_s=5.0, frozen_s=5.0)))
#: More than the rule asks for, as two colours in one look are one change.
CHANGES = 45


def contents(device: Device) -> dict[str | None, str]:
    """What the hub's rule finds, by stream."""
    ship(device.home)
    fleet = Observer(device.home, parse_url(device.home.lake_url, device.home)).fleet()
    assert not fleet.troubles
    return {one.stream: one.says for one in judge(fleet, RULES).findings if one.rule == "content"}


def run(device: Device, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    supervisor = device.supervise(env=env, timing=TIMING)
    for name in ("screen", "audio"):
        device.child(name)
    return supervisor


def test_each_kind_is_found_on_the_device_and_by_the_hub(
    device: Device, xvfb: Display, sound: Sound, aw: AwServer
) -> None:
    device.configure(SETTINGS.format(aw.url))
    init_lake(device.home)
    env = xvfb.env | sound.env | {"LIFELOG_COLLECTORS__ACTIVITYWATCH__ENABLED": "true"}
    # Black and mute: the device says so itself, the hub when the rows have come.
    supervisor = run(device, env)
    wait_for(lambda: device.status()["screen"]["reason"] == BLACK, "a black display is told")
    wait_for(lambda: device.status()["audio"]["reason"] == MUTE, "a mute microphone is told")
    assert stop(supervisor, within_s=60.0) == 0
    found = contents(device)
    assert "black frames" in found["screen"]
    assert "digital silence" in found["audio"]
    assert set(found) == {"screen", "audio"}
    # The display changes all the time, the watcher says the same window; then it says it anew.
    supervisor = run(device, env)
    bucket = aw.bucket("aw-watcher-window_host", WINDOW)
    begun_ms = time.time_ns() // 1_000_000
    colors = itertools.cycle(("red", "green", "blue"))
    for _ in range(CHANGES):
        xvfb.color(next(colors))
        aw.heartbeat(bucket, time.time_ns() // 1_000_000, 60, app="editor", title="same")
        time.sleep(0.3)
    assert time.time_ns() // 1_000_000 - begun_ms > 5_000
    aw.insert(bucket, [event(time.time_ns() // 1_000_000, 0, app="editor", title="same")])
    wait_for(lambda: device.rows("window"), "the first of the two is complete")
    assert device.status()["screen"]["reason"] != BLACK
    assert stop(supervisor, within_s=60.0) == 0
    found = contents(device)
    assert "same since" in found["window"]
    assert set(found) == {"window", "audio"}
