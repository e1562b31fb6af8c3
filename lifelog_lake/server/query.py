"""Arguments of a request's address, as values; what is wrong is refused in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lifelog_lake.clock import MAX_US, MIN_US, to_us
from lifelog_lake.errors import UsageError
from lifelog_lake.server.base import LifelogHandler
from lifelog_lake.server.reading import Span

LONGEST = timedelta(days=400)


def single(handler: LifelogHandler, name: str) -> str:
    """An argument that may be given once; empty if it isn't."""
    values = handler.get_query_arguments(name)
    if len(values) > 1:
        raise UsageError(f"{name} is given {len(values)} times.", hint="Give it once.")
    return values[0] if values else ""


def span(handler: LifelogHandler) -> Span:
    """``start`` and ``end``: RFC 3339 with an offset."""
    asked = Span(
        start=time("start", single(handler, "start")), end=time("end", single(handler, "end"))
    )
    if not timedelta(0) < asked.end - asked.start <= LONGEST:
        raise UsageError(
            "The span is empty or too long.",
            hint=f"end must lie after start, at most {LONGEST.days} days.",
        )
    return asked


def time(name: str, text: str) -> datetime:
    """A time with an offset, in UTC."""
    hint = f"Write {name} like 2026-01-02T03:04:05Z."
    if not text:
        raise UsageError(f"{name} is missing.", hint=hint)
    try:
        # A "+" that wasn't percent-encoded arrives as a space.
        at = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise UsageError(f"{name} isn't a time.", hint=hint) from None
    if at.tzinfo is None:
        raise UsageError(f"{name} has no offset from UTC.", hint=hint)
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{name} is out of range.", hint=hint) from None
    if not MIN_US <= to_us(at) <= MAX_US:
        raise UsageError(f"{name} is out of range.", hint="Years 1900 to 2199 can be shown.")
    return at


def number(name: str, text: str, least: int, most: int) -> int:
    """A whole number between two others."""
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most):
        raise UsageError(f"{name} is wrong.", hint=f"A whole number from {least} to {most}.")
    return int(text)
