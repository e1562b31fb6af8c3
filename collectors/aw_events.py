"""ActivityWatch's events as rows: what an event is, which slices it has, what their ids are.

An event is known by its host, bucket, start and data. Its server's id isn't used, nor is the
server's device id: both change when a history is exported and imported again. A slice is known by
its event and its own start; its end isn't part of its id, so a slice that is read again is the same
row even if the event has grown since.

Slices are a function of the finished event alone (:mod:`lifelog_lake.collect.slices`), with one
exception: an event that grows after it was taken for finished is continued from where its rows end,
off the grid, under an id that no slice of the grid has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collectors.aw_client import Bucket
from lifelog_lake.clock import US_PER_S, to_us
from lifelog_lake.collect.slices import GRID_US, complete, cut
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.events import STREAMS, Event, new_event, pulled_id
from lifelog_lake.validate import clean_time

#: Longest duration that is believed. A machine that nobody touches for months makes one AFK event.
MAX_DURATION_S = 366 * 86_400
#: Names that ActivityWatch's watchers use for columns of ours.
RENAMED = {"tabCount": "tab_count"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the person wants of events."""

    min_duration_us: int = 0
    private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AwEvent:
    """One event of a bucket. Times in µs since 1970 UTC, the start on a whole ms."""

    server_id: int | None
    start: int
    end: int
    data: Mapping[str, Any]
    content: str

    @property
    def start_ms(self) -> int:
        """The start as the server counts it."""
        return self.start // 1000

    @property
    def key(self) -> str:
        """Short name of the event within its bucket."""
        digest = hashlib.blake2b(f"{self.start}\x1f{self.content}".encode(), digest_size=9)
        return digest.hexdigest()

    @property
    def private(self) -> bool:
        """Whether it was seen in a private window of a browser."""
        return is_private(self.data)


def is_private(data: object) -> bool:
    """Whether an event's data says so, in whatever way but a plain no."""
    return isinstance(data, Mapping) and data.get("incognito") not in (None, False)


def start_ms_of(raw: object) -> int | None:
    """When a raw event starts; None if it doesn't say."""
    try:
        return _start(raw) // 1000
    except InvalidEvent:
        return None


def _start(raw: object) -> int:
    if not isinstance(raw, dict):
        raise InvalidEvent(f"An event is a {type(raw).__name__}.")
    stamp = raw.get("timestamp")
    try:
        start = to_us(datetime.fromisoformat(stamp)) // 1000 * 1000  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InvalidEvent("The timestamp of an event isn't one.") from None
    return start


def parse(raw: object) -> AwEvent:
    """An event as the server gives it; :class:`InvalidEvent` if it can't be one."""
    start = _start(raw)
    assert isinstance(raw, dict)
    duration, data, server_id = raw.get("duration"), raw.get("data"), raw.get("id")
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise InvalidEvent("The duration of an event isn't a number.")
    if not 0 <= duration <= MAX_DURATION_S:
        raise InvalidEvent("The duration of an event is negative or absurd.")
    if not isinstance(data, dict):
        raise InvalidEvent("The data of an event isn't a mapping.")
    try:
        content = json.dumps(data, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise InvalidEvent("The data of an event is nested too deeply.") from None
    return AwEvent(
        server_id=server_id if isinstance(server_id, int) else None,
        start=clean_time(start, "timestamp"),
        end=clean_time(start + round(duration * US_PER_S), "end"),
        data=data,
        content=content,
    )


class Slicer:
    """Makes the rows of one bucket's events."""

    def __init__(self, stream: str, bucket: Bucket, rules: Rules) -> None:
        self._stream = stream
        self._bucket = bucket
        self._rules = rules
        self._columns = frozenset(STREAMS[stream].types) - {"bucket"}

    def hides(self, event: AwEvent) -> bool:
        """Whether an event is left out as private."""
        return event.private and not self._rules.private

    def wanted(self, event: AwEvent) -> bool:
        """Whether the person wants an event of this length and kind."""
        if self.hides(event):
            return False
        return event.end - event.start >= self._rules.min_duration_us

    def rows(self, event: AwEvent, written: int | None, *, finished: bool) -> Iterator[Event]:
        """The slices that can be written now: all of a finished event, the complete ones of one
        that may still grow. ``written`` is where its rows end, None if it has none.

        The last row's ``end`` is what ``written`` is next time. Raises :class:`InvalidEvent`.
        """
        if written is None and not self.wanted(event):
            return iter(())
        begin = event.start if written is None else written
        if finished:
            pieces = cut(begin, event.end)
            if written is None and event.end == event.start:
                pieces = iter([(event.start, event.end)])
        else:
            pieces = complete(begin, event.end)
        return self._rows(event, pieces, continued=written)

    def _rows(
        self, event: AwEvent, pieces: Iterator[tuple[int, int]], continued: int | None
    ) -> Iterator[Event]:
        first = self._id(event, str(event.start // 1000))
        data, extra = self._split(event.data)
        for begin, end in pieces:
            piece = str(begin // 1000)
            if begin == continued and (begin == event.start or begin % GRID_US):
                piece = f"{begin}+"
            row_id = self._id(event, piece)
            yield new_event(
                self._stream,
                at=begin,
                end=end,
                id=row_id,
                cont=None if row_id == first else first,
                data=data,
                extra=extra,
            )

    def _id(self, event: AwEvent, piece: str) -> str:
        bucket = self._bucket
        return pulled_id(
            "activitywatch", bucket.host, bucket.id, str(event.start_ms), event.content, piece
        )

    def _split(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The stream's columns, and what it has none for."""
        data: dict[str, Any] = {"bucket": self._bucket.id}
        extra: dict[str, Any] = {}
        for key, value in given.items():
            name = RENAMED.get(key, key)
            if name in self._columns and name not in data:
                data[name] = value
            else:
                extra[key] = value
        return data, extra or None
