"""A collector's context that keeps nothing, to see whether its source can be had here."""

from __future__ import annotations

from collections.abc import Sequence

from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.events import Event
from lifelog_lake.validate import JSON


class Trial:
    """See :class:`lifelog_lake.collect.protocol.Context`."""

    clock: Clock = SystemClock()
    level: int = 0

    def __init__(self) -> None:
        self.said = ""

    def append(self, events: Sequence[Event], cursor: JSON = None) -> None:
        """Keep nothing."""

    def cursor(self, stream: str) -> JSON:
        """There is none."""
        del stream
        return None

    def observed(self, stream: str) -> None:
        """Tell nobody."""

    def trouble(self, reason: str) -> None:
        """Remember it."""
        self.said = reason

    def remark(self, text: str) -> None:
        """Tell nobody."""

    def looks_at(self, what: str) -> None:
        """Tell nobody."""

    def unseen(self, stream: str, why: str) -> None:
        """Tell nobody."""

    def excluded(self, stream: str, start: int, end: int, why: str) -> None:
        """Tell nobody."""

    def stale_after_s(self, stream: str) -> float | None:
        """It isn't looked at for long."""
        del stream
        return None

    def progress(self, share: float | None, doing: str = "") -> None:
        """Tell nobody."""

    def refuse(self, stream: str, payload: bytes, error: InvalidEvent) -> None:
        """Keep nothing."""
