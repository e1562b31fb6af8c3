"""What a person wrote and the lake hasn't got yet: the journal's way to the spool.

The one module of the journal that knows the spool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Self

from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.events import Event
from lifelog_lake.home import Home
from lifelog_lake.recall.journal.journal import Journal
from lifelog_lake.recall.journal.outbox import Mark, Waiting
from lifelog_lake.spool import Spool
from lifelog_lake.spool.files import translated

MOST_ROWS = 10_000


def open_journal(home: Home, clock: Clock | None = None) -> Journal:
    """The journal of a home and its lake; see :class:`Journal`. Threads may share it."""
    clock = clock or SystemClock()
    return Journal(home, SpoolOutbox.of(home, clock), clock)


class SpoolOutbox:
    """The spool of a home as :class:`~lifelog_lake.recall.journal.outbox.Outbox`."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    @classmethod
    def of(cls, home: Home, clock: Clock | None = None) -> Self:
        """The spool of a home."""
        return cls(Spool.of(home, clock))

    @property
    def device(self) -> str:
        return self._spool.device

    def append(self, events: Sequence[Event]) -> None:
        self._spool.append(events)

    def waiting(self, stream: str, after: Mark | None) -> Iterator[Waiting]:
        if stream not in self._spool.streams():
            return
        outlet = self._spool.outlet(stream)
        with translated(stream):
            state = outlet.state()
            place = after[1] if after is not None and after[0] == state.epoch else state.acked
            while (batch := outlet.read(place, MOST_ROWS)) is not None:
                rows = tuple(record.fields for record in batch.records)
                yield Waiting(mark=(batch.epoch, batch.last), rows=rows)
                place = batch.last

    def content(self, stream: str, sha256: str) -> BinaryIO | None:
        for path in (self._spool.root / stream).glob(f"*/blobs/*-{sha256}"):
            try:
                return path.open("rb")
            except FileNotFoundError:  # shipped a moment ago
                continue
        return None

    def close(self) -> None:
        self._spool.close()
