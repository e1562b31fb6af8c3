"""A page on a real display, recorded, shipped, seen in a real browser, its words found there."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mss
import numpy as np
import polars as pl
import pytest
from PIL import Image
from playwright.sync_api import expect

import lifelog_lake
from lifelog_lake.care import ocr
from lifelog_lake.clock import SystemClock
from lifelog_lake.home import open_home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.verify import verify
from tests.browser.conftest import Opener
from tests.browser.hub import start_hub
from tests.fixtures.xvfb import Display, an_xvfb  # noqa: F401 - the fixture "xvfb"
from tests.needs import require_program

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

RECORDED_S = 60.0
PAGE = """<body style="margin:0;background:rgb(12,120,200)">
<h1 style="font:80px sans-serif;color:#fff">Remember this page</h1>
<div style="width:400px;height:200px;background:rgb(250,200,10)"></div>"""
BLUE = (12, 120, 200)
#: What WebP may change of a colour when it encodes with loss, of 255.
NEAR = 8


def test_a_page_on_the_screen_is_recorded_and_shown(
    xvfb: Display, visit: Opener, tmp_path: Path
) -> None:
    page_file = tmp_path / "page.html"
    page_file.write_text(PAGE)
    xvfb.chromium(page_file.as_uri(), 1280, 720)
    wait_for_color(xvfb, BLUE)
    home_dir = tmp_path / "home"
    collect(home_dir, xvfb)

    home = open_home(home_dir)
    lake = lifelog_lake.open_lake(home.lake_url)
    rows = lake.scan("screen").sort("at").collect()
    frames = rows.filter(pl.col("cont").is_null())
    assert frames.height >= 1
    shown = grab(xvfb)
    newest = np.asarray(Image.open(io.BytesIO(lake.blob(frames["blob"][-1]).read())).convert("RGB"))
    assert newest.shape == shown.shape
    assert np.abs(newest.astype(int) - shown.astype(int)).mean() < NEAR / 4
    seen_s = (rows["end"].max() - rows["at"].min()).total_seconds()
    assert seen_s > RECORDED_S / 2, "a screen that stays must be covered by slices"
    assert verify(home.lake_url, read_data=True).findings == []

    hub = start_hub(home)
    try:
        hub.await_pages()
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
        outcome = ocr.run(home, parse_url(home.lake_url, home), SystemClock())
        assert outcome.findings == ()
        page = visit(hub, "lifelog/search?q=remember+this+page")
        expect(page.locator(".ll-hit-link").first).to_contain_text("Text on screen")
        expect(page.locator(".ll-hit-link").first.locator(".ll-hit-box")).to_have_count(3)
        page.close()
    finally:
        hub.stop()


def collect(home: Path, display: Display) -> None:
    """`lifelog collect` for a minute, ended as by Ctrl-C, then what is left is shipped."""
    command = str(Path(sys.executable).with_name("lifelog"))
    env = display.env | {"LIFELOG_HOME": str(home), "LIFELOG_SPOOL__MIN_FREE_BYTES": "0"}
    process = subprocess.Popen([command, "collect"], env=env, stdout=subprocess.DEVNULL)
    time.sleep(RECORDED_S)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    subprocess.run([command, "ship"], env=env, check=True, stdout=subprocess.DEVNULL)


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
