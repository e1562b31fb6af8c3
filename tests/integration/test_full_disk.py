"""A device whose spool lies on a disk of 1 MB that somebody else fills: a real ENOSPC."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import needs
from tests.fixtures.device import Device, a_device, stop, wait_for  # noqa: F401 - the fixture

QUICK = "pulse_s=0.5, tick_s=0.1, status_s=0.1, backoff=Backoff(first_s=0.1, most_s=1.0)"


@pytest.fixture
def small(device: Device) -> Iterator[Device]:
    """The device with a tmpfs of 1 MB as its spool."""
    if sys.platform != "linux" or os.geteuid() != 0:
        needs.lacking("needs root on Linux: mounting a tmpfs of 1 MB")
    spool = device.path / "spool"
    spool.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(spool)]
    if subprocess.run(mount, check=False).returncode != 0:
        needs.lacking("needs the right to mount: a tmpfs of 1 MB can't be mounted")
    yield device
    device.end()
    subprocess.run(["umount", "-l", str(spool)], check=True)


def pulse_says(device: Device, state: str) -> bool:
    """Whether the newest pulse says that the ticker is in a state."""
    pulses = device.rows("pulse")
    streams = pulses[-1]["streams"] if pulses else []
    assert isinstance(streams, list)
    return any(item["collector"] == "ticker" and item["state"] == state for item in streams)


def fill(path: Path) -> None:
    """Write until the disk refuses."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\1" * 4096)


def test_a_full_disk_is_said_in_the_pulse_and_capture_goes_on_when_there_is_room(
    small: Device,
) -> None:
    small.use("ticker")
    config = (small.path / "config.toml").read_text("utf-8")
    small.configure(
        config.replace("enabled = true\n", "enabled = true\nevery_s = 0.005\n")
        + "[spool]\nmin_free_bytes = 0\n"
    )
    supervisor = small.supervise(timing=QUICK)
    wait_for(lambda: pulse_says(small, "running"), "a running pulse")
    filler = small.path / "spool" / "filler"
    with pytest.raises(OSError, match="No space"):
        fill(filler)
    small.told("full", "ticker")
    wait_for(lambda: pulse_says(small, "full"), "a pulse that says it, on a full disk")
    kept = len(small.rows("sensor"))

    filler.unlink()
    small.told("room", "ticker")
    wait_for(lambda: len(small.rows("sensor")) > kept + 5, "rows after there is room")
    assert stop(supervisor) == 0
    ticks = [row["value"] for row in small.rows("sensor")]
    assert ticks == [float(value) for value in range(1, len(ticks) + 1)]  # none lost, none twice
