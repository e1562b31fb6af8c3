"""How far an upload is: bytes, rate, time left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lifelog_lake.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """Content on its way. ``left_s`` is None as long as nothing has moved."""

    done_bytes: int
    size_bytes: int
    bytes_per_s: float
    left_s: float | None

    def words(self) -> str:
        """``Uploading 120 of 20480 MiB, 3.1 MiB/s, 110 min left``."""
        done, size, rate = (
            count / 2**20 for count in (self.done_bytes, self.size_bytes, self.bytes_per_s)
        )
        text = f"Uploading {done:.0f} of {size:.0f} MiB"
        if self.left_s is None:
            return text
        left = f"{self.left_s:.0f} s" if self.left_s < 120 else f"{self.left_s / 60:.0f} min"
        return f"{text}, {rate:.1f} MiB/s, {left} left"


class Meter:
    """Measures one piece of content; what was there before it began doesn't count as speed."""

    def __init__(self, clock: Clock, tell: Callable[[Moving], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._began: tuple[float, int] | None = None

    def moved(self, done_bytes: int, size_bytes: int) -> None:
        """Take in how much is there."""
        now_s = self._clock.monotonic_s()
        if self._began is None:
            self._began = (now_s, done_bytes)
        began_s, first_bytes = self._began
        rate = (done_bytes - first_bytes) / max(now_s - began_s, 1e-3)
        left_s = (size_bytes - done_bytes) / rate if rate > 0 else None
        self._tell(
            Moving(done_bytes=done_bytes, size_bytes=size_bytes, bytes_per_s=rate, left_s=left_s)
        )
