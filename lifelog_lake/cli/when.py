"""Times as a person types them."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

import tzlocal

from lifelog_lake.errors import UsageError

_WORDS = {"now": 0, "today": 0, "yesterday": -1, "tomorrow": 1}
_CLOCK = re.compile(r"(?:(today|yesterday|tomorrow)[ T]+)?([01]?\d|2[0-3]):([0-5]\d)")


def when(text: str) -> str | datetime:
    """``18:30``, ``yesterday``, ``yesterday 18:30``, or a time as ISO has it; by this machine's
    clock, if it names no other one. What is none of it comes back as it is: the model says so."""
    from lifelog_lake.recall.journal.foreign import local_time

    zone = tzlocal.get_localzone()
    now = datetime.now(zone)
    word = text.strip().lower()
    if word == "now":
        return now
    if word in _WORDS:
        day = (now + timedelta(days=_WORDS[word])).date()
        return datetime.combine(day, time(), zone)
    if found := _CLOCK.fullmatch(word):
        day = (now + timedelta(days=_WORDS[found[1] or "today"])).date()
        return datetime.combine(day, time(int(found[2]), int(found[3])), zone)
    return local_time(text)


def bound(text: str) -> int:
    """A bound of a range, µs since 1970 UTC; raises :class:`UsageError`."""
    from lifelog_lake.recall.journal.model import time_us

    try:
        return time_us(when(text))
    except ValueError as error:
        raise UsageError(
            f"{text[:40]!r} isn't a time: {error}.", hint="Write 2026-01-02 or 2026-01-02T15:04."
        ) from None
