"""``lifelog demo``: a lake of invented years, for those who want to look first."""

from __future__ import annotations

import dataclasses
import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lifelog_lake.cli.options import HomeOption, extra, here, home_path
from lifelog_lake.cli.output import err, say
from lifelog_lake.errors import UsageError
from lifelog_lake.units import size

if TYPE_CHECKING:
    from collections.abc import Callable


Result = TypeVar("Result")


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    days: Annotated[int, typer.Option("--days", help="How many days, up to --end.")] = 90,
    seed: Annotated[
        int, typer.Option("--seed", help="Any whole number: the same one, the same lake.")
    ] = 1,
    end: Annotated[
        str | None,
        typer.Option(
            "--end", metavar="DATE", help="The last day, e.g. 2026-05-31; default: today."
        ),
    ] = None,
    events_per_day: Annotated[
        int, typer.Option("--events-per-day", help="How dense: rows of all streams a day, about.")
    ] = 5_000,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the demo data of this home's lake.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Fill this home's lake with invented days of three devices, to look at. Safe to repeat.

    Only a lake without captured rows is filled, and nothing is recorded into a filled one.

    \b
    Examples:
      lifelog demo
      lifelog demo --days 730 --seed 7 --home ~/lifelog-demo
      lifelog demo --remove
    """
    with extra("Demo data", "device"):
        from lifelog_lake.demo import fill as filling
        from lifelog_lake.demo.plan import Plan
        from lifelog_lake.demo.scenes import PICTURED
        from lifelog_lake.ship.child import ship_lock
    from lifelog_lake.locks import FileLock

    given = None if end is None else _day(end)
    today = date.today()  # noqa: DTZ011 - the person's own
    plan = Plan(days=days, seed=seed, end=given or today, events_per_day=events_per_day)
    opened = here(context, home)
    if given is None:  # done again tomorrow, it means the same days
        plan = dataclasses.replace(plan, end=filling.last_day(opened) or today)
    lock = FileLock(opened.run / "supervisor.lock")
    try:
        lock.acquire_now("lifelog on this home")
        with ship_lock(opened):
            if remove:
                gone = _shown(lambda progress: filling.remove(opened, progress))
                say(
                    f"Removed the demo data: {opened.lake_url}"
                    if gone
                    else f"There is no lake at {opened.lake_url}; nothing to remove."
                )
                return
            if filling.is_filled(opened, plan):
                say(f"The lake holds this demo data already: {opened.lake_url}")
            else:
                rows, count = plan.estimate(len(PICTURED))
                say(f"About {_rounded(rows)} events, {size(count)}: {opened.lake_url}")
                try:
                    _shown(lambda progress: filling.fill(opened, plan, progress))
                except KeyboardInterrupt:
                    say("Interrupted. The same command goes on; lifelog demo --remove removes it.")
                    raise
                say(f"Filled the lake with demo data: {opened.lake_url}")
    finally:
        lock.close()
    there = "" if home_path(context, home) is None else f" --home {opened.path}"
    say(f"Look at it   lifelog up{there}")
    say(f"Remove it    lifelog demo --remove{there}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"--end isn't a date: {text[:40]!r}.", hint="Write it like 2026-05-31."
        ) from None


def _rounded(count: int) -> str:
    if count < 1_000_000:
        return f"{count:,}"
    return f"{count / 1_000_000:.1f} million"


def _shown(work: Callable[[Callable[[str, int, int], None] | None], Result]) -> Result:
    """Do it, with a bar in a terminal."""
    if not sys.stderr.isatty():
        return work(None)
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description:9}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total}"),
        TimeRemainingColumn(),
        console=err(),
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        return work(show)
