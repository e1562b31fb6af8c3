"""One interval of sound on its way to a row: encoded as it comes, never held as samples."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import soundfile

FULL_SCALE = 32768.0
#: libsndfile gives Opus this much a channel at compression level 0 and 1, kbit/s.
OPUS_MOST, OPUS_LEAST = 256, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """``bitrate_kbps`` counts for Opus; FLAC has no loss."""

    format: Literal["opus", "flac"] = "opus"
    bitrate_kbps: int = 24

    @property
    def media_type(self) -> str:
        """The MIME type of the files."""
        return "audio/ogg" if self.format == "opus" else "audio/flac"


class AudioFile:
    """A file in memory that grows with the sound."""

    def __init__(self, encoding: Encoding, rate: int, channels: int) -> None:
        self.media_type = encoding.media_type
        self.samples = 0
        self._squares = 0.0
        self._bytes = io.BytesIO()
        if encoding.format == "opus":
            level = (OPUS_MOST - encoding.bitrate_kbps) / (OPUS_MOST - OPUS_LEAST)
            named = {"format": "OGG", "subtype": "OPUS", "compression_level": level}
        else:
            named = {"format": "FLAC", "subtype": "PCM_16"}
        self._file = soundfile.SoundFile(
            self._bytes, "w", samplerate=rate, channels=channels, **named
        )

    def add(self, samples: npt.NDArray[np.int16]) -> None:
        """Write the samples that follow."""
        self.samples += len(samples)
        signal = samples.astype(np.float64)
        self._squares += float(signal @ signal)
        self._file.write(samples)

    @property
    def level_dbfs(self) -> float | None:
        """Root mean square, dB of full scale; None if every sample is zero."""
        if not self._squares:
            return None
        return 10 * math.log10(self._squares / self.samples / FULL_SCALE**2)

    def content(self) -> bytes:
        """The finished file; nothing can be added any more."""
        self._file.close()
        return self._bytes.getvalue()
