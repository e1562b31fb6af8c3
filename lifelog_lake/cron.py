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
_ITEM = re.compile(r"(\*|\w+(?:-\w+)?)(?:/(\d+))?")


def check(text: str) -> str:
    """The text, if it is five fields of numbers, names, lists, ranges and steps.

    Raises :class:`ValueError` that names the field.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{text!r} has {len(fields)} fields; it must have 5, as in '30 3 * * *' "
            "(minute, hour, day of the month, month, weekday)"
        )
    for field, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        known = {word: least + n for n, word in enumerate(names.split())}
        for item in field.split(","):
            if not _fits(item, least, most, known):
                raise ValueError(f"{item!r} is no {name}: {least} to {most}, *, */n, a-b or a,b")
    return text


def _fits(item: str, least: int, most: int, known: dict[str, int]) -> bool:
    match = _ITEM.fullmatch(item)
    if match is None or (match[2] is not None and not 1 <= int(match[2]) <= most):
        return False
    if match[1] == "*":
        return True
    ends = [_number(word, known) for word in match[1].split("-")]
    return all(least <= end <= most for end in ends) and ends == sorted(ends)


def _number(word: str, known: dict[str, int]) -> int:
    if word.isascii() and word.isdigit():
        return int(word)
    return known.get(word.lower(), -1)
