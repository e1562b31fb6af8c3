"""Seqs as ranges: what verify counts with and what the shipper's notes name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: First and last seq, inclusive.
Span = tuple[int, int]


def spans(seqs: Iterable[int]) -> Iterator[Span]:
    """Seqs in any order as ascending ranges; one that comes twice makes two that overlap."""
    first = last = None
    for seq in sorted(seqs):
        if first is not None and last is not None and seq != last + 1:
            yield first, last
            first = None
        first = seq if first is None else first
        last = seq
    if first is not None and last is not None:
        yield first, last
