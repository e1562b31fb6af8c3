"""What a device's lifecycle and presence rows come to. Reads nothing itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from lifelog_lake.care.facts import Sample, Spell
from lifelog_lake.clock import US_PER_S, to_us

DAY_US = 86_400 * US_PER_S
#: A device whose clock was once far ahead isn't taken to be of the future ever after.
AHEAD_US = 300 * US_PER_S
#: Slices of presence touch, but for a hair.
TOUCH_US = 2 * US_PER_S
#: What is counted, by the kind of the row that tells of it.
_COUNTED = {
    "lost": "lost",
    "blob-lost": "lost",
    "blob-refused": "lost",
    "quarantined": "quarantined",
    "blob-quarantined": "quarantined",
    "dropped": "dropped",
}

Row = Mapping[str, Any]


@dataclass(slots=True)
class Told:
    """What a device's lifecycle rows come to."""

    last_at: int = 0
    state: str = "unknown"
    state_at: int = 0
    paused: list[Spell] = field(default_factory=list)
    suspended: list[Spell] = field(default_factory=list)
    off: list[Spell] = field(default_factory=list)
    counts: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))


def told_by(rows: Iterable[Row], now_us: int) -> Told:
    """The state and the spells of a device, by its lifecycle rows in any order."""
    told = Told()
    pauses = _Pauses()
    stopped_at: int | None = None
    for row in sorted(rows, key=lambda row: row["at"]):
        at, end, kind = to_us(row["at"]), us_of(row["end"]), row["kind"]
        if at <= now_us + AHEAD_US:
            told.last_at = max(told.last_at, at)
        if kind in _COUNTED:
            told.counts[_COUNTED[kind]].append(Sample(at, float(_count(row))))
        if row["collector"] is not None or row["stream"] is not None:
            continue
        if kind == "suspended" and end is not None:
            told.suspended.append(Spell(at, end, kind))
        elif kind in ("started", "stopped"):
            if stopped_at is not None:
                told.off.append(Spell(stopped_at, at, "off"))
            stopped_at = at if kind == "stopped" else None
            told.state, told.state_at = ("running" if kind == "started" else kind), at
        elif kind in ("paused", "resumed"):
            pauses.take(at, kind, row["extra"])
    if stopped_at is not None:
        told.off.append(Spell(stopped_at, None, "off"))
    told.paused = pauses.spells(now_us)
    for spells in (told.paused, told.suspended, told.off):
        spells[:] = [one for one in spells if one.end is None or one.end >= now_us - DAY_US]
    return told


@dataclass(slots=True)
class _Pauses:
    """Pauses as they are told: each has a beginning, and may say when it will end."""

    done: list[Spell] = field(default_factory=list)
    since: int | None = None
    until: int | None = None

    def take(self, at: int, kind: str, extra: object) -> None:
        """The next row, in the order of time."""
        self._close(at)
        if kind == "paused":
            self.since, self.until = at, _until(extra)

    def spells(self, now_us: int) -> list[Spell]:
        """All of them; the last may go on."""
        if self.until is not None and self.until <= now_us:
            self._close(now_us)
        going_on = [] if self.since is None else [Spell(self.since, None, "paused")]
        return self.done + going_on

    def _close(self, at: int) -> None:
        if self.since is not None:
            end = at if self.until is None else min(at, self.until)
            self.done.append(Spell(self.since, max(self.since, end), "paused"))
        self.since = self.until = None


def _count(row: Row) -> int:
    first, last = row["first_seq"], row["last_seq"]
    return 1 if first is None or last is None else max(1, last - first + 1)


def _until(extra: object) -> int | None:
    until = object_of(extra).get("until")
    return until if isinstance(until, int) else None


def object_of(extra: object) -> dict[str, Any]:
    """A column ``extra`` as an object; an empty one for whatever isn't."""
    try:
        found = orjson.loads(extra) if isinstance(extra, str) else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def presence_by(rows: Iterable[Row]) -> tuple[Spell, ...]:
    """Spells of presence. Of several that tell of it at a time, one who is there counts."""
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        at = to_us(row["at"])
        if row["status"] in ("afk", "not-afk"):
            spans[row["status"]].append((at, max(at, us_of(row["end"]) or at)))
    there = _joined(spans["not-afk"])
    away = [hole for span in _joined(spans["afk"]) for hole in _without(span, there)]
    spells = [Spell(*span, "not-afk") for span in there] + [Spell(*span, "afk") for span in away]
    return tuple(sorted(spells))


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1] + TOUCH_US:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _without(span: tuple[int, int], taken: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    start, stop = span
    left = []
    for first, last in taken:
        if last <= start or first >= stop:
            continue
        if first > start:
            left.append((start, first))
        start = max(start, last)
    return [*left, (start, stop)] if start < stop else left


def us_of(at: object) -> int | None:
    """µs of a time, None for none."""
    return to_us(at) if isinstance(at, datetime) else None
