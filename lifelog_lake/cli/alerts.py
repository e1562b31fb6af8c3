"""``lifelog alerts``: what isn't well over all devices, and what to do about it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lifelog_lake.cli.options import HomeOption, JsonOption, Options, extra, here, home_path
from lifelog_lake.cli.output import ago, as_iso, local, number, say, say_json
from lifelog_lake.cli.pause import duration_s
from lifelog_lake.errors import UsageError

if TYPE_CHECKING:
    from lifelog_lake.care.health.model import Alert

app = typer.Typer(help="See, answer and test the alerts of all devices.", no_args_is_help=True)

_STYLE = {"critical": "bold red", "warning": "yellow", "info": None}

KeyArgument = Annotated[
    str, typer.Argument(help="The alert's key, or its beginning if no other begins so.")
]


@app.callback()
def alerts(context: typer.Context, home: HomeOption = None) -> None:
    """See, answer and test the alerts of all devices."""
    context.obj = Options(home=home_path(context, home))


@app.command("list")
def list_command(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Those that resolved in the last seven days too.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the alerts, and what couldn't be sent. Exit code 1 if one is open and unanswered.

    \b
    Examples:
      lifelog alerts list
      lifelog alerts list --all --json
    """
    with extra("Reading the lake", "hub"):
        from lifelog_lake.care.health.alerts import Book
        from lifelog_lake.care.health.outbox import Outbox
    from lifelog_lake.clock import SystemClock

    opened, clock = here(context, home), SystemClock()
    with Book(opened, clock) as book:
        found, away = book.alerts(), book.away
    with Outbox(opened, clock) as outbox:
        queues = [queue for queue in outbox.queues.values() if queue.lines]
    shown = [alert for alert in found if every or alert.is_open]
    now_us = clock.wall_us()
    if as_json:
        say_json(
            {
                "alerts": [_as_json(alert) for alert in shown],
                "unsent": [
                    {
                        "to": queue.shown,
                        "lines": len(queue.lines),
                        "failures": queue.failures,
                        **as_iso({"since": queue.failing_since}),
                        "error": queue.error or None,
                    }
                    for queue in queues
                ],
                "lake": None if away is None else str(away),
            }
        )
    else:
        for alert in shown:
            _show(alert, now_us)
        if not shown:
            say("No alert is open.")
        for queue in queues:
            why = f"failed {number(queue.failures, 'time')}: {queue.error}" if queue.error else ""
            waits = f"{number(len(queue.lines), 'line')} for {queue.shown}"
            say(f"Not sent yet: {waits}{f' ({why})' if why else ''}", style="yellow")
        if away is not None:
            say(f"As of the last time that the lake was there. {away}", style="yellow")
    if any(alert.state == "open" for alert in found):
        raise typer.Exit(1)


@app.command("ack")
def ack_command(context: typer.Context, key: KeyArgument, home: HomeOption = None) -> None:
    """Say that you know of an alert: no more messages of it until it is worse or comes again.

    \b
    Example:
      lifelog alerts ack last_seen/laptop-2ac252/-
    """
    with extra("Reading the lake", "hub"):
        from lifelog_lake.care.health.alerts import acknowledge

    opened = here(context, home)
    acknowledged = acknowledge(opened, _whole(opened, key))
    say(f"Acknowledged: {acknowledged.says}")


@app.command("snooze")
def snooze_command(
    context: typer.Context,
    key: KeyArgument,
    duration: Annotated[list[str], typer.Argument(help="30m, 2h, 1d …", metavar="DURATION")],
    home: HomeOption = None,
) -> None:
    """Hear nothing of an alert for a while; if it is still found then, it opens again.

    \b
    Example:
      lifelog alerts snooze disk/nas-1b2c3d/- 2d
    """
    with extra("Reading the lake", "hub"):
        from lifelog_lake.care.health.alerts import snooze
    from lifelog_lake.clock import US_PER_S, SystemClock

    opened, clock = here(context, home), SystemClock()
    seconds = duration_s(" ".join(duration))
    if seconds is None:
        raise UsageError("A snooze ends some time.", hint="Give a duration such as 2h or 1d.")
    until = clock.wall_us() + int(seconds * US_PER_S)
    snoozed = snooze(opened, _whole(opened, key), until, clock)
    say(f"Snoozed until {local(until)}: {snoozed.says}")


@app.command("test")
def try_command(
    context: typer.Context, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Send a test message to each address now, and say which took it. Exit code 1 if one didn't.

    \b
    Example:
      lifelog alerts test
    """
    with extra("Sending alerts", "hub"):
        from lifelog_lake.care.health.notify import try_addresses
    opened = here(context, home)
    results = try_addresses(opened)
    if not results:
        raise UsageError(
            "There is no address to send to.",
            hint='Name some: [alerts] notify = ["ntfys://…"] in config.toml; see docs/health.md.',
        )
    if as_json:
        say_json({"addresses": [dataclasses.asdict(result) for result in results]})
    else:
        for result in results:
            if result.error:
                say(f"failed  {result.shown}: {result.error}", style="yellow")
            else:
                say(f"sent    {result.shown}")
    if any(result.error for result in results):
        raise typer.Exit(1)


def _whole(home: Any, beginning: str) -> str:
    """The key that begins so; itself if none does, or several do."""
    from lifelog_lake.care.health.alerts import Book
    from lifelog_lake.clock import SystemClock

    with Book(home, SystemClock()) as book:
        keys = [alert.key for alert in book.alerts() if alert.is_open]
    found = [key for key in keys if key.startswith(beginning)]
    return found[0] if len(found) == 1 and beginning not in keys else beginning


def _show(alert: Alert, now_us: int) -> None:
    state = alert.state if alert.until is None else f"snoozed until {local(alert.until)}"
    since = f", since {ago(alert.since, now_us)}" if alert.since is not None else ""
    changed = ago(alert.changed_at, now_us)
    style = _STYLE[alert.severity] if alert.is_open else "dim"
    say(f"{alert.severity:<8} {alert.key}  ({state} {changed}{since})", style=style)
    say(f"         {alert.says}")
    if alert.hint and alert.is_open:
        say(f"         {alert.hint}")


def _as_json(alert: Alert) -> dict[str, object]:
    return {key: value or None for key, value in as_iso(dataclasses.asdict(alert)).items()}
