"""Long events as slices: the fixed 5-minute grid in UTC.

A table is append-only, so an event that still grows is written in pieces, each once it is
complete: when a grid line has passed, or when the event has ended. The grid is fixed (multiples of
five minutes since 1970), so the pieces are the same however often the source is looked at, and no
piece crosses midnight.
"""

from __future__ import annotations

from collections.abc import Iterator

GRID_US = 300 * 1_000_000


def next_line(at_us: int) -> int:
    """The first grid line after ``at_us``."""
    return (at_us // GRID_US + 1) * GRID_US


def cut(begin_us: int, end_us: int) -> Iterator[tuple[int, int]]:
    """The pieces of an interval, in order: each ends at a grid line, the last at ``end_us``."""
    while begin_us < end_us:
        piece_end_us = min(next_line(begin_us), end_us)
        yield begin_us, piece_end_us
        begin_us = piece_end_us


def complete(begin_us: int, seen_us: int) -> Iterator[tuple[int, int]]:
    """Only those pieces that a grid line has closed already, of an event that still grows."""
    for piece in cut(begin_us, seen_us):
        if piece[1] % GRID_US == 0:
            yield piece
