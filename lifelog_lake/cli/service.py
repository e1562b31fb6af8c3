"""``lifelog install`` and ``lifelog uninstall``: record from each login on, without a terminal."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lifelog_lake.cli.options import HomeOption, here, home_path, refuse_second
from lifelog_lake.cli.output import out, say
from lifelog_lake.errors import Locked, MissingExtra, UsageError

if TYPE_CHECKING:
    from lifelog_lake.fleet.install import Plan
    from lifelog_lake.fleet.service import Role, Wanted
    from lifelog_lake.home import Home

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
]
System = Annotated[
    bool,
    typer.Option("--system", help="A hub of the whole machine, without a login. Linux, as root."),
]


def add_to(app: typer.Typer) -> None:
    """Put the commands into the tree."""
    app.command("install")(install)
    app.command("uninstall")(uninstall)


def install(
    context: typer.Context,
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            metavar="device|hub",
            help="device records; a hub also keeps the lake and serves the pages. "
            "Default: as installed, or device.",
            show_default=False,
        ),
    ] = None,
    headless: Annotated[
        bool,
        typer.Option(
            "--headless",
            help="Linux: begin without a graphical session, on a machine that has none.",
        ),
    ] = False,
    system: System = False,
    activitywatch: Annotated[
        str | None,
        typer.Option(
            "--activitywatch",
            metavar="PROGRAM",
            help='Keep ActivityWatch alive too (aw-qt or its path); "" ends that.',
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    no_start: Annotated[
        bool, typer.Option("--no-start", help="Only install; it begins with the next login.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Install the service that records from each login on; once more to upgrade it.

    What is there already is left alone; your settings and data are never touched.

    \b
    Examples:
      lifelog install
      lifelog install --role hub --dry-run
      lifelog install --activitywatch aw-qt
      sudo /opt/lifelog/bin/lifelog install --role hub --system
    """
    from lifelog_lake.fleet import install as fleet

    _need_extras("device")
    if system:
        wanted = _of_machine(role, activitywatch, home_path(context, home))
        manager = fleet.manager_of(wanted.home, system=True)
        if not dry_run:
            _need_root()
    else:
        _refuse_sudo()
        opened = here(context, home)
        wanted = _wanted(opened, role, headless, activitywatch)
        manager = fleet.manager_of(opened.path)
    _need_extras(wanted.role)
    was = manager.state()
    plan = fleet.plan_install(manager, wanted, start=not no_start)
    if dry_run:
        _show(plan)
        return
    _show_replaced(plan)
    plan.carry_out()
    if not system:
        fleet.remember(wanted)
    if plan.is_empty:
        say("Nothing to change.")
    for remark in (*plan.remarks, *_remarks(wanted, system=system)):
        say(f"Note: {remark}", style="yellow")
    if not system and not was.active:
        _say_of_other(wanted.home)
    state = manager.state()
    say(f"Service   {state.name} in {manager.name}: {state.detail}")
    say(f"Records   into {wanted.home}, whenever {_when(wanted, system=system)}")
    say("See it    lifelog status")
    say(f"Remove it lifelog uninstall{' --system' if system else ''}")


def uninstall(
    context: typer.Context, system: System = False, dry_run: DryRun = False, home: HomeOption = None
) -> None:
    """Take the service away. What was recorded stays, and it is said where.

    \b
    Examples:
      lifelog uninstall
      lifelog uninstall --dry-run
    """
    from lifelog_lake.fleet import install as fleet
    from lifelog_lake.fleet.systemd import HUB_HOME

    where, lake = HUB_HOME, str(HUB_HOME / "lake")
    if not system:
        _refuse_sudo()
        opened = here(context, home)
        where, lake = opened.path, opened.lake_url
    elif not dry_run:
        _need_root()
    manager = fleet.manager_of(where, system=system)
    if other := fleet.other_home(manager, where):
        raise UsageError(
            f"The service records into {other}, not into {where}.",
            hint=f"To remove it: lifelog --home {shlex.quote(str(other))} uninstall",
        )
    plan = fleet.plan_uninstall(manager)
    if dry_run:
        _show(plan)
        return
    plan.carry_out()
    if not system:
        fleet.forget(where)
    for change in plan.changes:
        say(f"Removed   {change.path}")
    if plan.is_empty:
        say("There is no service to remove.")
    say(f"Your data stays: the home {where}, and the lake")
    say(f"{lake}. Record again: lifelog install{' --system' if system else ''}")


# --- what is wanted ---------------------------------------------------------------------------


def _wanted(home: Home, role: str | None, headless: bool, activitywatch: str | None) -> Wanted:
    import dataclasses

    from lifelog_lake.collect import registry
    from lifelog_lake.config import CONFIG_NAME
    from lifelog_lake.fleet import install as fleet
    from lifelog_lake.fleet.service import Wanted
    from lifelog_lake.lake import parse_url

    wanted = fleet.remembered(
        Wanted(role="device", home=home.path, python=Path(sys.executable).absolute())
    )
    # What would end the service at each start is told now.
    registry.enabled(home.settings, home.path / CONFIG_NAME)
    if "://" not in home.lake_url:
        parse_url(home.lake_url, home)
    told = home.settings.collectors.get("activitywatch", {})
    if url := told.get("url"):
        wanted = dataclasses.replace(wanted, activitywatch_url=str(url))
    if role is not None or headless:
        wanted = dataclasses.replace(wanted, role=_role(role or wanted.role), headless=headless)
    if activitywatch is not None:
        wanted = dataclasses.replace(wanted, activitywatch=_program(activitywatch))
    return wanted


