"""Minutes of sound through collector, spool and shipper: nothing of it is missing in the lake.

What is played is a tone whose pitch rises evenly, then silence, then speech. The rising tone is a
clock: at any moment its phase is known, so a single sample lost or doubled anywhere, at a border of
two intervals above all, shifts all that follows.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import soundfile

from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.lake import init_lake
from lifelog_lake.recall.lake import open_lake
from tests.fixtures.device import Device, a_device, stop, wait_for  # noqa: F401
from tests.fixtures.sound import RATE, Samples, Sound, a_sound, silence  # noqa: F401
from tests.helpers import rows, ship, verified

INTERVAL_S = 10
LOWEST_HZ, HIGHEST_HZ = 300.0, 3300.0
LOUD = 9000
PART = RATE // 10
#: A lost sample shifts the phase by 0.12 (300 Hz) to 1.3 (3300 Hz).
MOST_RAD = 0.08


def phase(samples: int) -> npt.NDArray[np.float64]:
    """Of the rising tone at each sample."""
    at_s = np.arange(samples) / RATE
    rise = (HIGHEST_HZ - LOWEST_HZ) / (samples / RATE)
    return 2 * np.pi * (LOWEST_HZ * at_s + rise * at_s**2 / 2)


def rising(samples: int) -> Samples:
    """The tone."""
    return (LOUD * np.sin(phase(samples))).astype(np.int16)


def torn(heard: Samples, samples: int) -> str:
    """What is wrong with the tone in what was heard, or an empty string."""
    tone = rising(samples)[:RATE].astype(float)
    first = int(np.flatnonzero(np.abs(heard) > LOUD / 4)[0])
    around = max(0, first - PART)
    likeness = np.correlate(heard[around : around + 2 * PART + RATE].astype(float), tone, "valid")
    begin = around + int(np.argmax(likeness))
    signal = (
        heard[begin : begin + samples].astype(float)
        * np.exp(-1j * phase(samples))[: len(heard) - begin]
    )
    parts = signal[: len(signal) // PART * PART].reshape(-1, PART).mean(axis=1)[:-1]
    if np.abs(parts).min() < LOUD / 2 * 0.9:
        return f"a hole after {np.abs(parts).argmin() / 10} s"
    turned = np.unwrap(np.angle(parts))
    at = np.arange(len(turned))
    # A begin between two samples turns the phase evenly with the pitch.
    off = np.abs(turned - np.polyval(np.polyfit(at, turned, 1), at))
    return f"{off.max():.2f} rad at {off.argmax() / 10} s" if off.max() > MOST_RAD else ""


def record(device: Device, sound: Sound, seconds: int) -> None:
    """Play, record, ship, and look at what the lake has."""
    device.configure(
        "[ship]\nevery_s = 5\n[spool]\nmin_free_bytes = 0\n"
        "[collectors.screen]\nenabled = false\n"
        f"[collectors.audio]\nenabled = true\nformat = 'flac'\ninterval_s = {INTERVAL_S}\n"
    )
    init_lake(device.home)
    supervisor = device.supervise(env=sound.env, ship=True)
    wait_for(lambda: device.status().get("audio", {}).get("observed_at"), "the first samples")
    quiet_s, speech_s = 2.6 * INTERVAL_S, 2.6 * INTERVAL_S
    tone = int(seconds - quiet_s - speech_s) * RATE
    played = [rising(tone), silence(quiet_s), sound.speech(speech_s)]
    # The server may leave out the first moments of what begins.
    player = sound.play(np.concatenate([silence(3), *played]))
    player.wait(timeout=seconds + 240)
    assert stop(supervisor, 60) == 0
    stopped_us = SystemClock().wall_us()
    ship(device.home)
    verified(device.home)
    found = rows(device.home, "audio")

    assert found["at"].to_list()[1:] == found["end"].to_list()[:-1]  # no gap, no overlap
    assert all(end.second % INTERVAL_S == 0 == end.microsecond for end in found["end"][:-1])
    length_s = (found["end"][-1] - found["at"][0]).total_seconds()
    assert length_s > seconds - 5
    assert abs(found["end"][-1].timestamp() - stopped_us / US_PER_S) < 60
    pieces = [read(device, sha256) for sha256 in found["blob"]]
    heard = np.concatenate(pieces)
    # Nothing is missing; the first moment may be told late by a busy machine.
    assert length_s - 0.05 <= len(heard) / RATE <= length_s + 0.25
    assert torn(heard, tone) == ""
    assert torn(np.delete(heard, len(heard) // 3), tone), "the check must see a lost sample"
    assert found["media_type"].unique().to_list() == ["audio/flac"]
    assert found["extra"].null_count() == len(found)

    begin = int(np.flatnonzero(np.abs(heard) > LOUD / 4)[0])
    edges = np.cumsum([begin, *(len(part) for part in played)])
    at = np.cumsum([0, *(len(piece) for piece in pieces)])
    of_kind: dict[str, list[float]] = {kind: [] for kind in ("tone", "silence", "speech")}
    for row, start, end in zip(found.iter_rows(named=True), at, at[1:], strict=False):
        for kind, left, right in zip(of_kind, edges, edges[1:], strict=False):
            if left + RATE // 2 <= start and end <= right - RATE // 2:
                of_kind[kind].append(row["speech"])
    assert max(of_kind["tone"]) < 0.1
    assert max(of_kind["silence"]) == 0
    assert min(of_kind["speech"]) > 0.5
    levels = found.filter(pl.col("speech") > 0.5)["level_dbfs"]
    assert levels.min() > -40  # type: ignore[operator]


def read(device: Device, sha256: str) -> Samples:
    """The samples of a file in the lake."""
    with open_lake(device.home.lake_url).blob(sha256) as file:
        samples, rate = soundfile.read(io.BytesIO(file.read()), dtype="int16")
    assert rate == RATE
    return samples


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_minutes_come_whole_into_the_lake(device: Device, sound: Sound) -> None:
    record(device, sound, 125)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ten_minutes_come_whole_into_the_lake(device: Device, sound: Sound) -> None:
    record(device, sound, 605)
