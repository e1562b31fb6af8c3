"""``lifelog ship``: drain the spool once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from lifelog_lake.cli.options import HomeOption, extra, here
from lifelog_lake.cli.output import err, number, say
from lifelog_lake.units import size

if TYPE_CHECKING:
    from lifelog_lake.ship import Shipped


def add_to(app: typer.Typer) -> None:
    """Put the command into the tree."""
    app.command("ship")(ship)


def ship(context: typer.Context, home: HomeOption = None) -> None:
    """Bring all that waits in the spool into the lake, once.

    Waits for a shipper that is at work. Exit code 3 if the lake can't be reached; what waits stays.

    \b
    Examples:
      lifelog ship
      lifelog --home /mnt/stick/lifelog ship
    """
    with extra("Shipping into the lake", "device"):
        from lifelog_lake.ship import Shipper
        from lifelog_lake.ship.child import ship_lock
    opened = here(context, home)
    with ship_lock(opened):
        if sys.stderr.isatty():
            with err().status("Shipping …") as line:
                shipped = Shipper.of(opened).run_once(
                    lambda done: line.update(f"Shipping … {_words(done)}")
                )
        else:
            shipped = Shipper.of(opened).run_once()
    say(f"Shipped {_words(shipped)} to {opened.lake_url}")
    for finding in shipped.findings:
        say(f"Finding: {finding}", style="yellow")
    if not shipped.errors:
        return
    for stream, error in shipped.errors.items():
        err().print(f"Error: {stream}: {error}", style="red", markup=False)
    raise typer.Exit(max(error.exit_code for error in shipped.errors.values()))


def _words(shipped: Shipped) -> str:
    rows, blobs = number(shipped.rows, "row"), number(shipped.blobs, "blob")
    words = f"{rows}, {blobs} ({size(shipped.blob_bytes)})"
    return words if shipped.moving is None else f"{words}. {shipped.moving.words()}"
