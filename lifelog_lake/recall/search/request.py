"""What is asked for: a query with what narrows it, in what order."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Literal

from lifelog_lake.clock import MAX_US, MIN_US, to_us, utc
from lifelog_lake.errors import UsageError
from lifelog_lake.events import STREAMS
from lifelog_lake.recall.search.query import All, Named, Node, Within, parse
from lifelog_lake.recall.search.words import exact
from lifelog_lake.recall.timeline import span

MOST_HITS = 500
Order = Literal["best", "newest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for. ``start`` and ``end`` (exclusive) bound when an event began, in µs.

    ``query`` may be empty if something else narrows it. ``tags`` must all be there, or any of them.
    With ``recency_days`` a rank falls with age towards its half, half of the way in that time.
    ``semantic``: also what is near in meaning to the words, the best first.
    """

    query: str = ""
    streams: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    match: Literal["all", "any"] = "all"
    start: int | None = None
    end: int | None = None
    order: Order = "best"
    recency_days: float = 0.0
    limit: int = 50
    semantic: bool = False

    def node(self) -> Node:
        """All of it as one tree. Raises :class:`UsageError`."""
        self._check()
        filters: list[Node] = []
        if self.streams:
            filters.append(Named(field="stream", values=self.streams))
        if self.devices:
            filters.append(Named(field="device", values=tuple(map(exact, self.devices))))
        tags = tuple(map(exact, self.tags))
        if tags and self.match == "any":
            filters.append(Named(field="tag", values=tags))
        else:
            filters += [Named(field="tag", values=(tag,)) for tag in tags]
        if self.start is not None or self.end is not None:
            filters.append(Within(start=self.start, end=self.end))
        if filters and not self.query.strip():
            return All(parts=tuple(filters))
        found = parse(self.query)
        return All(parts=(found, *filters)) if filters else found

    def mark(self) -> int:
        """Tells one list from another, so that no cursor is used for the wrong one."""
        return zlib.crc32(repr(replace(self, limit=0)).encode("utf-8", "backslashreplace"))

    def _check(self) -> None:
        if not 1 <= self.limit <= MOST_HITS:
            raise UsageError(f"A page has 1 to {MOST_HITS} hits.", hint="Ask for the next page.")
        if self.match not in {"all", "any"}:
            raise UsageError("Tags match 'all' or 'any'.")
        if self.order not in {"best", "newest"}:
            raise UsageError("The order is 'best' or 'newest'.")
        if not 0 <= self.recency_days <= 36_525:
            raise UsageError("recency is a number of days, 0 to 36525.", hint="0 is off.")
        if self.semantic and (self.order == "newest" or self.recency_days):
            raise UsageError(
                "Search by meaning gives the best first, whatever their age.",
                hint="Leave out the order 'newest' and recency.",
            )
        if unknown := [name for name in self.streams if name not in STREAMS]:
            raise UsageError(
                f"There is no stream '{unknown[0][:40]}'.", hint=f"Known: {', '.join(STREAMS)}."
            )


def request(
    query: str,
    streams: Sequence[str] | str | None,
    devices: Sequence[str] | str | None,
    tags: Sequence[str] | str | None,
    match: Literal["all", "any"],
    start: datetime | date | str | None,
    end: datetime | date | str | None,
    order: Order,
    recency_days: float,
    limit: int,
    semantic: bool = False,
) -> Request:
    """A request of what a notebook or a command gives; times as the timeline takes them."""
    first, last = span(utc(MIN_US) if start is None else start, utc(MAX_US) if end is None else end)
    return Request(
        query=query,
        streams=_several(streams),
        devices=_several(devices),
        tags=_several(tags),
        match=match,
        start=None if start is None else to_us(first),
        end=None if end is None else to_us(last),
        order=order,
        recency_days=recency_days,
        limit=limit,
        semantic=semantic,
    )


def _several(given: Sequence[str] | str | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)
