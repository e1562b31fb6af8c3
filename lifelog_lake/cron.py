"""Times of a schedule as cron writes them: ``minute hour day month weekday``."""

from __future__ import annotations

import re

#: Name, least and most of each field, and the names that its numbers have (from the least on).
_FIELDS: tuple[tuple[str, int, int, str], ...] = (
    ("minute", 0, 59, ""),
    ("hour", 0, 23, ""),
    ("day of the month", 1, 31, ""),
    ("month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    ("weekday", 0, 7, "sun mon tue wed thu fri sat"),
)
_ITEM = re.compile(r"(\*|\w+(?:-\w+)?)(?:/([0-9]+))?")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def check(text: str) -> str:
    """The text, if it is five fields of numbers, names, lists, ranges and steps.

    Raises :class:`ValueError` that names the field, also for a day that none of its months has.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{text!r} has {len(fields)} fields; it must have 5, as in '30 3 * * *' "
            "(minute, hour, day of the month, month, weekday)"
        )
    meant: dict[str, set[int]] = {}
    for field, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        known = {word: least + n for n, word in enumerate(names.split())}
        meant[name] = set()
        for item in field.split(","):
            numbers = _numbers(item, least, most, known)
            if not numbers:
                raise ValueError(f"{item!r} is no {name}: {least} to {most}, *, */n, a-b or a,b")
            meant[name].update(numbers)
    if min(meant["day of the month"]) > max(_DAYS[month - 1] for month in meant["month"]):
        raise ValueError(f"{text!r} never comes: no month {fields[3]} has a day {fields[2]}")
    return text


def _numbers(item: str, least: int, most: int, known: dict[str, int]) -> range:
    """What an item means; empty if it is none."""
    match = _ITEM.fullmatch(item)
    if match is None or (match[2] is not None and not 1 <= int(match[2]) <= most):
        return range(0)
    step = int(match[2] or 1)
    if match[1] == "*":
        return range(least, most + 1, step)
    ends = [_number(word, known) for word in match[1].split("-")]
    if not all(least <= end <= most for end in ends):
        return range(0)
    last = most if match[2] and len(ends) == 1 else ends[-1]  # a/n goes on to the end
    return range(ends[0], last + 1, step)


def _number(word: str, known: dict[str, int]) -> int:
    if word.isascii() and word.isdigit():
        return int(word)
    return known.get(word.lower(), -1)
