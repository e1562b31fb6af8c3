"""The audio collector with a microphone under the test's hand: what it gives becomes which rows."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import orjson
import pytest
import soundfile
from pydantic import ValidationError

from collectors import audio_input
from collectors.audio import MUTE, AudioCollector, AudioSettings
from collectors.audio_input import Block
from lifelog_lake.cli.board import make_board
from lifelog_lake.clock import US_PER_S, date_of
from lifelog_lake.collect.protocol import Context
from lifelog_lake.config import default_toml
from lifelog_lake.errors import Unavailable
from lifelog_lake.events import Event
from lifelog_lake.ui.status import read_status
from lifelog_lake.validate import JSON
from tests.fixtures.sound import RATE, Samples
from tests.helpers import FixedClock

BLOCK = audio_input.BLOCK_SAMPLES
#: 4 s before midnight.
T0 = 1_767_311_996 * US_PER_S


class HandMicrophone:
    """Gives what it is told to."""

    made: ClassVar[list[HandMicrophone]] = []
    name = "by hand"

    def __init__(self, device: str, clock: FixedClock) -> None:
        del device
        self.clock = clock
        self.number = 0
        self.blocks: list[Block] = []
        self.made.append(self)

    def give(self, samples: Samples, *, overflow: bool = False) -> None:
        """Sound that takes as long as it does, at the end of which it is now."""
        for start in range(0, len(samples), BLOCK):
            part = samples[start : start + BLOCK]
            self.clock.now_us += len(part) * US_PER_S // RATE
            self.blocks.append(
                Block(
                    first=self.number,
                    samples=part.tobytes(),
                    arrived_us=self.clock.now_us,
                    overflow=overflow,
                )
            )
            self.number += len(part)

    def take(self) -> list[Block]:
        blocks, self.blocks = self.blocks, []
        return blocks

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


class Noted(Context):
    """Keeps what a collector says."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self.rows: list[Event] = []
        self.said = ""

    @property
    def clock(self) -> FixedClock:
        return self._clock

    def append(self, events: Sequence[Event], cursor: JSON = None) -> None:
        del cursor
        self.rows += events

    def observed(self, stream: str) -> None:
        pass

    def remark(self, text: str) -> None:
        self.said = text


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Noted:
    monkeypatch.setattr(audio_input, "Microphone", HandMicrophone)
    return Noted(FixedClock(T0))


def noise(seconds: float) -> Samples:
    return np.random.default_rng(0).integers(-3000, 3000, int(seconds * RATE), np.int16)


def sound_of(row: Event) -> Samples:
    assert row.source is not None
    with row.source.open() as file:
        samples, _ = soundfile.read(io.BytesIO(file.read()), dtype="int16")
    return samples


def record(context: Noted, **settings: object) -> tuple[AudioCollector, HandMicrophone]:
    collector = AudioCollector(AudioSettings(format="flac", interval_s=10, **settings), context)
    return collector, HandMicrophone.made[-1]


def test_intervals_abut_at_the_grid_and_none_crosses_midnight(context: Noted) -> None:
    collector, microphone = record(context)
    sound = noise(27.3)
    for start in range(0, len(sound), RATE):
        microphone.give(sound[start : start + RATE])
        collector.poll()
    collector.stop()
    rows = context.rows
    assert [row.at for row in rows[1:]] == [row.end for row in rows[:-1]]
    assert [row.end for row in rows[:-1]] == [T0 + s * US_PER_S for s in (4, 14, 24)]
    assert date_of(rows[0].at) != date_of(rows[1].at)
    assert rows[-1].end == T0 + 27_300_000
    assert (np.concatenate([sound_of(row) for row in rows]) == sound).all()
    assert {row.data["source"] for row in rows} == {"by hand"}
    assert not any(row.extra for row in rows)


def test_what_was_heard_before_the_time_was_sure_is_written_too(context: Noted) -> None:
    collector, microphone = record(context)
    microphone.give(noise(0.7))
    collector.poll()
    assert not context.rows
    collector.stop()
    (row,) = context.rows
    assert (row.at, row.end) == (T0, T0 + 700_000)
    assert len(sound_of(row)) == 0.7 * RATE


def test_a_stop_without_a_sound_writes_nothing(context: Noted) -> None:
    record(context)[0].stop()
    assert not context.rows


