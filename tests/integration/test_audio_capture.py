"""The audio collector on a real sound server: what is played to it ends in the lake."""

from __future__ import annotations

import io
import itertools
import os
import signal
import time
from pathlib import Path

import pytest
import soundfile

from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.pause import clear_pause, set_pause
from tests.fixtures.device import Device, a_device, stop, wait_for  # noqa: F401
from tests.fixtures.sound import RATE, Samples, Sound, a_sound, silence  # noqa: F401

Row = dict[str, object]
#: The promise is ten seconds; the machine of a test may be slow.
FOLLOWED_S = 40.0
#: A file of five seconds: the shortest there are.
SHORT = "[collectors.screen]\nenabled = false\n[collectors.audio]\nenabled = true\ninterval_s = 5\n"


@pytest.fixture
def microphone(device: Device) -> Device:
    """A device that records sound in short intervals."""
    device.configure(SHORT)
    return device


def content(device: Device, row: Row) -> Samples:
    """The samples of a row in the spool."""
    (path,) = (device.path / "spool" / "audio").glob(f"*/blobs/*-{row['blob']}")
    return decoded(path.read_bytes())


def decoded(file: bytes) -> Samples:
    """The samples of a file."""
    samples, rate = soundfile.read(io.BytesIO(file), dtype="int16")
    assert rate == RATE
    return samples


def length_s(row: Row) -> float:
    """From its beginning to its end."""
    return (row["end"] - row["at"]) / US_PER_S  # type: ignore[operator]


def test_sound_is_off_until_it_is_turned_on(device: Device, sound: Sound) -> None:
    device.use("ticker")
    device.supervise(env=sound.env)
    device.child("ticker")
    assert "audio" not in device.status()
    assert sound.listeners == 0


def test_speech_is_marked_and_silence_dropped_with_its_interval(
    microphone: Device, sound: Sound
) -> None:
    microphone.configure(SHORT + "drop_silence = true\n")
    supervisor = microphone.supervise(env=sound.env)
    wait_for(lambda: sound.listeners, "an open microphone")
    wait_for(lambda: microphone.rows("audio"), "a row of silence")
    sound.play(sound.speech(16))
    spoken = lambda: [row for row in microphone.rows("audio") if (row["speech"] or 0) > 0.5]  # noqa: E731
    wait_for(lambda: len(spoken()) >= 2, "rows of speech")
    assert stop(supervisor) == 0
    rows = microphone.rows("audio")
    for before, after in itertools.pairwise(rows):
        assert before["end"] == after["at"]
    first, heard = rows[0], spoken()[1]
    assert (first["speech"], first["dropped"]) == (0.0, True)
    assert "blob" not in first
    assert first.get("level_dbfs") is None  # a null sink's silence is nothing but zeros
    assert (heard["dropped"], heard["media_type"]) == (False, "audio/ogg")
    assert heard["level_dbfs"] > -40  # type: ignore[operator]
    assert (heard["sample_rate"], heard["channels"], heard["source"]) == (RATE, 1, "default")
    assert len(content(microphone, heard)) / RATE == pytest.approx(length_s(heard), abs=0.01)
    last = rows[-1]  # written at the stop, though it wasn't complete
    assert last["end"] % (5 * US_PER_S)  # type: ignore[operator]


def test_a_pause_writes_the_interval_and_lets_the_microphone_go_and_a_kill_costs_one(
    microphone: Device, sound: Sound
) -> None:
    microphone.supervise(env=sound.env)
    wait_for(lambda: sound.listeners, "an open microphone")
    microphone.child("audio")
    time.sleep(3)
    set_pause(microphone.path, SystemClock())
    microphone.child("audio", "paused")
    assert sound.listeners == 0
    rows = microphone.rows("audio")
    assert rows, "what was heard before the pause"
    assert content(microphone, rows[-1]).size / RATE == pytest.approx(length_s(rows[-1]), abs=0.01)
    time.sleep(2)
    assert microphone.rows("audio") == rows
    clear_pause(microphone.path, SystemClock())
    wait_for(lambda: len(microphone.rows("audio")) > len(rows), "rows after the pause")
    os.kill(microphone.pid("audio"), signal.SIGKILL)
    kept = microphone.rows("audio")
    assert kept[-1]["end"] % (5 * US_PER_S) == 0  # type: ignore[operator]
    microphone.told("restarted", "audio")
    wait_for(lambda: len(microphone.rows("audio")) > len(kept), "rows after the kill")
    assert microphone.rows("audio")[: len(kept)] == kept


def test_what_happens_to_the_microphone_is_noticed_and_mends_itself(
    microphone: Device, sound: Sound
) -> None:
    microphone.supervise(env=sound.env)
    wait_for(lambda: microphone.rows("audio"), "a first row")
    rounds = {
        "is gone": (sound.unplug, sound.plug),
        "gone": (sound.kill, sound.start),
        "nothing for": (lambda: sound.freeze(True), lambda: sound.freeze(False)),
    }
    for number, (reason, (break_, mend)) in enumerate(rounds.items(), 1):
        break_()
        wait_for(
            lambda: len(microphone.lifecycle("unavailable", "audio")) == number,  # noqa: B023
            f"unavailable: {reason}",
            FOLLOWED_S,
        )
        told = microphone.lifecycle("unavailable", "audio")[-1]
        assert reason in str(told["reason"])
        assert "recording goes on by itself" in str(told["reason"])
        last = microphone.rows("audio")[-1]
        assert last["end"] <= told["at"]  # type: ignore[operator]
        mend()
        wait_for(lambda: sound.listeners, "the microphone open again", FOLLOWED_S)
        wait_for(
            lambda: microphone.rows("audio")[-1]["at"] > told["at"],  # type: ignore[operator] # noqa: B023
            "a row after it",
        )
        assert len(microphone.lifecycle("available", "audio")) == number
    assert not microphone.lifecycle("restarted", "audio")


def test_another_default_microphone_is_followed(microphone: Device, sound: Sound) -> None:
    microphone.supervise(env=sound.env)
    wait_for(lambda: microphone.rows("audio"), "a first row")
    sound.plug("second")
    sound.play(sound.speech(20))
    wait_for(
        lambda: (microphone.rows("audio")[-1].get("level_dbfs") or -99) > -40,  # type: ignore[operator]
        "sound of the new one",
        FOLLOWED_S,
    )


def test_a_name_that_no_input_has_is_told_with_those_there_are(
    device: Device, sound: Sound
) -> None:
    device.configure(SHORT + 'device = "studio"\n')
    device.supervise(env=sound.env)
    reason = str(device.told("unavailable", "audio")["reason"])
    assert "There is no input 'studio'" in reason
    assert "0 pulse, 1 default" in reason


def test_without_a_sound_server_it_says_so(device: Device, tmp_path: Path) -> None:
    device.configure(SHORT)
    nowhere = {"HOME": str(tmp_path), "PULSE_SERVER": f"unix:{tmp_path}/none"}
    device.supervise(env=nowhere)
    assert "microphone" in str(device.told("unavailable", "audio")["reason"])


def test_a_sound_server_that_hangs_while_it_is_asked_is_left_and_tried_again(
    microphone: Device, sound: Sound
) -> None:
    sound.freeze(True)
    microphone.supervise(env=sound.env)
    assert "doesn't answer" in str(microphone.told("unavailable", "audio")["reason"])
    sound.freeze(False)
    wait_for(lambda: microphone.rows("audio"), "a row", FOLLOWED_S)
    assert sound.listeners == 1  # what was opened too late has been closed
    assert not microphone.lifecycle("restarted", "audio")
