"""How the command speaks: results on stdout, errors and progress on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TextIO

import orjson
from rich.console import Console
from rich.markup import escape

from lifelog_lake.errors import LifelogError


@cache
def out() -> Console:
    """stdout. Lines aren't folded when they go to a file or another program."""
    return Console(soft_wrap=not is_terminal(sys.stdout), highlight=False, emoji=False)


@cache
def err() -> Console:
    """stderr."""
    return Console(stderr=True, soft_wrap=not is_terminal(sys.stderr), highlight=False, emoji=False)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person reads it. Windows' ``pythonw`` has no streams at all."""
    return stream is not None and stream.isatty()


#: What a terminal would obey, or hide: shown as a mark instead. Line ends and tabs are harmless.
_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def plain(text: str) -> str:
    """A text without what a terminal obeys: titles and errors of elsewhere may hold escapes."""
    return text.translate(_CONTROLS)


def say(text: str, *, style: str | None = None) -> None:
    """A line on stdout, as it is (nothing in it is markup, and no terminal obeys it)."""
    out().print(plain(text), style=style, markup=False)


def say_json(value: object) -> None:
    """One JSON object on stdout, for programs."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
    sys.stdout.flush()


def say_error(error: LifelogError) -> None:
    """What, where, how to mend it; the log gets it too."""
    err().print(f"[bold red]Error:[/] {escape(plain(error.message))}")
    if error.hint:
        err().print(plain(error.hint), markup=False)
    if _logging():
        import structlog

        structlog.get_logger(__name__).error("command_failed", error=error)


def say_mistake(error: Exception) -> None:
    """A mistake in the program: a short line here, the traceback (without values) in the log."""
    from lifelog_lake.logs import Lines, RotatingLog, describe, trace

    places = trace(error)
    err().print(
        f"[bold red]Error:[/] {escape(describe(error))}: a mistake in the program"
        + (f" at {escape(places[-1])}." if places else ".")
    )
    if not _logging():
        for place in places:
            err().print(f"  {place}", markup=False)
        return
    import structlog

    structlog.get_logger(__name__).error("program_mistake", exc_info=error)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatingLog) and isinstance(handler.formatter, Lines):
            err().print(f"The log has the details: {handler.baseFilename}", markup=False)


def _logging() -> bool:
    """Whether this process has a log by now."""
    if "lifelog_lake.logs" not in sys.modules:
        return False
    from lifelog_lake.logs import Lines

    return any(isinstance(handler.formatter, Lines) for handler in logging.getLogger().handlers)


def number(count: int, noun: str, nouns: str | None = None) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count} {noun}" if count == 1 else f"{count} {nouns or noun + 's'}"


def span(seconds: float) -> str:
    """A duration for a person, in its largest units: ``2 h 30 min``."""
    whole = int(abs(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        hours, minutes = whole // 3600, whole % 3600 // 60
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{whole // 86_400} days" if whole >= 2 * 86_400 else "1 day"


def ago(at_us: int | None, now_us: int) -> str:
    """How long ago, ``-`` for never."""
    from lifelog_lake.clock import US_PER_S

    if at_us is None:
        return "-"
    seconds = (now_us - at_us) / US_PER_S
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(seconds)}"


def local(at_us: int) -> str:
    """A time as the person's own clock shows it, with the day if it isn't today's."""
    from lifelog_lake.clock import utc

    at = utc(at_us).astimezone()
    today = datetime.now().astimezone().date()
    return at.strftime("%H:%M" if at.date() == today else "%Y-%m-%d %H:%M")


def as_iso(fields: Mapping[str, object]) -> dict[str, object]:
    """Fields named ``…at``, ``since`` or ``until`` as RFC 3339 instead of µs, all the way down."""
    return {key: _iso(key, value) for key, value in fields.items()}


def _iso(key: str, value: object) -> object:
    if isinstance(value, Mapping):
        if key == "observed_at":
            return {str(name): _iso("at", at) for name, at in value.items()}
        return as_iso(value)
    from lifelog_lake.clock import iso

    timed = key == "at" or key.endswith("_at") or key in ("since", "until")
    return iso(value) if timed and isinstance(value, int) else value
