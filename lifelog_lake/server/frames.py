"""``/lifelog/api/frames``: a page of screen frames, newest first, for the strip's virtual rows.

Query: ``start`` and ``end`` (RFC 3339 with an offset), ``device``, ``offset``, ``limit``. Answer:
``{"total", "offset", "frames": [{"id", "device", "at", "end", "label", "blob", "blob_bytes"}]}``;
the first page also has ``devices`` and, when the span is empty, ``newest_at``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tornado.web import authenticated

from lifelog_lake.clock import MAX_US, MIN_US, iso, to_us
from lifelog_lake.errors import UsageError
from lifelog_lake.server.base import LifelogHandler, explained
from lifelog_lake.server.reading import LakeReader, Span

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 500
MOST_OFFSET = 100_000_000
LONGEST = timedelta(days=400)
_SHOWN = ("id", "device", "at", "end", "label", "blob", "blob_bytes")


class FramesHandler(LifelogHandler):
    """Serves one page; GET."""

    @authenticated
    @explained
    async def get(self) -> None:
        """A page of the frames of a span."""
        span = Span(
            start=_time("start", self._given("start")),
            end=_time("end", self._given("end")),
            device=self._given("device") or None,
        )
        if not timedelta(0) < span.end - span.start <= LONGEST:
            raise UsageError(
                "The span is empty or too long.",
                hint=f"end must lie after start, at most {LONGEST.days} days.",
            )
        offset = _number("offset", self._given("offset") or "0", 0, MOST_OFFSET)
        limit = _number("limit", self._given("limit") or "60", 1, MOST_ROWS)
        self.answer(await self.reader.run(_page, self.reader, span, offset, limit))

    def _given(self, name: str) -> str:
        values = self.get_query_arguments(name)
        if len(values) > 1:
            raise UsageError(f"{name} is given {len(values)} times.", hint="Give it once.")
        return values[0] if values else ""


def _page(reader: LakeReader, span: Span, offset: int, limit: int) -> dict[str, object]:
    frames = reader.frames(span)
    page: dict[str, object] = {
        "total": frames.height,
        "offset": offset,
        "frames": _rows(frames.slice(offset, limit)),
    }
    if offset == 0:
        page["devices"] = reader.devices()
        if frames.height == 0:
            newest = reader.newest_frame_at()
            page["newest_at"] = None if newest is None else iso(to_us(newest))
    return page


def _rows(frames: pl.DataFrame) -> list[dict[str, object]]:
    shown = frames.select(_SHOWN)
    return [
        {
            name: iso(to_us(value)) if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        for row in shown.iter_rows(named=True)
    ]


def _time(name: str, text: str) -> datetime:
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


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most):
        raise UsageError(f"{name} is wrong.", hint=f"A whole number from {least} to {most}.")
    return int(text)
