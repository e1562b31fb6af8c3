"""``lifelog status``: what is recorded now, what waits, what is wrong."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import typer

from lifelog_lake import clock_check
from lifelog_lake.cli.options import HomeOption, JsonOption, here
from lifelog_lake.cli.output import ago, as_iso, is_terminal, out, say, say_json, span
from lifelog_lake.clock import US_PER_S
from lifelog_lake.clock_check import LEAST_US, MOST_US, ClockCheck
from lifelog_lake.errors import LifelogError
from lifelog_lake.units import size

if TYPE_CHECKING:
    from lifelog_lake.cli.board import Board
    from lifelog_lake.home import Home


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
        lost_line,
        make_board,
        pause_line,
        table_of,
    )
    from lifelog_lake.clock import SystemClock
    from lifelog_lake.collect.health import read_status
    from lifelog_lake.collect.today import lost_today
    from lifelog_lake.fleet.install import service_state
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
    spool = Spool.of(opened, clock)
    stats = spool.stats(within_s=2.0)
    alive = isinstance(pid, int) and psutil.pid_exists(pid)
    lost = lost_today(spool, said, clock, alive=alive)
    service = service_state(opened.path)
    board = make_board(
        said,
        stats,
        now_us=now_us,
        alive=alive,
        pause=in_force,
    )
    if as_json:
        checked = clock_check.read(opened.run)
        say_json(
            {
                "device": opened.device,
                "home": str(opened.path),
                "lake": opened.lake_url,
                "at": as_iso({"at": now_us})["at"],
                "running": board.running,
                "pid": board.pid,
                "started_at": as_iso({"at": board.started_at})["at"],
                "service": dataclasses.asdict(service),
                "pause": None if in_force is None else as_iso(in_force),
                "microphone_live": board.microphone,
                "rows": [as_iso(dataclasses.asdict(row)) for row in board.rows],
                "histories": [dataclasses.asdict(history) for history in board.histories],
                "findings": list(board.findings),
                "remarks": list(board.remarks),
                "lost_today": [dataclasses.asdict(one) for one in lost],
                "clock": None if checked is None else dataclasses.asdict(checked),
                **_checks(said or {}, running=board.running),
            }
        )
    else:
        say(headline(board, now_us))
        say(f"Device    {opened.device}")
        say(f"Home      {opened.path}")
        say(f"Kept in   {opened.lake_url}")
        say(f"Service   {service.words}")
        for line in _places(opened, board, said or {}, now_us):
            say(line)
        if in_force is not None:
            say(pause_line(in_force), style="yellow")
        if board.microphone:
            say(MICROPHONE, style="bold red")
        if board.rows:
            out().print(table_of(board, now_us))
        if (bars := bars_of(board)) is not None:
            out().print(bars)
        for one in lost:
            say(f"Lost      {lost_line(one)}", style="yellow")
        for remark in board.remarks:
            say(f"Note: {remark}")
        for finding in board.findings:
            say(f"Finding: {finding}", style="yellow")
    if board.findings:
        raise typer.Exit(1)


def _checks(said: Mapping[str, object], *, running: bool) -> dict[str, object]:
    """What the supervisor checks of the device as a whole, as it said last."""
    told = {name: said.get(name) for name in ("activitywatch", "care", "budget", "twin")}
    silent = cast("list[dict[str, object]]", said.get("silent") or [])
    return {
        **{name: as_iso(part) if isinstance(part, dict) else None for name, part in told.items()},
        "silent": [as_iso(one) for one in silent],
        "endpoint": said.get("endpoint") if running else None,
    }


def _places(opened: Home, board: Board, said: Mapping[str, object], now_us: int) -> Iterator[str]:
    """Where to look while it runs."""
    if any((row.name, row.state) == ("server", "running") for row in board.rows):
        yield f"Open      {_pages(opened)}"
    if not board.running:
        return
    server = said.get("activitywatch")
    if isinstance(server, dict):
        version = f" ({server['version']})" if server["version"] else ""
        checked = ago(server["checked_at"], now_us)
        yield f"Server    ActivityWatch is {server['state']}{version}, checked {checked}"
    yield from budget_lines(said)
    if (clock := clock_check.read(opened.run)) is not None:
        yield f"Clock     {clock_words(clock)}"
    endpoint = said.get("endpoint")
    if isinstance(endpoint, dict) and endpoint["url"]:
        yield f"Health    {endpoint['url']}/healthz"


def budget_lines(said: Mapping[str, object]) -> Iterator[str]:
    """What is used of what may be, and when spool and disk are full if it goes on like this."""
    budget = cast("Mapping[str, Any]", said.get("budget") or {})
    children = cast("Mapping[str, Mapping[str, Any]]", said.get("children") or {})
    used = []
    for name, child in children.items():
        if name not in budget.get("cpu_percent", ()) or child.get("cpu_percent") is None:
            continue
        share, most = budget["cpu_percent"][name], budget["memory_bytes"][name]
        cpu = f"{child['cpu_percent']:.0f}{f' of {share:.0f}' if share else ''} % CPU"
        memory = size(child.get("rss_bytes") or 0) + (f" of {size(most)}" if most else "")
        level = budget.get("levels", {}).get(name)
        used.append(f"{name} {cpu}, {memory}" + (f", step {level} down" if level else ""))
    if used:
        yield f"Uses      {'; '.join(used)}"
    for name, one in (budget.get("uploaded") or {}).items():
        used_up = "" if one["bytes"] < one["limit_bytes"] else ", used up"
        yield f"Uploaded  {size(one['bytes'])} of {size(one['limit_bytes'])} this {name}{used_up}"
    if budget.get("battery"):
        yield "Battery   the machine runs on it; capture keeps to [budgets] battery_level"
    for label, key, words in (("Waiting", "spool", "of"), ("Disk", "disk", "free, limit")):
        if room := budget.get(key):
            left_s = room["left_s"]
            soon = f", full in about {span(left_s)}" if left_s is not None else ""
            yield f"{label:<9} {size(room['bytes'])} {words} {size(room['limit_bytes'])}{soon}"


def clock_words(checked: ClockCheck) -> str:
    """``right by the store's clock (within 0.3 s)``, or how wrong it is."""
    within = f"within {checked.within_us / US_PER_S:.1f} s"
    if abs(checked.ahead_us) <= max(checked.within_us, LEAST_US):
        return f"right by the store's clock ({within})"
    way = "ahead of" if checked.ahead_us > 0 else "behind"
    wrong = f"{abs(checked.ahead_us) / US_PER_S:.1f} s {way} the store's ({within})"
    if abs(checked.ahead_us) > MOST_US:
        return f"{wrong}; times aren't corrected: set the clock"
    return f"{wrong}; times are corrected on their way into the lake"


def _pages(home: Home) -> str:
    """The pages' address; with the token for a person only, as a program's input ends in logs."""
    from lifelog_lake.server.launch import address

    try:
        whole = address(home.path)
    except LifelogError as error:  # not listening yet, or a token that others may read
        return str(error)
    return whole if is_terminal(sys.stdout) else whole.partition("?")[0]
