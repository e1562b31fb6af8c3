"""``lifelog up`` and ``lifelog collect``: record in the foreground."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lifelog_lake.cli.options import HomeOption, here, refuse_second
from lifelog_lake.cli.output import say
from lifelog_lake.errors import LakeUnreachable, MissingExtra

if TYPE_CHECKING:
    from pathlib import Path

    from lifelog_lake.collect.process import ChildSpec
    from lifelog_lake.home import Home

#: What the hub's server can't start without.
HUB = ("jupyter_server", "jupyterlab", "voila", "polars", "deltalake")


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.command("up")(up)
    app.command("collect")(collect)


def up(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help="Port of the pages; default: [server] port. 0 = any free one.",
            show_default=False,
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Don't open the page; its address is printed.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Record this device, bring it into the lake, and show it in the browser.

    Runs until Ctrl-C. The first start writes config.toml and makes the lake in the home. A lake of
    demo data is only shown.

    \b
    Examples:
      lifelog up
      lifelog up --port 9000 --no-browser
      LIFELOG_COLLECTORS__SCREEN__EVERY_S=5 lifelog up
    """
    if any(importlib.util.find_spec(module) is None for module in HUB):
        raise MissingExtra("lifelog up", "hub")
    _run(here(context, home, process="supervisor"), serve=True, port=port, browser=not no_browser)


def collect(context: typer.Context, home: HomeOption = None) -> None:
    """Record this device and bring it into the lake, without pages.

    Runs until Ctrl-C or SIGTERM.

    \b
    Examples:
      lifelog collect
      lifelog --home /srv/lifelog collect
    """
    _run(here(context, home, process="supervisor"), serve=False)


def _run(home: Home, *, serve: bool, port: int | None = None, browser: bool = False) -> None:
    from lifelog_lake import config
    from lifelog_lake.cli import pages
    from lifelog_lake.cli.live import Live
    from lifelog_lake.collect import registry
    from lifelog_lake.collect.supervisor import Supervisor
    from lifelog_lake.lake.identity import require_known, require_real

    refuse_second(home)
    if config.write_default(home.path, registry.models()):
        say(f"Wrote the settings {home.path / config.CONFIG_NAME}")
    trouble = _lake(home)
    if not trouble and (lake := require_known(home)).demo is not None:
        if not serve:
            require_real(lake, home.lake_url)
        pages.show(home, _server(home, port), browser=browser)
        return
    extra = [_server(home, port), *_flows(home)] if serve else []
    live = Live(home, serve=serve, browser=browser, trouble=trouble)
    supervisor = Supervisor(home, extra=extra, on_status=live.update)
    with live:
        supervisor.run()
    live.farewell()


def _lake(home: Home) -> str:
    """Make the lake at the first start, bring an older one up. One that is away must not stop
    capture: say so."""
    from lifelog_lake.clock import SystemClock
    from lifelog_lake.lake import init_lake, parse_url
    from lifelog_lake.lake.identity import known_lake
    from lifelog_lake.lake.upgrade import upgrade

    first = known_lake(home) is None
    try:
        init_lake(home)
        upgrade(parse_url(home.lake_url, home), home.device, SystemClock())
    except LakeUnreachable as error:
        if first:
            raise  # nothing of this home could ever be shipped
        import structlog

        structlog.get_logger(__name__).warning("lake_unreachable", error=error)
        return f"{error} Until then all is kept in the spool."
    return ""


def _flows(home: Home) -> list[ChildSpec]:
    """The process that keeps the lake small and fast, where Prefect is there and it is wanted."""
    from lifelog_lake.collect.process import ChildSpec

    settings = home.settings.flows
    if not settings.enabled or importlib.util.find_spec("prefect") is None:
        return []
    return [
        ChildSpec(
            name="flows",
            argv=(sys.executable, "-m", "flows", "--home", str(home.path)),
            stderr=_stderr(home, "flows"),
            after_s=settings.start_after_s,
        )
    ]


def _stderr(home: Home, name: str) -> Path | None:
    to_console = home.settings.log.file == ""
    return None if to_console else home.logs / f"{name}.stderr"


def _server(home: Home, port: int | None) -> ChildSpec:
    from lifelog_lake.collect.process import ChildSpec
    from lifelog_lake.server import launch

    (home.run / "server.json").unlink(missing_ok=True)  # of an instance that was killed
    prepared = launch.prepare(home, port=port)
    if prepared.token is not None:
        say(f"Token     {prepared.token}  for programs; shown this once, see lifelog token")
    return ChildSpec(
        name="server",
        argv=prepared.argv,
        env=prepared.env,
        beats=False,
        stderr=_stderr(home, "server"),
    )
