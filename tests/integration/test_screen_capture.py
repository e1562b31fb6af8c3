"""The screen collector on a real X server: pixels on it end in the spool, as they are."""

from __future__ import annotations

import hashlib
import itertools
import time
from pathlib import Path

import mss
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from lifelog_lake.clock import SystemClock
from lifelog_lake.collect.slices import GRID_US
from lifelog_lake.pause import clear_pause, set_pause
from tests.fixtures.device import Device, a_device, gone, stop, wait_for  # noqa: F401
from tests.fixtures.xvfb import Display, an_xvfb, start_xvfb  # noqa: F401
from tests.needs import require_program

Row = dict[str, object]
#: The promise is ten seconds; the machine of a test may be slow.
FOLLOWED_S = 30.0


@pytest.fixture
def screen(device: Device) -> Device:
    """A device that records its screen twice a second."""
    device.configure("[collectors.screen]\nevery_s = 0.5\n")
    return device


def frames(device: Device) -> list[Row]:
    """The first rows of frames."""
    return [row for row in device.rows("screen") if "cont" not in row]


def slices(device: Device) -> list[Row]:
    """The rows that go on."""
    return [row for row in device.rows("screen") if "cont" in row]


def content(device: Device, row: Row) -> Path:
    """The file of a frame in the spool."""
    (path,) = (device.path / "spool" / "screen").glob(f"*/blobs/*-{row['blob']}")
    return path


def color(device: Device, row: Row) -> tuple[int, int, int]:
    """The colour in the middle of a frame."""
    with Image.open(content(device, row)) as image:
        pixel = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    red, green, blue = (int(value) for value in pixel)
    return red, green, blue


def grabbed(display: Display) -> npt.NDArray[np.uint8]:
    """What is on the display now, RGB."""
    with mss.MSS(display=display.name) as grab:
        shot = grab.grab(grab.monitors[1])
    pixels = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
    return pixels[..., 2::-1]


def test_what_is_on_the_screen_comes_into_the_spool(screen: Device, xvfb: Display) -> None:
    supervisor = screen.supervise(env=xvfb.env)
    wait_for(lambda: frames(screen), "a first frame")
    for name in ("red", "blue"):
        xvfb.color(name)
        wanted = {"red": (255, 0, 0), "blue": (0, 0, 255)}[name]
        wait_for(lambda: color(screen, frames(screen)[-1]) == wanted, name)  # noqa: B023
    time.sleep(2)  # blue stays
    assert stop(supervisor) == 0
    rows = frames(screen)
    assert rows[0]["black"] is True
    assert [row["black"] for row in rows[-2:]] == [False, False]
    for row in rows:
        assert row["at"] == row["end"]
        assert (row["monitor"], row["width"], row["height"]) == (1, 1280, 720)
        assert row["media_type"] == "image/webp"
        file = content(screen, row)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == row["blob"]
        assert file.stat().st_size == row["blob_bytes"]
    last = [row for row in slices(screen) if row["cont"] == rows[-1]["id"]]
    assert last, "SIGTERM must write the slice that isn't complete"
    assert all(row["blob"] == rows[-1]["blob"] for row in last)
    assert last[0]["at"] == rows[-1]["at"]
    assert last[-1]["end"] > last[0]["at"]  # type: ignore[operator]


def test_a_real_page_is_kept_pixel_by_pixel(
    screen: Device, xvfb: Display, chromium: str, tmp_path: Path
) -> None:
    del chromium
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><meta charset=utf-8><body style='font:20px serif;margin:30px'>"
        + "<p>The quick brown fox jumps over the lazy dog. 0123456789</p>" * 12,
        "utf-8",
    )
    xvfb.chromium(page.as_uri(), 1280, 720)
    supervisor = screen.supervise(env=xvfb.env)

    def is_kept() -> bool:
        rows = frames(screen)
        if not rows:
            return False
        with Image.open(content(screen, rows[-1])) as image:
            pixels = np.asarray(image.convert("RGB"))
        dark = float((pixels < 128).all(axis=2).mean())
        return 0.005 < dark < 0.5 and bool((pixels == grabbed(xvfb)).all())

    wait_for(is_kept, "the page's pixels in the spool")
    assert stop(supervisor) == 0


def test_a_still_screen_is_one_frame(screen: Device, xvfb: Display) -> None:
    xvfb.color("green")
    supervisor = screen.supervise(env=xvfb.env)
    wait_for(lambda: frames(screen), "a frame")
    screen.child("screen")
    time.sleep(5)
    observed = screen.child("screen")["observed_at"]
    assert isinstance(observed, dict)
    assert SystemClock().wall_us() - observed["screen"] < 20_000_000  # seen, though no row came
    assert stop(supervisor) == 0
    (frame,) = frames(screen)
    pieces = slices(screen)
    assert 1 <= len(pieces) <= 2  # two if a grid line passed just now
    assert pieces[0]["at"] == frame["at"]
    assert pieces[-1]["end"] - frame["at"] >= 3_000_000  # type: ignore[operator]
    for before, after in itertools.pairwise(pieces):
        assert before["end"] == after["at"]
        assert before["end"] % GRID_US == 0  # type: ignore[operator]


