"""How findings name streams, times and spans."""

from __future__ import annotations

from lifelog_lake.care.facts import StreamFacts
from lifelog_lake.clock import utc
from lifelog_lake.events import STREAMS


def label(stream: StreamFacts) -> str:
    """What a stream is called."""
    known = STREAMS.get(stream.name)
    return known.label if known is not None else stream.name


def why(stream: StreamFacts) -> str:
    """Its last error, if it had any."""
    return stream.last_error or ""


def clock_time(us: int) -> str:
    """A time (µs since 1970 UTC) by this machine's zone."""
    return utc(us).astimezone().strftime("%Y-%m-%d %H:%M")


def span(seconds: float) -> str:
    """A length of time in one unit: ``12 minutes``."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