def _of_machine(role: str | None, activitywatch: str | None, home: Path | None) -> Wanted:
    from lifelog_lake.fleet.service import Wanted
    from lifelog_lake.fleet.systemd import HUB_HOME

    return Wanted(
        role=_role(role or "hub"),
        home=home or HUB_HOME,
        python=Path(sys.executable).absolute(),
        headless=True,
        activitywatch=None if activitywatch is None else _program(activitywatch),
    )


def _role(word: str) -> Role:
    if word == "device":
        return "device"
    if word == "hub":
        return "hub"
    raise UsageError(f"There is no role {word!r}.", hint="--role is device or hub.")


def _program(word: str) -> Path | None:
    if not word:
        return None
    found = shutil.which(word)
    if found is None:
        raise UsageError(
            f"There is no program {word!r}.",
            hint="Name ActivityWatch's aw-qt (or aw-server) by its path: --activitywatch PATH",
        )
    return Path(found).absolute()


def _refuse_sudo() -> None:
    """Before the home is opened: a root's file there would keep its person out."""
    by_sudo = os.environ.get("SUDO_UID", "0") not in ("", "0")
    if sys.platform != "win32" and os.geteuid() == 0 and by_sudo:
        raise UsageError(
            "With sudo it would be root's own service, not yours.",
            hint="Leave sudo out. A hub of the whole machine: --role hub --system.",
        )


def _need_root() -> None:
    if sys.platform == "win32" or os.geteuid() != 0:
        raise UsageError(
            "A service of the machine is root's to change.",
            hint=f"Type: sudo {sys.argv[0]} … --system; or leave --system out.",
        )


def _need_extras(role: Role) -> None:
    for extra, module in (("device", "deltalake"), ("hub", "jupyter_server")):
        if importlib.util.find_spec(module) is None and extra in ("device", role):
            raise MissingExtra(f"A service of the role {role}", extra)


# --- what is said -----------------------------------------------------------------------------


def _show(plan: Plan) -> None:
    """Diffs and commands, as they would be."""
    for change in plan.changes:
        out().print(change.diff(), markup=False)
    for command in (*plan.before, *plan.commands):
        say(f"Would run: {' '.join(command.argv)}")
    for remark in plan.remarks:
        say(f"Note: {remark}")
    if plan.is_empty:
        say("Nothing would change.")


def _show_replaced(plan: Plan) -> None:
    for change in plan.changes:
        if change.before is not None:
            out().print(change.diff(), markup=False)
        else:
            say(f"Wrote     {change.path}")


def _remarks(wanted: Wanted, *, system: bool) -> list[str]:
    remarks = []
    unseen = sorted(
        name
        for name in os.environ
        if name.startswith(("LIFELOG_", "AWS_")) and name != "LIFELOG_HOME"
    )
    if unseen:
        remarks.append(
            f"The service doesn't see {', '.join(unseen)} of this terminal: put settings into "
            "config.toml, and keys where docs/s3.md says."
        )
    if _is_short_lived(wanted.python):
        remarks.append(
            f"{wanted.python} lies where things are cleared away, and the service ends with it. "
            'To stay: uv tool install "lifelog-lake[device]", then lifelog install.'
        )
    linux = sys.platform.startswith("linux")
    if linux and not system and not wanted.headless and not _graphical():
        remarks.append(
            "No graphical session is seen here. If this machine has none: "
            "lifelog install --headless; if your window manager doesn't tell systemd of its "
            "session, docs/install.md has the two lines for it."
        )
    return remarks


def _is_short_lived(python: Path) -> bool:
    """A temporary directory, or a cache: `uvx` and `pipx run` make their environments there."""
    caches = {".cache", "cache", "caches"}
    temporary = Path(tempfile.gettempdir())
    return python.is_relative_to(temporary) or not caches.isdisjoint(
        part.lower() for part in python.parts
    )


def _graphical() -> bool:
    from lifelog_lake.fleet.service import ask

    target = ("systemctl", "--user", "is-active", "--quiet", "graphical-session.target")
    return ask(target).code == 0


def _when(wanted: Wanted, *, system: bool) -> str:
    if system:
        return "the machine runs"
    if wanted.headless:
        return "you are logged in (loginctl enable-linger: whenever the machine runs)"
    return "you are logged in at its screen"


def _say_of_other(home: Path) -> None:
    """A `lifelog up` in some terminal holds the home; the service waits for it."""
    from lifelog_lake.home import open_home

    try:
        refuse_second(open_home(home))
    except Locked as error:
        say(f"Note: {error.message} The service takes over when that one ends.", style="yellow")
