"""The blocks of a day: when which device is in use, and what for.

A day is that of the person's own calendar, in the zone where they are. What it holds follows from
the seed and its date alone, so it is the same in a lake of a week and in one of ten years.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

from lifelog_lake.demo.chance import Chance

HOME_ZONE = "Europe/Berlin"
#: Where trips lead; the flag says whether work goes along.
PLACES: tuple[tuple[str, bool], ...] = (
    ("America/New_York", True),
    ("Europe/Lisbon", False),
    ("Asia/Tokyo", True),
    ("Europe/London", True),
    ("Atlantic/Reykjavik", False),
)
HOLIDAYS = frozenset({(1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)})
LAPTOP, DESKTOP, PHONE = "demo-laptop", "demo-desktop", "demo-phone"
DEVICES = (LAPTOP, DESKTOP, PHONE)

#: What follows a block: the next one at once, a break with the window left as it is, a locked
#: screen, a sleeping or a paused device, or the end of the device's day.
After = Literal["next", "break", "locked", "suspended", "paused", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One stretch of use. Times in ms since 1970 UTC; ``until`` is where what follows ends."""

    device: str
    activity: str
    begin: int
    end: int
    after: After
    until: int
    zone: str


@cache
def _trip(seed: int, year: int, quarter: int) -> tuple[date, date, str, bool]:
    """First and last day, zone and whether it is for work: one trip each quarter."""
    chance = Chance(seed, "trip", year, quarter)
    first = date(year, 1 + 3 * quarter, 1) + timedelta(days=chance.one(5, 70))
    zone, work = chance.pick(PLACES)
    return first, first + timedelta(days=chance.one(4, 9)), zone, work


