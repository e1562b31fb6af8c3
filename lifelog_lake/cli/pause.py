"""``lifelog pause`` and ``lifelog resume``: the person's own switch."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from lifelog_lake.cli.options import HomeOption, here
from lifelog_lake.cli.output import local, say, span
from lifelog_lake.errors import UsageError

UNIT_S = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
LONGEST_S = 366 * 86_400
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])", re.IGNORECASE)
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+", re.IGNORECASE)


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.command("pause")(pause)
    app.command("resume")(resume)


def pause(
    context: typer.Context,
    duration: Annotated[
        list[str] | None,
        typer.Argument(
            help="30m, 1h, 2h30m … or 'until resumed', which is the default.",
            metavar="[DURATION]",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Record nothing for a while, or until resumed. Works whether or not lifelog runs.

    \b
    Examples:
      lifelog pause            until `lifelog resume`
      lifelog pause 30m
      lifelog pause 2h30m
    """
    from lifelog_lake.clock import SystemClock
    from lifelog_lake.pause import set_pause

    seconds = duration_s(" ".join(duration or ()))
    made = set_pause(here(context, home).path, SystemClock(), seconds)
    if made.until_us is None or seconds is None:
        say("Paused until you resume: lifelog resume")
    else:
        say(f"Paused for {span(seconds)}, until {local(made.until_us)}. Sooner: lifelog resume")


def resume(context: typer.Context, home: HomeOption = None) -> None:
    """End a pause.

    \b
    Example:
      lifelog resume
    """
    from lifelog_lake.clock import SystemClock
    from lifelog_lake.pause import clear_pause

    there_was = clear_pause(here(context, home).path, SystemClock())
    say("Recording goes on." if there_was else "There was no pause.")


def duration_s(text: str) -> float | None:
    """``2h30m`` in seconds; None for nothing or ``until resumed``. Raises :class:`UsageError`."""
    text = text.strip().lower()
    if text in ("", "until resumed"):
        return None
    seconds = sum(float(number) * UNIT_S[unit] for number, unit in _PART.findall(text))
    if not _WHOLE.fullmatch(text) or not 0 < seconds <= LONGEST_S:
        raise UsageError(
            f"'{text}' is no duration.",
            hint="Write it like 90s, 30m, 1h, 2h30m or 1d (at most 366 days), or leave it out.",
        )
    return seconds
