"""Sound, if the person asks for it: gapless intervals of the microphone, each a row with a file.

Off until ``[collectors.audio] enabled = true``. Intervals end at multiples of ``interval_s`` since
1970 UTC, so none crosses midnight; the end of one is the ``at`` of the next, and no sample between
them is lost. What ends capture (pause, stop, an input that is gone) ends the interval early. How
samples get their times is told in :mod:`collectors.audio_time`. A row that doesn't abut the one
before says why in ``extra``: ``lost_s``, samples that had to be left out; ``moved_s``, samples
that never came or a clock that was set. ``overflows`` counts the sound system's own reports of
samples that it lost.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect.protocol import CollectorSettings, Context
from lifelog_lake.errors import MissingExtra, Unavailable
from lifelog_lake.events import BlobSource, new_event

if TYPE_CHECKING:  # imported when a collector is made: the supervisor only reads the settings
    from collectors.audio_file import AudioFile
    from collectors.audio_input import Block

STREAM = "audio"
DAY_S = 86_400
#: After so long of nothing but zeros the person is told.
MUTE_S = 10.0
MUTE = (
    "The microphone gives nothing but digital silence: it is muted, or this program isn't allowed "
    "to use it."
)


class AudioSettings(CollectorSettings):
    """``[collectors.audio]``."""

    enabled: bool = Field(
        False, description="Whether sound is recorded. Off until you write: enabled = true"
    )
    every_s: float = Field(
        1.0, ge=0.1, le=5, description="Seconds between two looks at what the microphone gave."
    )
    interval_s: int = Field(
        60, ge=5, le=600, description="Seconds of sound a file; must divide a day."
    )
    device: str = Field(
        "", description="Name (or a part of it) or number of the input; empty = the default one."
    )
    format: Literal["opus", "flac"] = Field(
        "opus", description="opus = Ogg/Opus, small; flac = without loss, about 1 MiB a minute."
    )
    bitrate_kbps: int = Field(24, ge=6, le=256, description="Of Opus.")
    drop_silence: bool = Field(
        False, description="Keep no file of an interval without speech; its row stays and says so."
    )
    speech_at_least: float = Field(
        0.01, ge=0, le=1, description="With less than this share of speech, drop_silence drops."
    )

    @property
    def pace(self) -> str:
        """It never stops between two files."""
        return f"files of {self.interval_s} s"

    @field_validator("interval_s")
    @classmethod
    def _divides_a_day(cls, value: int) -> int:
        if DAY_S % value:
            raise ValueError("it must divide a day (86400 s), such as 10, 30, 60 or 300")
        return value


class _Interval:
    """The interval that is recorded now. Times in µs; ``until`` is the sample that ends it."""

    def __init__(self, *, at: int, border: int, until: int, file: AudioFile) -> None:
        self.at = at
        self.border = border
        self.until = until
        self.file = file
        self.overflows = 0
        self.extra: dict[str, object] = {}


class AudioCollector:
    """Records one input. Made anew after a pause and after the input was away."""

    name: ClassVar[str] = "audio"
    streams: ClassVar[tuple[str, ...]] = (STREAM,)
    Settings: ClassVar[type[CollectorSettings]] = AudioSettings

    def __init__(self, settings: AudioSettings, context: Context) -> None:
        """Opens the microphone. Raises :class:`Unavailable` if there is none,
        :class:`MissingExtra` without the extra ``device``."""
        try:
            import numpy as np

            from collectors import audio_file, audio_input, audio_time, speech
        except ImportError as error:
            raise MissingExtra("The audio collector", "device") from error
        self._np = np
        self._files = audio_file
        self._rate, self._channels = audio_input.SAMPLE_RATE, audio_input.CHANNELS
        self._settings = settings
        self._context = context
        self._encoding = audio_file.Encoding(
            format=settings.format, bitrate_kbps=settings.bitrate_kbps
        )
        self._speech = speech.Speech(self._rate)
        self._time = audio_time.SampleClock(self._rate)
        self._waiting: deque[Block] = deque()  # until samples have a time
        self._interval: _Interval | None = None
        self._next = 0  # the sample after those that are in files
        self._ended_us: int | None = None  # where the next interval begins, if it abuts
        self._extra: dict[str, object] = {}  # of the next interval
        self._zeros = 0
        self._microphone = audio_input.Microphone(settings.device, context.clock)

    def poll(self) -> None:
        """Take what came; write the intervals that are complete."""
        if self._take():
            self._context.observed(STREAM)
        self._microphone.check()
        if self._time.settled and (apart_us := self._time.apart_us):
            self._cut({"moved_s": apart_us / US_PER_S})
            self._time.settle()
        self._context.remark(MUTE if self._zeros >= MUTE_S * self._rate else "")

    def stop(self) -> None:
        """Let the microphone go and write the interval that isn't complete."""
        with contextlib.suppress(Unavailable):  # it hangs: whoever opens it next is told
            self._microphone.close()
        self._take()
        if self._waiting:  # stopped before the time was sure
            self._time.settle()
            self._take_in()
        self._cut({})

    def _take(self) -> bool:
        """Whether anything came."""
        blocks = self._microphone.take()
        for block in blocks:
            self._time.heard(block.after, block.arrived_us)
        self._waiting += blocks
        if not self._time.settled and self._time.ready:
            self._time.settle()
        if self._time.settled:
            self._take_in()
        return bool(blocks)

    def _take_in(self) -> None:
        while self._waiting:
            self._add(self._waiting.popleft())

    def _add(self, block: Block) -> None:
        """Put a block into one interval, or into two that abut."""
        if block.first != self._next:
            self._cut({"lost_s": (block.first - self._next) / self._rate})
            self._next = block.first
        samples = self._np.frombuffer(block.samples, self._np.int16)
        self._zeros = 0 if samples.any() else self._zeros + len(samples)
        while len(samples):
            interval = self._interval = self._interval or self._begin()
            interval.overflows += block.overflow
            part = samples[: interval.until - self._next]
            self._speech.add(part)
            interval.file.add(part)
            self._next += len(part)
            samples = samples[len(part) :]
            if self._next == interval.until:
                self._end(interval, interval.border)
                self._ended_us = interval.border
                self._time.slew(self._settings.interval_s * US_PER_S)

    def _begin(self) -> _Interval:
        length_us = self._settings.interval_s * US_PER_S
        at = self._ended_us if self._ended_us is not None else self._time.at(self._next)
        border = (at // length_us + 1) * length_us
        interval = _Interval(
            at=at,
            border=border,
            until=max(self._next + 1, self._time.number(border)),
            file=self._files.AudioFile(self._encoding, self._rate, self._channels),
        )
        interval.extra, self._extra, self._ended_us = self._extra, {}, None
        return interval

    def _cut(self, why: dict[str, object]) -> None:
        """End the interval early, where its samples end; the next one doesn't abut."""
        interval = self._interval
        if interval is not None:
            length_us = interval.file.samples * US_PER_S // self._rate
            self._end(interval, min(interval.at + length_us, interval.border))
        self._ended_us = None
        self._extra |= why

    def _end(self, interval: _Interval, end_us: int) -> None:
        self._interval = None
        speech = self._speech.share()
        level = interval.file.level_dbfs
        content = interval.file.content()
        # An interval too short to judge (32 ms) is kept.
        drop = (
            self._settings.drop_silence
            and speech is not None
            and speech < self._settings.speech_at_least
        )
        if interval.overflows:
            interval.extra["overflows"] = interval.overflows
        row = new_event(
            STREAM,
            at=interval.at,
            end=end_us,
            data={
                "sample_rate": self._rate,
                "channels": self._channels,
                "speech": speech,
                "level_dbfs": level,
                "source": self._microphone.name,
                "dropped": drop,
            },
            extra=interval.extra or None,
            source=None if drop else BlobSource.of_bytes(content, interval.file.media_type),
        )
        self._context.append([row])
