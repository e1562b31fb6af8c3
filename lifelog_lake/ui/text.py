"""Text from data, made fit for a page."""

from __future__ import annotations

import re

#: What turns a text's direction, or can't be seen. The browser's ``plain`` does the same.
_UNSEEN = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
MOST_CHARS = 200


def plain(text: str | None) -> str:
    """A text as it is, shortened: what would turn its direction, or can't be seen, is spelled."""
    given = text or ""
    short = given if len(given) <= MOST_CHARS else given[: MOST_CHARS - 1] + "…"
    return _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", short)


def duration(microseconds: int) -> str:
    """``4 min 20 s``, ``3 h 5 min``."""
    seconds = round(microseconds / 1e6)
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
