"""``lifelog spool``: look into the durable queue."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from lifelog_lake.cli.options import HomeOption, JsonOption, Options, extra, here, home_path
from lifelog_lake.cli.output import number, out, say, say_json
from lifelog_lake.errors import UsageError

app = typer.Typer(help="Look into the durable queue of this device.", no_args_is_help=True)


@app.callback()
def spool(context: typer.Context, home: HomeOption = None) -> None:
    """Look into the durable queue of this device."""
    context.obj = Options(home=home_path(context, home))


@app.command("check")
def check_command(
    context: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(
            help="A spool, or a home; a copy will do. Default: this home.", show_default=False
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a spool, live or copied, without changing it. Exit code 1 if there are findings.

    \b
    Examples:
      lifelog spool check
      lifelog spool check /mnt/backup/lifelog --json
    """
    from lifelog_lake.config import default_home
    from lifelog_lake.spool import check

    where = (path or home_path(context, home) or default_home()).expanduser().absolute()
    if not any((where / part / "format.json").is_file() for part in ("", "spool")):
        raise UsageError(f"{where} is no spool.", hint="Name a home or its spool directory.")
    report = check(where)
    if as_json:
        say_json({"path": str(where), **dataclasses.asdict(report)})
    else:
        _show(where, report.streams, report.findings)
    if report.findings:
        raise typer.Exit(1)


@app.command("retry")
def retry_command(
    context: typer.Context, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Offer the lake again what it refused: contents in quarantine. Exit code 1 if any stays.

    \b
    Example:
      lifelog spool retry
    """
    with extra("Shipping into the lake", "device"):
        from lifelog_lake.ship.child import ship_lock
        from lifelog_lake.ship.retry import retry
    opened = here(context, home)
    with ship_lock(opened):
        done = retry(opened)
    if as_json:
        say_json(dataclasses.asdict(done))
    else:
        say(f"Brought {number(len(done.brought), 'content')} from quarantine: {opened.lake_url}")
        for name, reason in done.kept.items():
            say(f"Kept: {name}: {reason}", style="yellow")
    if done.kept:
        raise typer.Exit(1)


def _show(where: Path, streams: tuple[object, ...], findings: tuple[str, ...]) -> None:
    from rich import box
    from rich.table import Table

    say(f"Spool {where}")
    columns = ("stream", "records", "first_seq", "last_seq", "acked_seq", "blobs", "damaged")
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(
            column.replace("_", " "), justify="left" if column == "stream" else "right"
        )
    for stream in streams:
        table.add_row(*(str(getattr(stream, column)) for column in columns))
    if streams:
        out().print(table)
    for finding in findings:
        say(f"Finding: {finding}", style="yellow")
    if not findings:
        say("No findings: every record can be read.")
