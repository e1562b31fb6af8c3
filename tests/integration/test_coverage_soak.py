"""Some real minutes with real faults, and the ledger that names each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lifelog_lake.lake import init_lake
from lifelog_lake.recall.coverage import MUTE
from lifelog_lake.recall.lake import open_lake
from tests import needs
from tests.fixtures.device import Device, a_device, stop, wait_for  # noqa: F401
from tests.fixtures.sound import Sound, a_sound  # noqa: F401
from tests.fixtures.xvfb import start_xvfb
from tests.helpers import ship

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

SETTINGS = """
[collectors.ticker]
enabled = true
every_s = 0.02
[collectors.audio]
enabled = true
interval_s = 10
[spool]
min_free_bytes = 0
"""
#: So long that a whole minute lies in it, wherever it begins.
LONG_S = 125.0


@pytest.fixture
def small(device: Device) -> Iterator[Device]:
    """The device with a small tmpfs as its spool."""
    if sys.platform != "linux" or os.geteuid() != 0:
        needs.lacking("needs root on Linux: mounting a tmpfs")
    spool = device.path / "spool"
    spool.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(spool)]
    if subprocess.run(mount, check=False).returncode != 0:
        needs.lacking("needs the right to mount a tmpfs")
    yield device
    device.end()
    subprocess.run(["umount", "-l", str(spool)], check=True)


def fill(path: Path) -> None:
    """Write until the disk refuses."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\1" * 4096)


def test_the_ledger_names_each_fault(small: Device, sound: Sound) -> None:
    small.configure(SETTINGS)
    display = start_xvfb("640x480")
    began = datetime.now(UTC)
    try:
        supervisor = small.supervise(env=display.env | sound.env, timing="tick_s=0.5")
        for name in ("ticker", "screen", "audio"):
            small.child(name)
        frozen = small.pid("ticker")
        time.sleep(30)
        os.kill(frozen, signal.SIGSTOP)
        display.process.kill()
        display.process.wait(timeout=30)
        time.sleep(LONG_S)
        display = start_xvfb("640x480", number=display.name)
        for name in ("ticker", "screen"):
            small.told("missed", name)
        time.sleep(30)
        filler = small.path / "spool" / "filler"
        with pytest.raises(OSError, match="No space"):
            fill(filler)
        small.told("full", "ticker")
        time.sleep(LONG_S)
        filler.unlink()
        wait_for(lambda: len(small.lifecycle("missed", "ticker")) >= 2, "it goes on")
        time.sleep(10)
        assert stop(supervisor) == 0
    finally:
        display.stop()
    init_lake(small.home)
    ship(small.home)
    found = open_lake(str(Path(small.home.lake_url))).coverage(
        began, datetime.now(UTC) + timedelta(minutes=1)
    )
    told = {
        (row["stream"], row["state"], row["reason"])
        for row in found.iter_rows(named=True)
        if row["minutes"] >= 1
    }
    print(found)
    lost = {(stream, reason) for stream, state, reason in told if state == "lost"}
    assert any(stream == "sensor" and "no beat" in why for stream, why in lost)
    assert any(stream == "screen" and "display" in why for stream, why in lost)
    assert any(stream == "sensor" and "room" in why.lower() for stream, why in lost)
    assert ("audio", "idle", MUTE) in told
    assert ("sensor", "captured", "") in told
