"""What the commands share: ``--home``, ``--json``, opening the home, optional parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lifelog_lake.errors import MissingExtra

if TYPE_CHECKING:
    from lifelog_lake.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="The device's home directory; LIFELOG_HOME sets it too.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

OURS = frozenset({"lifelog_lake", "collectors", "flows"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was said before the command."""

    home: Path | None


def home_path(context: typer.Context, home: Path | None) -> Path | None:
    """``--home`` after the command, or else before it; None = the environment or the default."""
    before = context.obj.home if isinstance(context.obj, Options) else None
    return home or before


def here(context: typer.Context, home: Path | None, *, process: str = "cli") -> Home:
    """Open the home and send this command's log there. Raises as
    :func:`~lifelog_lake.home.open_home` does."""
    from lifelog_lake.home import open_home
    from lifelog_lake.logs import setup_logging

    opened = open_home(home_path(context, home))
    setup_logging(opened, process)
    return opened


def refuse_second(home: Home) -> None:
    """Raise Locked now, before anything of a running instance is touched."""
    from lifelog_lake.locks import FileLock

    lock = FileLock(home.run / "supervisor.lock")
    try:
        lock.acquire_now("lifelog on this home")
    finally:
        lock.close()


@contextlib.contextmanager
def extra(what: str, name: str) -> Iterator[None]:
    """Imports of an optional part: one that is missing becomes :class:`MissingExtra`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OURS:
            raise
        raise MissingExtra(what, name) from error
