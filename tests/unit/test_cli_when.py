"""Times as a person types them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import tzlocal

from lifelog_lake.cli.when import bound, when
from lifelog_lake.errors import UsageError


def local(days: int, hour: int = 0, minute: int = 0) -> datetime:
    day = datetime.now(tzlocal.get_localzone()) + timedelta(days=days)
    return day.replace(hour=hour, minute=minute, second=0, microsecond=0)


@pytest.mark.parametrize(
    ("text", "days", "hour", "minute"),
    [
        ("18:30", 0, 18, 30),
        ("7:05", 0, 7, 5),
        ("today", 0, 0, 0),
        ("Yesterday", -1, 0, 0),
        ("yesterday 23:59", -1, 23, 59),
        (" tomorrow 08:00 ", 1, 8, 0),
    ],
)
def test_words_and_clocks_are_of_this_machine(text: str, days: int, hour: int, minute: int) -> None:
    before = local(days, hour, minute)
    assert when(text) in (before, local(days, hour, minute))  # midnight may have passed
    assert bound(text) == int(when(text).timestamp()) * 1_000_000  # type: ignore[union-attr]


def test_iso_is_what_it_says() -> None:
    assert when("2026-01-02T03:04:05+01:00") == datetime.fromisoformat("2026-01-02T03:04:05+01:00")
    assert when("2026-01-02").utcoffset() is not None  # type: ignore[union-attr]
    now = when("now")
    assert isinstance(now, datetime)
    assert abs(now - datetime.now(now.tzinfo)) < timedelta(minutes=5)


@pytest.mark.parametrize("text", ["soon", "24:00", "18:60", "yesterday soon", "", "1:2"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="isn't a time"):
        bound(text)
