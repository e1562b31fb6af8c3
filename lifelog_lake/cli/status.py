"""``lifelog status``: what is recorded now, what waits, what is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import typer

from lifelog_lake.cli.options import HomeOption, JsonOption, here
from lifelog_lake.cli.output import as_iso, out, say, say_json


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("status")(status)


def status(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show what is recorded now, what waits for the lake, and what is wrong.

    Works whether or not lifelog runs. Exit code 1 if something isn't well.

    \b
    Examples:
      lifelog status
      lifelog status --json
    """
    import psutil

    from lifelog_lake.cli.board import (
        MICROPHONE,
        bars_of,
        headline,
        make_board,
        pause_line,
        table_of,
    )
    from lifelog_lake.clock import SystemClock
    from lifelog_lake.collect.health import read_status
    from lifelog_lake.pause import paused
    from lifelog_lake.spool import Spool

    opened = here(context, home)
    clock = SystemClock()
    now_us = clock.wall_us()
    said = read_status(opened.run)
    pid = (said or {}).get("pid")
    pause = paused(opened.path, clock)
    in_force: dict[str, Any] | None = None
    if pause is not None:
        in_force = {"since": pause.since_us, "until": pause.until_us}
    stats = Spool.of(opened, clock).stats()
    board = make_board(
        said,
        stats,
        now_us=now_us,
        alive=isinstance(pid, int) and psutil.pid_exists(pid),
        pause=in_force,
    )
    if as_json:
        say_json(
            {
                "device": opened.device,
                "home": str(opened.path),
                "lake": opened.lake_url,
                "at": as_iso({"at": now_us})["at"],
                "running": board.running,
                "pid": board.pid,
                "started_at": as_iso({"at": board.started_at})["at"],
                "pause": None if in_force is None else as_iso(in_force),
                "microphone_live": board.microphone,
                "rows": [as_iso(dataclasses.asdict(row)) for row in board.rows],
                "histories": [dataclasses.asdict(history) for history in board.histories],
                "findings": list(board.findings),
                "remarks": list(board.remarks),
            }
        )
    else:
        say(headline(board, now_us))
        say(f"Device    {opened.device}")
        say(f"Home      {opened.path}")
        say(f"Kept in   {opened.lake_url}")
        if in_force is not None:
            say(pause_line(in_force), style="yellow")
        if board.microphone:
            say(MICROPHONE, style="bold red")
        if board.rows:
            out().print(table_of(board, now_us))
        if (bars := bars_of(board)) is not None:
            out().print(bars)
        for remark in board.remarks:
            say(f"Note: {remark}")
        for finding in board.findings:
            say(f"Finding: {finding}", style="yellow")
    if board.findings:
        raise typer.Exit(1)
