"""Time as a seam: wall, monotonic and boot clocks, the boot's id and the time zone.

Product code asks a :class:`Clock`, tests give their own. Wall times are integers, microseconds
since 1970-01-01 UTC (``_us``); durations are seconds (``_s``).
"""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Protocol

import psutil
import tzlocal

US_PER_S = 1_000_000
ZONE_EVERY_S = 60.0

#: Years that a timestamp may lie in: what every reader (Arrow, pandas, JavaScript) can show.
MIN_US = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp()) * US_PER_S
MAX_US = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * US_PER_S


class Clock(Protocol):
    """What the project asks of time."""

    def wall_us(self) -> int:
        """Wall clock, µs since 1970 UTC; may step."""

    def monotonic_s(self) -> float:
        """Seconds that never go back; may stand still while the machine sleeps."""

    def boot_us(self) -> int:
        """µs since boot, sleep included where the platform can tell."""

    def boot_id(self) -> str:
        """Names one boot of this machine; boot clocks compare only within it."""

    def tz(self) -> str:
        """IANA name of the device's zone now, e.g. ``Europe/Berlin``."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The machine's own time. The zone is looked up anew once a minute (a laptop travels)."""

    def __init__(self) -> None:
        self._tz = ""
        self._tz_looked_up_s = float("-inf")

    def wall_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def boot_us(self) -> int:
        clock = getattr(time, "CLOCK_BOOTTIME", None)
        return (time.clock_gettime_ns(clock) if clock is not None else time.monotonic_ns()) // 1000

    def boot_id(self) -> str:
        return _boot_id()

    def tz(self) -> str:
        now_s = time.monotonic()
        if now_s - self._tz_looked_up_s > ZONE_EVERY_S:
            self._tz = str(tzlocal.reload_localzone())
            self._tz_looked_up_s = now_s
        return self._tz

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@cache
def _boot_id() -> str:
    proc = Path("/proc/sys/kernel/random/boot_id")
    if proc.exists():
        return proc.read_text("ascii").strip()
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"boot:{round(psutil.boot_time() / 10)}"))


def utc(us: int) -> datetime:
    """Aware UTC datetime of µs since 1970."""
    return datetime.fromtimestamp(us // US_PER_S, UTC).replace(microsecond=us % US_PER_S)


def to_us(at: datetime) -> int:
    """µs since 1970 of an aware datetime, exact (no float on the way)."""
    delta = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * US_PER_S + delta.microseconds


def iso(us: int) -> str:
    """RFC 3339 in UTC with microseconds and ``Z``: ``2026-01-02T03:04:05.000006Z``."""
    return utc(us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def date_of(us: int) -> str:
    """The UTC day of a time as ``YYYY-MM-DD``: the partition a row lies in."""
    return utc(us).strftime("%Y-%m-%d")
