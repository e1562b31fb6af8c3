"""A line of a command becomes an event: a JSON object with the stream's columns at its top level.

These names aren't columns: ``at`` and ``end`` (RFC 3339 with offset; without ``at`` it is now),
``id`` (what the row is called at its source, so that the same row read twice is one row; it needs
``at``, as rows are compared within their day), ``file`` and ``media_type`` (content to attach).
Names that the stream doesn't have go to ``extra``.

The errors say what is wrong with a line and never quote it.
"""

from __future__ import annotations

import os
import stat
from datetime import datetime
from pathlib import Path

import orjson

from lifelog_lake.clock import to_us
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.events import BlobSource, Event, new_event, pulled_id

MAX_FILE_BYTES = 64 * 2**20


def event_of(line: bytes, *, command: str, stream: str, now_us: int, files: bool) -> Event:
    """The event of one line, its file read into memory; raises :class:`InvalidEvent`."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise InvalidEvent("The line isn't JSON.", hint="Print one JSON object a line.") from None
    if not isinstance(row, dict):
        raise InvalidEvent("The line isn't a JSON object.", hint="Print one JSON object a line.")
    at, end = _time(row, "at"), _time(row, "end")
    name = row.pop("id", None)
    if name is not None and at is None:
        raise InvalidEvent(
            "The line has an 'id' but no 'at'.",
            hint="Give the time at the source: the same row read again must have the same.",
        )
    return new_event(
        stream,
        at=now_us if at is None else at,
        end=end,
        id=None if name is None else pulled_id("script", command, stream, _text(name, "id")),
        source=_source(row, files=files),
        data=row,
    )


def _time(row: dict[str, object], name: str) -> int | None:
    value = row.pop(name, None)
    if value is None:
        return None
    try:
        time = datetime.fromisoformat(_text(value, name))
        if time.utcoffset() is None:
            raise ValueError
        return to_us(time)
    except (ValueError, OverflowError):
        raise InvalidEvent(
            f"'{name}' isn't a time with its offset.",
            hint="Write it as 2026-01-02T03:04:05Z or 2026-01-02T03:04:05+01:00.",
        ) from None


def _source(row: dict[str, object], *, files: bool) -> BlobSource | None:
    if not files or "file" not in row:
        return None
    path = Path(_text(row.pop("file"), "file"))
    media_type = _text(row.pop("media_type", None), "media_type")
    if not path.is_absolute():
        raise InvalidEvent("'file' isn't an absolute path.", hint="Print the whole path.")
    return BlobSource.of_bytes(_content(path), media_type)


def _content(path: Path) -> bytes:
    """All of a file now: the command may remove it as soon as its line is printed."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise InvalidEvent("'file' isn't a plain file.", hint="Name a plain file.")
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no usable name"
        raise InvalidEvent(
            f"'file' can't be read: {why}.", hint="Print the line once the file is complete."
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidEvent(f"'file' is larger than {MAX_FILE_BYTES} bytes.", hint="Cut it.")
    return content


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidEvent(f"'{name}' isn't a text.", hint=f'Write it as {{"{name}": "…"}}.')
    return value
