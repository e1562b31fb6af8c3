"""What the journal needs of the device's spool: a small interface, handed in from above."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from lifelog_lake.events import Event

#: A place in a stream of the spool: epoch and seq.
Mark = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Rows that wait for the lake, as the spool has them, and the place behind them."""

    mark: Mark
    rows: tuple[dict[str, Any], ...]


class Outbox(Protocol):
    """The way out, and what is still on it."""

    @property
    def device(self) -> str:
        """The id of this device."""

    def append(self, events: Sequence[Event]) -> None:
        """Take events of one stream in, all or none; durable on return.

        Raises :class:`~lifelog_lake.errors.SpoolFull` or
        :class:`~lifelog_lake.errors.SpoolWriteFailed`.
        """

    def waiting(self, stream: str, after: Mark | None) -> Iterator[Waiting]:
        """What waits behind a place, in portions; all of it if that place is no more."""

    def content(self, stream: str, sha256: str) -> BinaryIO | None:
        """Content that waits; None if it doesn't (any more)."""

    def close(self) -> None:
        """Let the files go."""


def chunks_of(file: BinaryIO, size: int = 256 * 1024) -> Iterator[bytes]:
    """A file's content, piece by piece."""
    while piece := file.read(size):
        yield piece
