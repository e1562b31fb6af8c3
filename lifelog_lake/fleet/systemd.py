"""Linux: a unit of the person's own systemd, or of the machine's for a hub without a person.

What ``systemctl enable`` would do, a link below ``….target.wants``, is one of the files, so that
the service can be installed where no systemd runs (an image, a chroot).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lifelog_lake.errors import UsageError
from lifelog_lake.fleet.service import (
    WHAT,
    Command,
    ServiceFile,
    ServiceState,
    Wanted,
    ask,
    check_path,
    fill,
)

UNIT = "lifelog.service"
AW_UNIT = "lifelog-activitywatch.service"
HUB_UNIT = "lifelog-hub.service"
#: Where the home of a machine's hub is: the unit's StateDirectory.
HUB_HOME = Path("/var/lib/lifelog")
SESSION, LOGIN = "graphical-session.target", "default.target"
#: A runaway child is ended long before the machine suffers; notebooks are a person's own work.
LIMITS = {
    "device": "CPUQuota=100%\nMemoryHigh=1G\nMemoryMax=2G\nTasksMax=512",
    "hub": "MemoryHigh=70%\nMemoryMax=85%\nTasksMax=4096",
}
_PLAIN = re.compile(r"[\w./:=,+-]+", re.ASCII)


def quoted(word: str, *, variables: bool = True) -> str:
    """A word of ``ExecStart=`` or ``Environment=``, as systemd.syntax(7) wants it.

    ``variables``: whether systemd puts them in there.
    """
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if variables:
        word = word.replace("$", "$$")
    return word if _PLAIN.fullmatch(word) else f'"{word}"'


def command_line(program: str, *arguments: str) -> str:
    """The value of ``ExecStart=``. systemd puts variables into the arguments, not the program."""
    return " ".join((quoted(program, variables=False), *map(quoted, arguments)))


def check_home(path: Path) -> None:
    """Refuse what ``WorkingDirectory=``, which knows no quotes, would take for another one."""
    check_path(path)
    if str(path).endswith((" ", "\\")):
        raise UsageError(
            f"The home {str(path)!r} ends with a blank or a backslash.",
            hint="Use a directory that doesn't: a unit can't name it.",
        )


class UserSystemd:
    """Units below ``~/.config/systemd/user``."""

    name = "systemd (user)"

    def __init__(self, directory: Path | None = None) -> None:
        """``directory``: where the units go."""
        config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        self._directory = directory or Path(config) / "systemd" / "user"

    def files(self, wanted: Wanted) -> list[ServiceFile]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        check_home(wanted.home)
        check_path(wanted.python)
        target = LOGIN if wanted.headless else SESSION
        values = {
            "description": WHAT[wanted.role],
            "target": target,
            "home": str(wanted.home).replace("%", "%%"),
            "limits": LIMITS[wanted.role],
            "command": command_line(*wanted.argv()),
        }
        files = self._unit(UNIT, fill(f"systemd/{UNIT}", values), target)
        if wanted.activitywatch is not None:
            values["command"] = command_line(
                *(str(wanted.python), "-m", "lifelog_lake.fleet.aw_keeper"),
                *("--url", wanted.activitywatch_url, str(wanted.activitywatch)),
            )
            files += self._unit(AW_UNIT, fill(f"systemd/{AW_UNIT}", values), target)
        return files

    def owned(self) -> list[Path]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [
            path
            for unit in (UNIT, AW_UNIT)
            for path in (
                self._directory / unit,
                *(self._link(unit, target) for target in (SESSION, LOGIN)),
            )
        ]

    def serves(self) -> Path | None:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        try:
            text = (self._directory / UNIT).read_text("utf-8")
        except (OSError, ValueError):
            return None
        found = re.search(r"^WorkingDirectory=(/.+)$", text, re.MULTILINE)
        return Path(found[1].replace("%%", "%")) if found else None

    def unreachable(self) -> str:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        said = ask(("systemctl", "--user", "show-environment"))
        if said.code == 0:
            return ""
        return f"your systemd can't be asked here ({said.line})"

    def register(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [_user("daemon-reload")]

    def start(self, *, again: bool) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        verb = "restart" if again else "start"  # READY may take a while: nobody waits for it
        units = [UNIT, *([AW_UNIT] if (self._directory / AW_UNIT).exists() else [])]
        return [_user(verb, "--no-block", unit) for unit in units]

    def stop(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [_user("stop", unit, may_fail=True) for unit in (UNIT, AW_UNIT)]

    def forget(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [_user("daemon-reload"), _user("reset-failed", UNIT, may_fail=True)]

    def state(self) -> ServiceState:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        path = self._directory / UNIT
        if not path.exists():
            packaged = unit_state(UNIT, "--user")  # one that a package brought, if it runs
            if packaged.active:
                return packaged
            return ServiceState(name=UNIT, installed=False, detail="not installed")
        state = unit_state(UNIT, "--user")
        headless = self._link(UNIT, LOGIN).is_symlink()
        if headless and state.active is not None and not lingers():
            return ServiceState(
                name=UNIT,
                installed=True,
                active=state.active,
                detail=state.detail,
                hint=state.hint
                or "It ends at logout; to let it go on, and begin with the machine: "
                "loginctl enable-linger",
            )
        return state

    def _unit(self, name: str, text: str, target: str) -> list[ServiceFile]:
        return [
            ServiceFile(path=self._directory / name, content=text.encode()),
            ServiceFile(path=self._link(name, target), link=f"../{name}"),
        ]

    def _link(self, unit: str, target: str) -> Path:
        return self._directory / f"{target}.wants" / unit


class MachineSystemd:
    """The hub as a unit of the machine, under a user of its own; needs root."""

    name = "systemd (machine)"

    def __init__(self, root: Path = Path("/")) -> None:
        """``root``: the system's root directory."""
        self._units = root / "etc" / "systemd" / "system"
        self._users = root / "etc" / "sysusers.d" / "lifelog.conf"

    def files(self, wanted: Wanted) -> list[ServiceFile]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        check_path(wanted.home)
        if wanted.role != "hub" or wanted.activitywatch is not None:
            raise UsageError(
                "A unit of the machine has no screen, no sound and no ActivityWatch to record.",
                hint="Use --system with --role hub alone; a device is installed by its person.",
            )
        if wanted.home != HUB_HOME:
            raise UsageError(
                f"The home of a machine's hub is {HUB_HOME}, not {wanted.home}.",
                hint="Leave --home out; its disk may be mounted there.",
            )
        if wanted.python.is_relative_to("/root") or wanted.python.is_relative_to("/home"):
            raise UsageError(
                f"The hub's own user can't run {wanted.python}.",
                hint="Install it for all: python3 -m venv /opt/lifelog && /opt/lifelog/bin/pip "
                'install "lifelog-lake[hub,device]", then /opt/lifelog/bin/lifelog install …',
            )
        values = {
            "description": WHAT["hub"],
            "home": str(wanted.home),
            "home_variable": quoted(f"LIFELOG_HOME={wanted.home}", variables=False),
            "limits": LIMITS["hub"],
            "command": command_line(*wanted.argv()),
        }
        text = fill(f"systemd/{HUB_UNIT}", values)
        users = fill("systemd/lifelog-sysusers.conf", {})
        return [
            ServiceFile(path=self._users, content=users.encode()),
            ServiceFile(path=self._units / HUB_UNIT, content=text.encode()),
            ServiceFile(path=self._link(), link=f"../{HUB_UNIT}"),
        ]

    def owned(self) -> list[Path]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [self._users, self._units / HUB_UNIT, self._link()]

    def serves(self) -> Path | None:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return HUB_HOME if (self._units / HUB_UNIT).exists() else None

    def unreachable(self) -> str:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return "" if Path("/run/systemd/system").is_dir() else "systemd isn't running here"

    def register(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [
            Command(argv=("systemd-sysusers", str(self._users))),
            Command(argv=("systemctl", "daemon-reload")),
        ]

    def start(self, *, again: bool) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        verb = "restart" if again else "start"
        return [Command(argv=("systemctl", verb, "--no-block", HUB_UNIT))]

    def stop(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [Command(argv=("systemctl", "stop", HUB_UNIT), may_fail=True)]

    def forget(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [
            Command(argv=("systemctl", "daemon-reload")),
            Command(argv=("systemctl", "reset-failed", HUB_UNIT), may_fail=True),
        ]

    def state(self) -> ServiceState:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        if not (self._units / HUB_UNIT).exists():
            return ServiceState(name=HUB_UNIT, installed=False, detail="not installed")
        return unit_state(HUB_UNIT)

    def _link(self) -> Path:
        return self._units / "multi-user.target.wants" / HUB_UNIT


def unit_state(unit: str, *options: str) -> ServiceState:
    """What systemd says of a unit whose file is there."""
    properties = "ActiveState,SubState,Result,NRestarts,NeedDaemonReload"
    said = ask(("systemctl", *options, "show", unit, f"--property={properties}"))
    if said.code:
        return ServiceState(
            name=unit, installed=True, detail=f"installed; systemd can't be asked here: {said.line}"
        )
    values = dict(line.split("=", 1) for line in said.text.splitlines() if "=" in line)
    active, sub = values.get("ActiveState", ""), values.get("SubState", "")
    detail = f"{active} ({sub})"
    if (restarts := values.get("NRestarts", "0")) != "0":
        detail += f", started again {restarts} times by systemd"
    well = active in ("active", "activating", "reloading")
    name = unit.removesuffix(".service")
    hint = "" if well else f"Start it: {' '.join(('systemctl', *options))} start {name}"
    if (result := values.get("Result", "success")) != "success":  # of its last life
        detail += f", last result {result}"
        if active != "active":
            hint = f"It says why: {' '.join(('journalctl', *options))} -u {name} -n 20"
    return ServiceState(name=unit, installed=True, active=well, detail=detail, hint=hint)


def lingers() -> bool:
    """Whether this person's services go on without a login (loginctl enable-linger)."""
    said = ask(("loginctl", "show-user", str(os.getuid()), "--property=Linger"))
    return said.text == "Linger=yes"


def _user(*words: str, may_fail: bool = False) -> Command:
    return Command(argv=("systemctl", "--user", *words), may_fail=may_fail)