def day_of(seed: int, day: date) -> tuple[str, str]:
    """The zone and the kind of a day: work, home, free, travel, away-work or away-free."""
    first, last, zone, work = _trip(seed, day.year, (day.month - 1) // 3)
    if day in (first, last):
        return HOME_ZONE, "travel"
    free = day.weekday() >= 5 or (day.month, day.day) in HOLIDAYS
    if first < day < last:
        return zone, "away-work" if work and not free else "away-free"
    if free:
        return HOME_ZONE, "free"
    return HOME_ZONE, "home" if day.weekday() in (2, 4) else "work"


def blocks_of(seed: int, day: date) -> list[Block]:
    """The blocks of all devices on one day of the person's calendar, by device and time."""
    zone, kind = day_of(seed, day)
    chance = Chance(seed, "day", day)
    local: dict[str, _Day] = {device: _Day(chance) for device in DEVICES}
    if kind in ("work", "away-work"):
        _work(local[LAPTOP], chance)
    elif kind == "home":
        _work(local[DESKTOP], chance)
        local[LAPTOP].session(chance.near(20 * 60, 40), chance.one(25, 70), ("leisure", "notes"))
    elif kind == "away-free" and chance.happens(60):
        local[LAPTOP].session(chance.near(21 * 60, 40), chance.one(20, 60), ("leisure",))
    if kind in ("work", "home", "free"):
        _free(local[DESKTOP], chance, whole=kind == "free", after_work=kind == "home")
    _phone(local[PHONE], chance, until=17 * 60 if kind == "travel" else 22 * 60 + 40)
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    found = []
    for device, plan in local.items():
        found += plan.blocks(device, midnight, zone)
    return found


class _Day:
    """Blocks in minutes of one device's day, in order."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._blocks: list[tuple[int, int, str, After]] = []

    @property
    def end(self) -> int:
        """Where the last block ends, minutes; 0 for none."""
        return self._blocks[-1][1] if self._blocks else 0

    def add(self, begin: int, length: int, activity: str, after: After) -> None:
        """A block; it begins where the one before ends if they would overlap."""
        begin = max(begin, self.end)
        self._blocks.append((begin, begin + length, activity, after))

    def leave(self, after: After) -> None:
        """Change what follows the last block."""
        *_, (begin, end, activity, _after) = self._blocks
        self._blocks[-1] = (begin, end, activity, after)

    def session(self, begin: int, length: int, activities: tuple[str, ...]) -> None:
        """One stretch of changing activities, with short breaks, that ends with the device off."""
        here, end = max(begin, self.end + 5), max(begin, self.end + 5) + length
        while here < end:
            part = min(self._chance.one(18, 55), end - here)
            last = here + part >= end - 10
            rest = 0 if last else (0 if self._chance.happens(60) else self._chance.one(4, 12))
            after: After = "off" if last else ("break" if rest else "next")
            self.add(here, part, self._chance.pick(activities), after)
            here = end if last else here + part + rest

    def blocks(self, device: str, midnight: datetime, zone: str) -> list[Block]:
        """The same in UTC, to the millisecond."""
        clock = [
            (_utc_ms(midnight, begin), _utc_ms(midnight, end)) for begin, end, _, _ in self._blocks
        ]
        found = []
        for index, (_, _, activity, after) in enumerate(self._blocks):
            begin, end = clock[index]
            jitter = self._chance.one(0, 20_000)
            if after != "next":  # nobody leaves on the minute
                end = max(begin + 60_000, end - jitter)
            last = index == len(self._blocks) - 1
            until = end if after == "off" or last else max(clock[index + 1][0], end)
            found.append(
                Block(
                    device=device,
                    activity=activity,
                    begin=begin,
                    end=end,
                    after="off" if last else after,
                    until=until,
                    zone=zone,
                )
            )
        return found


def _work(day: _Day, chance: Chance) -> None:
    start = chance.near(8 * 60 + 50, 35)
    lunch = chance.near(12 * 60 + 25, 25)
    stop = chance.near(17 * 60 + 35, 45)
    day.add(start, chance.one(15, 35), "mail", "next")
    _fill(day, chance, lunch)
    away: After = "suspended" if chance.happens(40) else "locked"
    day.leave(away)
    day.add(max(lunch, day.end) + chance.one(35, 60), chance.one(10, 25), "mail", "next")
    if chance.happens(12):
        day.leave("paused")
        day.add(day.end + 30, 20, "documents", "next")
    _fill(day, chance, stop)
    day.add(day.end, chance.one(5, 15), "mail", "off")


def _fill(day: _Day, chance: Chance, until: int) -> None:
    """Work until a time of day: long stretches, meetings on the half hour, coffee."""
    while day.end < until - 20:
        draw = chance.one(0, 99)
        activity = "code" if draw < 50 else ("documents" if draw < 72 else "meeting")
        length = 30 * chance.one(1, 2) if activity == "meeting" else chance.one(30, 85)
        length = min(length, until - day.end)
        rest = chance.one(4, 11) if chance.happens(55) else 0
        begin = day.end
        day.add(begin, length, activity, "break" if rest else "next")
        if rest:
            day.add(day.end + rest, chance.one(5, 12), "mail", "next")


def _free(day: _Day, chance: Chance, *, whole: bool, after_work: bool) -> None:
    if whole and chance.happens(65):
        day.session(chance.near(10 * 60 + 40, 50), chance.one(45, 110), ("leisure", "notes"))
    if whole and chance.happens(50):
        day.session(chance.near(15 * 60, 50), chance.one(40, 130), ("hobby", "leisure"))
    if not after_work and chance.happens(72):
        day.session(
            chance.near(20 * 60, 40), chance.one(60, 150), ("leisure", "hobby", "leisure", "notes")
        )


def _phone(day: _Day, chance: Chance, *, until: int) -> None:
    wake, sleep = chance.near(7 * 60, 35), chance.near(until, 30)
    for index in range(count := chance.one(8, 14)):
        begin = wake + (sleep - wake) * index // count + chance.one(0, 25)
        day.add(begin, chance.one(2, 11), "phone", "off")


def _utc_ms(midnight: datetime, minutes: int) -> int:
    wall = midnight.replace(tzinfo=None) + timedelta(minutes=minutes)
    return int(wall.replace(tzinfo=midnight.tzinfo).astimezone(UTC).timestamp()) * 1000
