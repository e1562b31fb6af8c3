"""Which moment a sample is from, told by counting.

A sample's time is ``offset + number / rate``, so samples that follow each other have times that
do. The offset is the least lateness of any block in the last seconds: a block can arrive late (a
busy machine) but not early. A stall that ends in a burst of late blocks therefore changes nothing.

The sound card's second isn't the wall clock's (up to some 0.1 ms a second), so at the end of each
interval the offset is moved by at most ``SLEW``, and the next interval takes a few samples more or
less; intervals go on abutting. A difference above ``APART_US`` isn't a drifting card: samples are
missing, the machine slept, or the clock was set. Then :attr:`SampleClock.apart_us` says so.
"""

from __future__ import annotations

from collections import deque

from lifelog_lake.clock import US_PER_S

#: Blocks that arrived in these µs are looked at, and must span at least ``SPAN_US`` of them.
WINDOW_US = 5 * US_PER_S
SPAN_US = 2 * US_PER_S
APART_US = 100_000
SLEW = 0.0005


class SampleClock:
    """Times in µs since 1970 UTC of samples numbered from 0."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._offset_us: int | None = None
        self._seen: deque[tuple[int, int]] = deque()

    def heard(self, after: int, arrived_us: int) -> None:
        """A block arrived; ``after`` is the number of the sample that follows it."""
        offset_us = arrived_us - after * US_PER_S // self._rate
        if self._seen and arrived_us < self._seen[-1][0]:
            self._seen.clear()  # the clock was set back
        self._seen.append((arrived_us, offset_us))
        while arrived_us - self._seen[0][0] > WINDOW_US:
            self._seen.popleft()

    @property
    def ready(self) -> bool:
        """Whether enough was heard to tell the time."""
        return bool(self._seen) and self._seen[-1][0] - self._seen[0][0] >= SPAN_US

    @property
    def settled(self) -> bool:
        """Whether samples have a time."""
        return self._offset_us is not None

    def settle(self) -> None:
        """Take the time from what was heard last. Something must have been heard."""
        self._offset_us = min(offset for _, offset in self._seen)

    @property
    def apart_us(self) -> int:
        """How far counting lies behind the wall clock, if it is no drift; otherwise 0."""
        moved_us = self._moved_us()
        return moved_us if abs(moved_us) > APART_US else 0

    def slew(self, interval_us: int) -> None:
        """Follow the wall clock a little, at the end of an interval."""
        assert self._offset_us is not None
        most_us = int(interval_us * SLEW)
        self._offset_us += max(-most_us, min(most_us, self._moved_us()))

    def at(self, number: int) -> int:
        """When a sample was taken."""
        assert self._offset_us is not None
        return self._offset_us + number * US_PER_S // self._rate

    def number(self, at_us: int) -> int:
        """The first sample that was taken at ``at_us`` or later."""
        assert self._offset_us is not None
        return -((self._offset_us - at_us) * self._rate // US_PER_S)

    def _moved_us(self) -> int:
        if not self.ready or self._offset_us is None:
            return 0
        return min(offset for _, offset in self._seen) - self._offset_us
