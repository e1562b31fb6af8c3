"""A collector's context that keeps nothing, to see whether its source can be had here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lifelog_lake.clock import Clock, SystemClock
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.events import BlobSource, Event, new_event
from lifelog_lake.validate import JSON


class Trial:
    """See :class:`lifelog_lake.collect.protocol.Context`."""

    clock: Clock = SystemClock()

    def append(self, events: Sequence[Event], cursor: JSON = None) -> None:
        """Keep nothing."""

    def cursor(self, stream: str) -> JSON:
        """There is none."""
        del stream
        return None

    def observed(self, stream: str) -> None:
        """Tell nobody."""

    def event(
        self,
        stream: str,
        *,
        at: int,
        data: Mapping[str, object],
        id: str | None = None,
        end: int | None = None,
        cont: str | None = None,
        blob: str | None = None,
        blob_bytes: int | None = None,
        media_type: str | None = None,
        extra: Mapping[str, object] | None = None,
        source: BlobSource | None = None,
    ) -> Event:
        """An event that goes nowhere."""
        return new_event(
            stream, at=at, data=data, id=id, end=end, cont=cont, blob=blob,
            blob_bytes=blob_bytes, media_type=media_type, extra=extra, source=source,
        )  # fmt: skip

    def refuse(self, stream: str, payload: bytes, error: InvalidEvent) -> None:
        """Keep nothing."""
