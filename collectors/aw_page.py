"""The events of one answer: those that start in the range that was asked for, whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from collectors.aw_client import BadAnswer, Server
from collectors.aw_events import AwEvent, is_private, parse, start_ms_of
from lifelog_lake.clock import Clock
from lifelog_lake.errors import InvalidEvent

#: Fetching events one by one ends after so long; the page is then halved.
SINGLES_S = 20.0


@dataclass(slots=True, kw_only=True)
class Page:
    """Events to take in, oldest first, and the raw ones that can't be."""

    events: list[AwEvent] = field(default_factory=list)
    bad: list[object] = field(default_factory=list)
    why: InvalidEvent | None = None


def take(
    server: Server, bucket: str, raw: Sequence[object], begin: int | None, end: int, clock: Clock
) -> Page:
    """The events of an answer that start from ``begin`` on and before ``end``, both in ms.

    Those that are cut at the end are fetched whole, one by one.
    """
    page = Page()
    until_s = clock.monotonic_s() + SINGLES_S
    for item in reversed(raw):
        start = start_ms_of(item)
        if start is not None and begin is not None and start < begin:
            continue
        if start is not None and start >= end:
            continue
        try:
            event = parse(item)
            if event.end >= end * 1000:
                if clock.monotonic_s() > until_s:
                    raise BadAnswer(
                        "Too many events of this time are long.", hint="It goes on by itself."
                    )
                whole = _whole(server, bucket, event)
                if whole is None:
                    continue
                event = whole
        except InvalidEvent as error:
            private = isinstance(item, dict) and is_private(item.get("data"))
            page.bad.append({"a private window's event at ms": start} if private else item)
            page.why = page.why or error
            continue
        page.events.append(event)
    page.events = _longest(page.events)
    return page


def newest_ms(raw: Sequence[object], now: int) -> int:
    """When the newest event of an answer starts; now, if none says it."""
    starts = [at for at in map(start_ms_of, raw) if at is not None and at <= now]
    return max(starts, default=now)


def _whole(server: Server, bucket: str, event: AwEvent) -> AwEvent | None:
    """The event as it is without the cut at the page's end; None if it has gone meanwhile."""
    if event.server_id is None:
        raise InvalidEvent("An event has no id.")
    raw = server.event(bucket, event.server_id)
    if raw is None:
        return None
    whole = parse(raw)
    return whole if whole.key == event.key else None


def _longest(events: Iterable[AwEvent]) -> list[AwEvent]:
    """Of events that are the same but for their length the longest: they have one id."""
    best: dict[str, AwEvent] = {}
    for event in events:
        other = best.get(event.key)
        if other is None or event.end > other.end:
            best[event.key] = event
    return list(best.values())
