"""Brings the service of this machine to what a person wants, and takes it away again.

Both say what they would do before they do it (:class:`Plan`), and both may be done twice. What was
wanted is remembered in ``HOME/service.json``, so that the bare command upgrades what is there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from lifelog_lake import __version__, fsio
from lifelog_lake.collect.health import read_status
from lifelog_lake.errors import UsageError
from lifelog_lake.fleet.launchd import LaunchAgent
from lifelog_lake.fleet.service import (
    Change,
    Command,
    Manager,
    ServiceState,
    Wanted,
    apply,
    changes,
    run,
)
from lifelog_lake.fleet.systemd import MachineSystemd, UserSystemd
from lifelog_lake.fleet.tasks import TaskScheduler

NAME = "service.json"


def manager_of(home: Path, *, system: bool = False) -> Manager:
    """This platform's; :class:`UsageError` where there is none."""
    if sys.platform.startswith("linux"):
        return MachineSystemd() if system else UserSystemd()
    if system:
        raise UsageError(
            "A service of the machine is made on Linux only.",
            hint="Leave --system out: the service then belongs to your login.",
        )
    if sys.platform == "darwin":
        return LaunchAgent()
    if sys.platform == "win32":
        return TaskScheduler(home)
    raise UsageError(
        f"There is no service for the platform {sys.platform}.",
        hint="Let your system start `lifelog collect` at login, and again when it ends.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done. ``commands`` run after the ``changes``, those in ``before`` first.
    ``remarks`` are for the person."""

    changes: tuple[Change, ...] = ()
    before: tuple[Command, ...] = ()
    commands: tuple[Command, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether everything is as it should be."""
        return not self.changes and not self.before and not self.commands

    def carry_out(self) -> None:
        """Do it. Raises :class:`~lifelog_lake.errors.Transient` if a command fails."""
        run(self.before)
        apply(self.changes)
        run(self.commands)


def plan_install(manager: Manager, wanted: Wanted, *, start: bool) -> Plan:
    """What installing, or upgrading, comes to."""
    found = tuple(changes(manager, wanted))
    state = manager.state()
    outdated = bool(state.active) and _running_version(wanted.home) not in (None, __version__)
    commands: list[Command] = []
    remarks: list[str] = []
    if other := other_home(manager, wanted.home):
        remarks.append(
            f"The service recorded into {other} until now. What is there stays; a login has one "
            "service, and nothing is recorded there any more."
        )
    if found or (start and (outdated or not state.active)):
        if why := manager.unreachable():
            remarks.append(f"It begins with the next login: {why}.")
        else:
            commands += manager.register() if found else []
            if start:
                commands += manager.start(again=bool(found) or outdated)
    return Plan(changes=found, commands=tuple(commands), remarks=tuple(remarks))


def plan_uninstall(manager: Manager) -> Plan:
    """What taking the service away comes to. Home and lake are never touched."""
    found = tuple(changes(manager, None))
    if not found:
        return Plan()
    if manager.unreachable():
        return Plan(changes=found)
    return Plan(changes=found, before=tuple(manager.stop()), commands=tuple(manager.forget()))


def other_home(manager: Manager, home: Path) -> Path | None:
    """The home that the installed service records into, if that is another one."""
    serves = manager.serves()
    return None if serves is None or serves.resolve() == home.resolve() else serves


def service_state(home: Path) -> ServiceState:
    """How this home's service is, the person's or the machine's."""
    try:
        manager = manager_of(home)
    except UsageError as error:
        return ServiceState(name="service", installed=False, detail=error.message)
    state = manager.state()
    if other := other_home(manager, home):
        return ServiceState(
            name=state.name,
            installed=False,
            detail="installed for another home",
            hint=f"none for this home: {state.name} records into {other}",
        )
    if not state.installed and sys.platform.startswith("linux"):
        machine = MachineSystemd().state()
        return machine if machine.installed else state
    return state


# --- what was wanted --------------------------------------------------------------------------


def remembered(wanted: Wanted) -> Wanted:
    """``wanted`` with the role and the rest that this home's service has; as it is without one."""
    try:
        known = orjson.loads((wanted.home / NAME).read_bytes())
        program = known.get("activitywatch")
        return replace(
            wanted,
            role="hub" if known["role"] == "hub" else "device",
            headless=bool(known["headless"]),
            activitywatch=None if program is None else Path(program),
        )
    except FileNotFoundError:
        return wanted
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{wanted.home / NAME} can't be read: {error!r}.",
            hint="Remove it, and name the --role.",
        ) from None


def remember(wanted: Wanted) -> None:
    """Keep it for the next time; durable on return."""
    content = {
        "role": wanted.role,
        "headless": wanted.headless,
        "activitywatch": None if wanted.activitywatch is None else str(wanted.activitywatch),
    }
    encoded = orjson.dumps(content, option=orjson.OPT_INDENT_2)
    path = wanted.home / NAME
    if not path.exists() or path.read_bytes() != encoded:
        fsio.write_atomic(path, encoded, at="service")


def forget(home: Path) -> None:
    """Nothing is installed any more."""
    fsio.unlink(home / NAME, at="service")


def _running_version(home: Path) -> object:
    status = read_status(home / "run") or {}
    return status.get("version") if status.get("state") == "running" else None
