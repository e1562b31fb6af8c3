"""The tree of commands, and the one place where an error becomes words and an exit code.

Exit codes: 0 fine · 1 a finding, or an error of this home · 2 wrong usage or input · 3 the lake
can't be reached · 70 a mistake in the program (its traceback is in the log) · 130 Ctrl-C.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.main import get_command

from lifelog_lake import __version__
from lifelog_lake.cli import (
    alerts,
    capture,
    care,
    config,
    demo,
    doctor,
    event,
    lake,
    pause,
    search,
    service,
    ship,
    spool,
    status,
    token,
    transfer,
)
from lifelog_lake.cli.options import HomeOption, Options
from lifelog_lake.cli.output import say_error, say_mistake
from lifelog_lake.errors import LifelogError, UsageError

MISTAKE = 70
INTERRUPTED = 130

app = typer.Typer(
    name="lifelog",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"lifelog {__version__}\n")
        raise typer.Exit


@app.callback()
def lifelog(
    context: typer.Context,
    home: HomeOption = None,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Record this device's days into a lake of open files that is yours.

    \b
    Examples:
      lifelog up           record, and show the pages in the browser
      lifelog status       what is recorded now, and what waits
      lifelog pause 30m    record nothing for half an hour
      lifelog verify       prove that nothing was lost or doubled
    """
    del version
    context.obj = Options(home=home)


for group in (
    capture, lake, care, demo, search, ship, status, doctor, pause, service, token, transfer,
):  # fmt: skip
    group.add_to(app)
app.add_typer(event.app, name="event")
app.add_typer(spool.app, name="spool")
app.add_typer(alerts.app, name="alerts")
app.add_typer(config.app, name="config")


def run(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit code; no exception leaves but SystemExit's code."""
    try:
        get_command(app).main(args=argv, prog_name="lifelog")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except LifelogError as error:
        say_error(error)
        return error.exit_code
    except PermissionError as error:
        say_error(
            UsageError(
                f"{error.filename or 'A file'} can't be used: {error.strerror or error}.",
                hint="Is it yours? Name another home with --home or LIFELOG_HOME.",
            )
        )
        return UsageError.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place: said, logged, and an exit code
        say_mistake(error)
        return MISTAKE
    return 0