def test_samples_that_had_to_be_left_out_leave_a_gap_that_is_told(context: Noted) -> None:
    collector, microphone = record(context)
    microphone.give(noise(6))
    collector.poll()
    microphone.give(noise(2))
    microphone.blocks.clear()  # its queue was full
    microphone.give(noise(3), overflow=True)
    collector.poll()
    collector.stop()
    first, second, third = context.rows
    assert (first.end, second.at) == (T0 + 4 * US_PER_S,) * 2
    assert (second.end, third.at) == (T0 + 6 * US_PER_S, T0 + 8 * US_PER_S)
    assert third.extra == {"lost_s": 2.0, "overflows": 30}


def test_samples_that_never_came_leave_a_gap_that_is_told(context: Noted) -> None:
    collector, microphone = record(context)
    microphone.give(noise(5))
    collector.poll()
    context.clock.now_us += 1_500_000
    for _ in range(8):
        microphone.give(noise(1))
        collector.poll()
    collector.stop()
    moved = next(row for row in context.rows if row.extra)
    before = context.rows[context.rows.index(moved) - 1]
    assert moved.extra == {"moved_s": pytest.approx(1.5, abs=0.01)}
    assert before.end is not None
    assert moved.at - before.end == pytest.approx(1_500_000, abs=10_000)
    assert context.rows[-1].end == pytest.approx(context.clock.now_us, abs=10_000)
    assert sum(len(sound_of(row)) for row in context.rows) == 13 * RATE


def test_silence_is_dropped_with_its_row(context: Noted) -> None:
    collector, microphone = record(context, drop_silence=True)
    microphone.give(np.zeros(15 * RATE, np.int16))
    collector.poll()
    assert context.said == MUTE
    microphone.give(noise(1))
    collector.poll()
    assert not context.said
    silent = context.rows[1]
    assert (silent.source, silent.data["dropped"], silent.data["speech"]) == (None, True, 0.0)
    assert "level_dbfs" not in silent.data  # null
    collector.stop()


def test_what_is_too_short_to_judge_is_kept(context: Noted) -> None:
    collector, microphone = record(context, drop_silence=True)
    microphone.give(np.zeros(RATE // 50, np.int16))
    collector.stop()
    (row,) = context.rows
    assert row.source is not None
    assert row.data["dropped"] is False


@pytest.mark.parametrize("wrong", [{"interval_s": 7}, {"interval_s": 0}, {"format": "mp3"}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AudioSettings(**wrong)  # type: ignore[arg-type]


def test_the_template_shows_sound_as_off_and_how_to_turn_it_on() -> None:
    assert not AudioSettings().enabled
    assert AudioSettings().pace == "files of 60 s"
    text = default_toml({"audio": AudioSettings})
    assert "# enabled = false" in text
    assert "enabled = true" in text


@pytest.mark.parametrize(
    ("state", "live"),
    [
        *((state, True) for state in ("running", "full", "stale")),
        *((state, False) for state in ("paused", "unavailable", "starting", "down")),
    ],
)
def test_the_board_says_when_the_microphone_is_live(state: str, live: bool) -> None:
    status = {
        "state": "running",
        "at": T0,
        "children": {"audio": {"state": state, "streams": ["audio"]}},
    }
    assert make_board(status, {}, now_us=T0, alive=True, pause=None).microphone is live
    assert not make_board(status, {}, now_us=T0, alive=False, pause=None).microphone
    late = T0 + 60 * US_PER_S  # the supervisor hangs; what it started records on
    assert make_board(status, {}, now_us=late, alive=True, pause=None).microphone is live


@pytest.mark.parametrize(("state", "live"), [("running", True), ("paused", False)])
def test_the_header_of_the_pages_says_it_too(tmp_path: Path, state: str, live: bool) -> None:
    (tmp_path / "run").mkdir()
    status = {
        "state": "running",
        "at": T0,
        "pause": None if live else {"since": T0, "until": None},
        "children": {"audio": {"state": state, "streams": ["audio"]}},
    }
    (tmp_path / "run" / "status.json").write_bytes(orjson.dumps(status))
    assert read_status(tmp_path, T0).sent()["microphone"] is live
    late = T0 + 60 * US_PER_S
    assert read_status(tmp_path, late).microphone is False  # nothing runs any more
    hanging = orjson.dumps(status | {"pid": os.getpid()})
    (tmp_path / "run" / "status.json").write_bytes(hanging)
    assert read_status(tmp_path, late).microphone is live


def test_a_missing_library_is_told_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(Unavailable, match="apt-get install libportaudio2"):
        audio_input.Microphone("", FixedClock(T0))
