"""Leaves out what a source that can be read later recorded while the person had paused.

A collector isn't called in a pause. A program that records by itself (ActivityWatch) goes on, and
tells of that time when it is asked next. So pulled rows lose the parts that lie in a pause; what
remains is as stable as they are, because a pause that is over never changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from lifelog_lake.events import Event, is_pulled, pulled_id


def without_paused(events: Sequence[Event], pauses: Sequence[tuple[int, int]]) -> list[Event]:
    """The events without what lies in ``pauses`` (µs since 1970 UTC), for those that were pulled.

    A part that begins where its event does keeps its id; each other gets one of its own and names
    the event it continues.
    """
    begin = min((event.at for event in events), default=0)
    end = max((event.end or event.at for event in events), default=0)
    # A history of years is read in pages; most of years of pauses lie in none of them.
    near = [(since, until) for since, until in pauses if since <= end and until > begin]
    return [
        part
        for event in events
        for part in (_parts(event, near) if near and is_pulled(event.id) else (event,))
    ]


def _parts(event: Event, pauses: Sequence[tuple[int, int]]) -> Iterator[Event]:
    end = event.at if event.end is None else event.end
    met = sorted((since, until) for since, until in pauses if since <= end and until > event.at)
    if not met:
        yield event
    elif event.at < end:
        begin = event.at
        for since, until in [*met, (end, end)]:
            if since > begin:
                yield _part(event, begin, since)
            begin = max(begin, until)


def _part(event: Event, begin: int, end: int) -> Event:
    if begin == event.at:
        return dataclasses.replace(event, end=end)
    return dataclasses.replace(
        event,
        at=begin,
        end=end,
        id=pulled_id(event.id, "after a pause", str(begin)),
        cont=event.cont or event.id,
    )