def test_a_cursor_that_blinks_on_a_real_page_makes_no_frame(
    screen: Device, xvfb: Display, chromium: str, tmp_path: Path
) -> None:
    del chromium
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><style>@keyframes b{50%{opacity:0}}"
        "i{position:fixed;left:300px;top:200px;width:2px;height:20px;background:#000;"
        "animation:b .7s steps(1) infinite}</style><p>Some words before the cursor<i></i>",
        "utf-8",
    )
    xvfb.chromium(page.as_uri(), 1280, 720)
    blinks: set[bytes] = set()

    def blinks_on_the_page() -> bool:
        pixels = grabbed(xvfb)
        if (pixels > 250).mean() > 0.9:  # the page is there
            blinks.add(pixels.tobytes())
        return len(blinks) >= 2

    wait_for(blinks_on_the_page, "the cursor in both states")
    supervisor = screen.supervise(env=xvfb.env)
    wait_for(lambda: frames(screen), "a frame")
    time.sleep(8)
    assert stop(supervisor) == 0
    assert len(frames(screen)) == 1
    assert slices(screen)


def test_monitors_that_come_and_go_are_followed(screen: Device, xvfb: Display) -> None:
    require_program("xrandr", package="x11-xserver-utils")
    xvfb.color("red")
    screen.supervise(env=xvfb.env)
    wait_for(lambda: frames(screen), "a frame of the whole")
    xvfb.run("xrandr", "--setmonitor", "left", "640/300x720/300+0+0", "screen")
    xvfb.run("xrandr", "--setmonitor", "right", "640/300x720/300+640+0", "none")

    def places() -> set[tuple[object, ...]]:
        keys = ("monitor", "left", "top", "width", "height")
        return {tuple(row[key] for key in keys) for row in frames(screen)}

    both = {(1, 0, 0, 640, 720), (2, 640, 0, 640, 720)}
    wait_for(lambda: both <= places(), "frames of both", FOLLOWED_S)
    whole = next(row for row in frames(screen) if row["width"] == 1280)
    wait_for(lambda: any(row["cont"] == whole["id"] for row in slices(screen)), "its last slice")
    xvfb.run("xrandr", "--delmonitor", "right")
    right = next(row for row in frames(screen) if row["monitor"] == 2)
    wait_for(lambda: any(row["cont"] == right["id"] for row in slices(screen)), "the end of it")
    xvfb.run("xrandr", "--setmonitor", "beyond", "2000/300x720/300+640+0", "none")
    wait_for(lambda: (2, 640, 0, 640, 720) in places(), "the part that is there")
    screen.child("screen")
    assert not screen.lifecycle("restarted", "screen")


def test_a_screen_that_changes_its_size_is_followed(screen: Device) -> None:
    first = start_xvfb("800x600")
    second = None
    try:
        first.color("red")
        screen.supervise(env=first.env)
        wait_for(lambda: frames(screen), "a frame")
        first.stop()
        second = start_xvfb("1024x768", number=first.name)
        second.color("blue")
        # It may have been unavailable in between, and is tried again after 30 s.
        wait_for(lambda: frames(screen)[-1]["width"] == 1024, "the new size", 60 + FOLLOWED_S)
        wait_for(lambda: color(screen, frames(screen)[-1]) == (0, 0, 255), "its pixels")
    finally:
        (second or first).stop()


def test_a_smaller_desktop_is_followed(screen: Device, xvfb: Display) -> None:
    xrandr = require_program("xrandr", package="x11-xserver-utils")
    screen.supervise(env=xvfb.env)
    wait_for(lambda: frames(screen), "a frame")
    # Xvfb shrinks the desktop, then xrandr fails at its one output, which can't follow.
    xvfb.run("sh", "-c", f"{xrandr} --fb 800x600 2>/dev/null; exit 0")
    with mss.MSS(display=xvfb.name) as grab:
        assert (grab.monitors[0]["width"], grab.monitors[0]["height"]) == (800, 600)
    wait_for(lambda: frames(screen)[-1]["width"] == 800, "the new size", FOLLOWED_S)


def test_no_display_is_told_and_the_rest_goes_on(device: Device) -> None:
    device.configure("[collectors.screen]\nevery_s = 0.5\n[collectors.ticker]\nenabled = true\n")
    timing = "tick_s=0.1, status_s=0.1, pulse_s=0.5"
    supervisor = device.supervise(timing=timing)
    row = device.told("unavailable", "screen")
    assert row["stream"] == "screen"
    assert "DISPLAY isn't set" in str(row["reason"])
    assert "[collectors.screen] enabled = false" in str(row["reason"])

    def states() -> dict[object, object]:
        pulses = device.rows("pulse")
        streams = pulses[-1]["streams"] if pulses else []
        assert isinstance(streams, list)
        return {entry["collector"]: entry["state"] for entry in streams}

    wait_for(lambda: states().get("screen") == "unavailable", "a pulse that says so")
    wait_for(lambda: device.rows("sensor"), "rows of the others")
    assert stop(supervisor) == 0
    assert not device.lifecycle("restarted", "screen")


def test_a_pause_writes_the_slice_and_stops_the_capture(screen: Device, xvfb: Display) -> None:
    xvfb.color("red")
    screen.supervise(env=xvfb.env)
    wait_for(lambda: frames(screen), "a frame")
    time.sleep(2)
    set_pause(screen.path, SystemClock())
    screen.child("screen", "paused")
    rows = screen.rows("screen")
    assert {row["cont"] for row in slices(screen)} == {frames(screen)[0]["id"]}
    xvfb.color("blue")
    time.sleep(2)
    assert screen.rows("screen") == rows
    clear_pause(screen.path, SystemClock())
    wait_for(lambda: len(frames(screen)) == 2, "a frame after the pause")
    assert color(screen, frames(screen)[-1]) == (0, 0, 255)


def test_the_screen_ends_with_its_supervisor(screen: Device, xvfb: Display) -> None:
    supervisor = screen.supervise(env=xvfb.env)
    wait_for(lambda: frames(screen), "a frame")
    pid = screen.pid("screen")
    supervisor.kill()
    supervisor.wait(timeout=30)
    wait_for(lambda: gone(pid), "the end of the collector", 10)
