"""Whoever looks at a page sees when a microphone of this device is live, on a phone too."""

from __future__ import annotations

import orjson
import pytest
from playwright.sync_api import expect

from lifelog_lake.clock import SystemClock
from tests.browser.conftest import PHONE, WIDE, Opener
from tests.browser.hub import Hub

pytestmark = pytest.mark.browser


def supervise(hub: Hub, state: str) -> None:
    """What the supervisor writes each five seconds."""
    now_us = SystemClock().wall_us()
    status = {
        "state": "running",
        "at": now_us + 60_000_000,  # fresh for as long as the test takes
        "pause": {"since": now_us, "until": None} if state == "paused" else None,
        "children": {"audio": {"state": state, "streams": ["audio"]}},
    }
    path = hub.home.path / "run" / "status.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(status))


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_a_live_microphone_is_shown_until_it_is_paused(
    empty_hub: Hub, visit: Opener, size: tuple[int, int]
) -> None:
    supervise(empty_hub, "running")
    page = visit(empty_hub, size=size)
    live = page.get_by_text("● microphone live")
    expect(live).to_be_visible()
    shown = live.bounding_box()
    status = page.locator(".ll-status").bounding_box()
    assert shown is not None
    assert status is not None
    assert status["x"] <= shown["x"]  # neither cut off by its line nor by the window
    assert shown["x"] + shown["width"] <= min(status["x"] + status["width"], size[0])
    supervise(empty_hub, "paused")
    expect(page.locator(".ll-status")).to_contain_text("Paused", timeout=60_000)
    expect(live).to_have_count(0)
    (empty_hub.home.path / "run" / "status.json").unlink()
