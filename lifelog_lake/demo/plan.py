"""What is asked for: how many days, how dense, from which seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lifelog_lake.errors import UsageError

#: Raised whenever the same seed would give another lake.
VERSION = 1
MAX_DAYS = 36_525
MIN_EVENTS, MAX_EVENTS = 1_000, 50_000
EVENTS_PER_DAY = 5_000
#: Days between which every calendar and every column can hold the result.
FIRST_DAY, LAST_DAY = date(1971, 1, 1), date(2199, 12, 31)

#: Measured: bytes of a row in its Parquet file, of a picture, of a minute of sound.
ROW_BYTES, PICTURE_BYTES, SOUND_BYTES = 38, 24_000, 80_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The parameters of a demo lake: equal plans make equal lakes.

    ``end`` is the last UTC day. ``events_per_day`` are rows over all streams and devices, about.
    Raises :class:`UsageError` for what can't be made.
    """

    days: int
    seed: int
    end: date
    events_per_day: int = EVENTS_PER_DAY

    def __post_init__(self) -> None:
        if not 1 <= self.days <= MAX_DAYS:
            raise UsageError(
                f"{self.days} days can't be made.", hint=f"Give --days from 1 to {MAX_DAYS}."
            )
        if not MIN_EVENTS <= self.events_per_day <= MAX_EVENTS:
            raise UsageError(
                f"{self.events_per_day} events a day can't be made.",
                hint=f"Give --events-per-day from {MIN_EVENTS} to {MAX_EVENTS}.",
            )
        if not FIRST_DAY + timedelta(days=self.days - 1) <= self.end <= LAST_DAY:
            raise UsageError(
                f"{self.days} days up to {self.end} can't be made.",
                hint=f"They must lie between {FIRST_DAY} and {LAST_DAY}.",
            )

    @property
    def first(self) -> date:
        """The first UTC day."""
        return self.end - timedelta(days=self.days - 1)

    @property
    def begin_ms(self) -> int:
        """Where the first day begins, ms since 1970 UTC."""
        return _ms(self.first)

    @property
    def end_ms(self) -> int:
        """Where the last day ends, ms since 1970 UTC."""
        return _ms(self.end) + 86_400_000

    @property
    def variants(self) -> int:
        """Pictures a scene: more days, more pictures, a few thousand at most."""
        return min(1 + self.days // 4, 3 + self.days // 60, 24)

    @property
    def sounds(self) -> int:
        """Minutes of sound of each kind."""
        return min(1 + self.days // 45, 12)

    @property
    def chunk_days(self) -> int:
        """Days that are worked out at once: memory is bounded by it."""
        return max(1, min(31, 100_000 // self.events_per_day))

    def mark(self, state: str) -> dict[str, object]:
        """The plan as ``lake.json`` keeps it; ``state`` is filling, complete or removing."""
        return {
            "version": VERSION,
            "days": self.days,
            "seed": str(self.seed),  # any integer, so not a number of JSON
            "end": self.end.isoformat(),
            "events_per_day": self.events_per_day,
            "state": state,
        }

    def made(self, mark: Mapping[str, object]) -> bool:
        """Whether a mark, whatever its state, is of this very plan."""
        return {**mark, "state": None} == {**self.mark(""), "state": None}

    def estimate(self, scenes: int) -> tuple[int, int]:
        """Rows and bytes that it will be, about; ``scenes`` have pictures."""
        rows = self.days * self.events_per_day
        pictures = scenes * self.variants * PICTURE_BYTES
        return rows, rows * ROW_BYTES + pictures + 3 * self.sounds * SOUND_BYTES


def _ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
