"""``lifelog compact``: what the hub does by its schedule, by hand."""

from __future__ import annotations

import sys

import typer

from lifelog_lake.cli.options import HomeOption, extra, here
from lifelog_lake.cli.output import err, say
from lifelog_lake.errors import UsageError


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("compact")(compact)


def compact(context: typer.Context, home: HomeOption = None) -> None:
    """Merge the lake's small files, shorten its logs, remove what nobody reads any more.

    The hub does it by itself; by hand it is the same. No row changes, and others may write and
    read meanwhile. Exit code 1 if there are findings, 3 if the lake can't be reached.

    \b
    Examples:
      lifelog compact
    """
    with extra("Care for the lake", "device"):
        from lifelog_lake.care import compact as merging
        from lifelog_lake.care import tidy
        from lifelog_lake.clock import SystemClock
        from lifelog_lake.lake import parse_url, require_known
    opened, clock = here(context, home), SystemClock()
    store = parse_url(opened.lake_url, opened)
    if require_known(opened, store).demo is not None:
        raise UsageError(
            f"The lake {store.url} holds demo data, which is whole as it is made.",
            hint="Name the home of another lake with --home.",
        )
    outcomes = []
    for job in (merging, tidy):
        if sys.stderr.isatty():
            with err().status(f"{job.JOB} …"):
                outcomes.append(job.run(opened, store, clock))
        else:
            outcomes.append(job.run(opened, store, clock))
        say(outcomes[-1].words())
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    for finding in findings:
        say(f"Finding: {finding}", style="yellow")
    if findings:
        raise typer.Exit(1)
