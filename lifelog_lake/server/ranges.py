"""HTTP ranges and entity tags (RFC 9110), as far as immutable blobs need them."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: More digits than any size has are malformed; Python refuses to read thousands of them.
_SINGLE = re.compile(r"bytes=(\d{0,100})-(\d{0,100})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes ``start`` to ``stop`` (exclusive) of a content."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


class Unsatisfiable(ValueError):
    """The range asks for nothing that exists: answer 416."""


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The single range that a ``Range`` header asks for.

    None means the whole: no header, another unit, several ranges or a malformed header, which a
    server may ignore (RFC 9110, 14.2). Raises :class:`Unsatisfiable`.
    """
    if header is None:
        return None
    match = _SINGLE.fullmatch(header.replace(" ", "").lower())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.group(1), match.group(2)
    if not first:
        suffix = int(last)
        if suffix == 0 or size == 0:
            raise Unsatisfiable(header)
        return ByteRange(start=max(0, size - suffix), stop=size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable(header)
    return ByteRange(start=start, stop=min(size, int(last) + 1) if last else size)


def etag_matches(header: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names ``etag`` (quoted), by weak comparison."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in header.split(","))


def range_still_valid(if_range: str | None, etag: str) -> bool:
    """Whether ``If-Range`` lets the range be served: absent, or the same strong tag."""
    return if_range is None or if_range.strip() == etag
