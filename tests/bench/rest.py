"""What a device costs while its screen doesn't change: processor and memory of all its processes.

The screen is a real X server of 1920x1080 with a picture written straight into its frame buffer,
so that no other program of the display is at work. Read from ``/proc``: Linux only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from lifelog_lake.collect.health import read_status
from tests.bench.pairs import Row
from tests.fixtures.xvfb import start_xvfb

WIDTH, HEIGHT = 1920, 1080
WARM_UP_S = 30.0
MEASURED_S = 180.0
QUICK_S = 30.0
LOOK_EVERY_S = 10.0
MOST_PERCENT = 1.0
MOST_MB = 300.0
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Start a device with its defaults, let it settle, and measure."""
    measured_s = QUICK_S if quick else MEASURED_S
    buffer = directory / "frame-buffer"
    buffer.mkdir()
    display = start_xvfb(f"{WIDTH}x{HEIGHT}", options=("-fbdir", str(buffer)))
    try:
        paint(buffer / "Xvfb_screen0")
        argv = [sys.executable, "-m", "lifelog_lake", "--home", str(directory / "home"), "collect"]
        environment = {k: v for k, v in display.env.items() if not k.startswith("LIFELOG_")}
        environment["LIFELOG_COLLECTORS__ACTIVITYWATCH__ENABLED"] = "false"  # no server, no cost
        with (directory / "device.log").open("wb") as log:
            device = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        try:
            time.sleep(WARM_UP_S)
            yield from _measure(device.pid, measured_s)
            status = read_status(directory / "home" / "run")
            assert status is not None
            assert {child["state"] for child in status["children"].values()} == {"running"}, status
            assert device.poll() is None, (directory / "device.log").read_text("utf-8")[-2000:]
        finally:
            device.send_signal(signal.SIGTERM)
            device.wait(timeout=30)
    finally:
        display.stop()


def paint(frame_buffer: Path) -> None:
    """A picture with text-like and photograph-like halves, under the header of X's XWD format."""
    dice = np.random.default_rng(7)
    pixels = np.full((HEIGHT, WIDTH), 0x00FFFFFF, dtype="<u4")
    glyphs = dice.random((HEIGHT // 8, WIDTH // 16)) < 0.4
    pixels[:, : WIDTH // 2] *= (~np.kron(glyphs, np.ones((8, 8), dtype=bool))).astype("<u4")
    pixels[:, WIDTH // 2 :] = dice.integers(0, 1 << 24, (HEIGHT, WIDTH // 2), dtype="<u4")
    content = np.memmap(frame_buffer, dtype=np.uint8, mode="r+")
    header = content[:100].view(">u4")  # header_size is the first field, ncolors the twentieth
    start = int(header[0]) + int(header[19]) * 12
    content[start : start + pixels.nbytes] = pixels.view(np.uint8).reshape(-1)
    content.flush()


def _measure(root: int, measured_s: float) -> Iterator[Row]:
    processes = _processes(root)
    before = {pid: _cpu_s(pid) for pid in processes}
    started = time.monotonic()
    most_mb, parts = 0.0, ""
    while (left_s := measured_s - (time.monotonic() - started)) > 0:
        time.sleep(min(left_s, LOOK_EVERY_S))
        sizes = {name: _pss_mb(pid) for pid, name in _processes(root).items()}
        if sum(sizes.values()) > most_mb:
            most_mb = sum(sizes.values())
            parts = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
    elapsed_s = time.monotonic() - started
    after = _processes(root)
    assert set(after) == set(processes), f"processes came or went: {processes} {after}"
    percents = {
        name: 100 * (_cpu_s(pid) - before[pid]) / elapsed_s for pid, name in processes.items()
    }
    percent = sum(percents.values())
    shown = ", ".join(f"{name} {value:.2f}" for name, value in percents.items())
    where = f"still {WIDTH}x{HEIGHT} screen, {elapsed_s:.0f} s"
    yield Row(
        name=f"processor, {where}", ours=shown, base="one core", value=f"{percent:.2f} %",
        goal=f"at most {MOST_PERCENT:.0f} %", met=percent <= MOST_PERCENT,
    )  # fmt: skip
    yield Row(
        name=f"memory (summed PSS, highest), {where}", ours=parts, base="",
        value=f"{most_mb:.0f} MB", goal=f"at most {MOST_MB:.0f} MB", met=most_mb <= MOST_MB,
    )  # fmt: skip


def _processes(root: int) -> dict[int, str]:
    """The device's processes, each with what it does."""
    found = {root: "supervisor"}
    for child in psutil.Process(root).children(recursive=True):
        command = child.cmdline()
        known = {"lifelog_lake.ship.child": "shipper", "lifelog_lake.collect.child": "screen"}
        found[child.pid] = next((known[part] for part in command if part in known), child.name())
    return found


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f"no Pss of {pid}")
