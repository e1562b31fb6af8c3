"""Three real minutes with real faults, and the ledger that names each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
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
#: Faults begin so late in a minute, and last so long that the next one is in them as a whole; a
#: frozen process is killed after that.
LATE_S, ALIVE_S, LONG_S = 54.0, 68.0, 75.0
#: A number that no server takes by itself, as it comes back on it.
DISPLAY = f":{1000 + os.getpid() % 50_000}"


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


def _until_late() -> None:
    """At least ten seconds, in which all is well."""
    time.sleep(10.0 + (LATE_S - 10.0 - time.time()) % 60)


def test_the_ledger_names_each_fault(small: Device, sound: Sound) -> None:
    small.configure(SETTINGS)
    display = start_xvfb("640x480", number=DISPLAY)
    began = datetime.now(UTC)
    try:
        supervisor = small.supervise(
            env=display.env | sound.env, timing=f"tick_s=0.5, alive_s={ALIVE_S}"
        )
        for name in ("ticker", "screen", "audio"):
            small.child(name)
        frozen = small.pid("ticker")
        _until_late()
        os.kill(frozen, signal.SIGSTOP)
        display.process.kill()
        display.process.wait(timeout=30)
        time.sleep(LONG_S)
        display = start_xvfb("640x480", number=DISPLAY)
        for name in ("ticker", "screen"):
            small.told("missed", name)
        _until_late()
        filler = small.path / "spool" / "filler"
        with pytest.raises(OSError, match="No space"):
            fill(filler)
        small.told("full", "ticker")
        time.sleep(LONG_S)
        filler.unlink()
        wait_for(lambda: len(small.lifecycle("missed", "ticker")) >= 2, "it goes on")
        time.sleep(5)
        assert stop(supervisor, within_s=60.0) == 0
    finally:
        display.stop()
    init_lake(small.home)
    ship(small.home)
    found = open_lake(str(Path(small.home.lake_url))).coverage(
        began, datetime.now(UTC) + timedelta(minutes=1)
    )
    told = {(row["stream"], row["state"], row["reason"]) for row in found.iter_rows(named=True)}
    with pl.Config(tbl_rows=-1, fmt_str_lengths=200, tbl_width_chars=240):
        print(found.drop("device"))
    lost = {(stream, reason) for stream, state, reason in told if state == "lost"}
    assert any(stream == "sensor" and "no beat" in why for stream, why in lost)
    assert any(stream == "screen" and "display" in why for stream, why in lost)
    assert any(stream == "sensor" and "room" in why.lower() for stream, why in lost)
    assert ("audio", "idle", MUTE) in told
    assert ("sensor", "captured", "") in told
