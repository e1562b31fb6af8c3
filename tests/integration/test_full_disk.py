"""A device whose spool lies on a disk of 1 MB that somebody else fills: a real ENOSPC."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import needs
from tests.fixtures.device import Device, a_device, stop, wait_for  # noqa: F401 - the fixture
from tests.fixtures.small_disk import fill, small_disk

QUICK = "pulse_s=0.5, tick_s=0.1, status_s=0.1, backoff=Backoff(first_s=0.1, most_s=1.0)"


@pytest.fixture
def small(device: Device) -> Iterator[Device]:
    """The device with a tmpfs of 1 MB as its spool."""
    spool = device.path / "spool"
    spool.mkdir(parents=True)
    with small_disk(spool, mb=1) as why_not:
        if why_not:
            needs.lacking(why_not)
        yield device
        device.end()


def pulse_says(device: Device, state: str) -> bool:
    """Whether the newest pulse says that the ticker is in a state."""
    pulses = device.rows("pulse")
    streams = pulses[-1]["streams"] if pulses else []
    assert isinstance(streams, list)
    return any(item["collector"] == "ticker" and item["state"] == state for item in streams)


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
