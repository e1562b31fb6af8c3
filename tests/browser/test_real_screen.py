"""A page on a real display, recorded, shipped, seen in a real browser, its words found there."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time
from pathlib import Path

import mss
import numpy as np
import polars as pl
import pytest
from PIL import Image
from playwright.sync_api import expect

import lifelog_lake
from lifelog_lake.lake.verify import verify
from tests.browser.conftest import Opener
from tests.browser.hub import Hub, new_home
from tests.fixtures.command import LIFELOG
from tests.fixtures.device import wait_for
from tests.fixtures.xvfb import Display, an_xvfb  # noqa: F401 - the fixture "xvfb"
from tests.needs import require_program

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

#: How long it may take at most; alone on a machine it takes a minute or so.
FOUND_S = 300.0
PAGE = """<body style="margin:0;background:rgb(12,120,200)">
<h1 style="font:80px sans-serif;color:#fff">Remember this page</h1>
<div style="width:400px;height:200px;background:rgb(250,200,10)"></div>"""
BLUE = (12, 120, 200)
#: What WebP may change of a colour when it encodes with loss, of 255.
NEAR = 8


def test_a_page_on_the_screen_is_recorded_found_and_shown(
    xvfb: Display, visit: Opener, tmp_path: Path
) -> None:
    """With all as it is by default: capture, shipping, recognition, index, pages."""
    hub = up(tmp_path / "home", xvfb)
    try:
        page_file = tmp_path / "page.html"
        page_file.write_text(PAGE)
        xvfb.chromium(page_file.as_uri(), 1280, 720)
        wait_for_color(xvfb, BLUE)
        began_s = time.monotonic()
        wait_for(lambda: total(hub, "remember this page"), "The words' finding", FOUND_S)
        page = visit(hub, "lifelog/search?q=remember+this+page")
        expect(page.locator(".ll-hit-link").first).to_contain_text("Text on screen")
        print(f"found after {time.monotonic() - began_s:.0f} s")
        expect(page.locator(".ll-hit-link").first.locator(".ll-hit-box")).to_have_count(3)
        page.close()
        page = visit(hub)
        page.wait_for_function(
            "() => [...document.querySelectorAll('.ll-tile[data-index] img')]"
            ".some(e => e.complete && e.naturalWidth === 320)"
        )
        page.locator(".ll-tile[data-index]").first.click()
        page.wait_for_function("() => document.querySelector('.ll-large').naturalWidth === 1280")
        pixel = page.evaluate(
            """() => { const image = document.querySelector('.ll-large');
            const canvas = document.createElement('canvas');
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
            return [...context.getImageData(1200, 600, 1, 1).data].slice(0, 3); }"""
        )
        assert max(abs(a - b) for a, b in zip(pixel, BLUE, strict=True)) <= NEAR
        page.close()
        lasted_s = time.monotonic() - began_s
    finally:
        hub.process.send_signal(signal.SIGINT)
        assert hub.process.wait(timeout=60) == 0

    home = hub.home
    env = os.environ | {"LIFELOG_HOME": str(home.path)}
    subprocess.run([str(LIFELOG), "ship"], env=env, check=True, stdout=subprocess.DEVNULL)
    lake = lifelog_lake.open_lake(home.lake_url)
    rows = lake.scan("screen").sort("at").collect()
    frames = rows.filter(pl.col("cont").is_null())
    shown = grab(xvfb)
    newest = np.asarray(Image.open(io.BytesIO(lake.blob(frames["blob"][-1]).read())).convert("RGB"))
    assert newest.shape == shown.shape
    assert np.abs(newest.astype(int) - shown.astype(int)).mean() < NEAR / 4
    seen_s = (rows["end"].max() - rows["at"].min()).total_seconds()
    assert seen_s > lasted_s / 2, "a screen that stays must be covered by slices"
    assert verify(home.lake_url, read_data=True).findings == []


def up(path: Path, display: Display) -> Hub:
    """`lifelog up`, with its flows."""
    home = new_home(path)
    kept = {name: value for name, value in display.env.items() if not name.startswith("LIFELOG_")}
    env = kept | {  # without the tests' own settings: they turn the flows off
        "LIFELOG_HOME": str(path),
        "LIFELOG_SPOOL__MIN_FREE_BYTES": "0",
        "LIFELOG_COLLECTORS__ACTIVITYWATCH__ENABLED": "false",
    }
    said = path / "up.txt"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [str(LIFELOG), "up", "--port", "0", "--no-browser"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    hub = Hub(home=home, process=process, stderr=said)
    try:
        wait_for((home.run / "flows.json").exists, "The flows' start", FOUND_S)
        hub.url = hub.entrance.split("lifelog/", 1)[0]
        hub.await_pages()
    except BaseException:
        hub.stop()
        raise
    return hub


def total(hub: Hub, query: str) -> int:
    """How many hits there are now."""
    answer = hub.client().get(f"{hub.url}lifelog/api/search", params={"q": query}, timeout=60)
    return int(answer.json()["total"])


def grab(display: Display) -> np.ndarray:
    """What is on the display now, RGB."""
    with mss.MSS(display=display.name) as screen:
        shot = screen.grab(screen.monitors[1])
    return np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)[..., 2::-1]


def wait_for_color(display: Display, color: tuple[int, int, int]) -> None:
    """Until the page is painted."""
    require_program("Xvfb", package="xvfb")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if tuple(int(v) for v in grab(display)[600, 1200]) == color:
            return
        time.sleep(0.5)
    pytest.fail(f"the page wasn't painted on {display.name} (PID {os.getpid()})")
