"""When a disk will be full, by how its free space went down.

A line through the median of all slopes (Theil and Sen, 1968): a large file that comes or goes, or
a clean-up, doesn't bend it as it would a mean.
"""

from __future__ import annotations

import statistics
from itertools import combinations

from lifelog_lake.care.facts import Series
from lifelog_lake.clock import US_PER_S

#: Fewer readings, or a shorter time, tell nothing.
FEWEST, SHORTEST_US = 6, 1800 * US_PER_S
#: Pairs grow with the square of the readings.
MOST = 72
#: Further away than this nobody needs to know.
FAR_US = 3650 * 86_400 * US_PER_S


def full_at(free_bytes: Series) -> int | None:
    """When a disk is full if it goes on so (µs); None if it doesn't shrink or too little is known.

    ``free_bytes`` are readings of its free space.
    """
    if len(free_bytes) < FEWEST or free_bytes[-1].at - free_bytes[0].at < SHORTEST_US:
        return None
    step = -(-len(free_bytes) // MOST)
    readings = free_bytes[::-1][::step]  # the newest is always among them
    slope = statistics.median(
        (later.value - earlier.value) / (later.at - earlier.at)
        for later, earlier in combinations(readings, 2)
        if later.at > earlier.at
    )
    return reached_at(free_bytes[-1].at, free_bytes[-1].value, -slope)


def reached_at(now_us: int, free_bytes: float, bytes_a_us: float) -> int | None:
    """When so much room is used up at that speed; None if never, or in more than ten years."""
    if bytes_a_us <= 0 or free_bytes / bytes_a_us > FAR_US:
        return None
    return now_us + round(free_bytes / bytes_a_us)
