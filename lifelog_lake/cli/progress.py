"""A bar for long work, in a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from lifelog_lake.cli.output import err, is_terminal

#: Told how much is done, and how much there is if that is known.
Shown = Callable[[int, int | None], None]


@contextlib.contextmanager
def bar(what: str, unit: str) -> Iterator[Shown | None]:
    """A bar to be told; None where nobody sees it."""
    if not is_terminal(sys.stderr):
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
        console=err(),
    ) as shown:
        task = shown.add_task(what, total=None, said="")

        def show(done: int, total: int | None) -> None:
            of = "" if total is None else f" of {total:,}"
            shown.update(task, completed=done, total=total or None, said=f"{done:,}{of} {unit}")

        yield show
