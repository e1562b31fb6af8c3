"""Windows: a task of the Task Scheduler, begun at logon, without a window.

The XML lies in the home as it was given to the scheduler, which keeps a copy of its own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from xml.sax.saxutils import escape

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
from lifelog_lake.places import shipped

TASK = "lifelog"
AW_TASK = "lifelog-activitywatch"
#: PowerShell's own -WindowStyle Hidden shows a window for a moment; CREATE_NO_WINDOW doesn't.
_HIDDEN = "import subprocess,sys; sys.exit(subprocess.call(sys.argv[1:], creationflags=0x08000000))"


class TaskScheduler:
    """Tasks made from XML below ``HOME/service``."""

    name = "Task Scheduler"

    def __init__(self, home: Path) -> None:
        """``home``: the device's home."""
        self._directory = home / "service"

    def files(self, wanted: Wanted) -> list[ServiceFile]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        check_path(wanted.home)
        if wanted.headless:
            raise UsageError(
                "On Windows the service belongs to the logon.", hint="Leave --headless out."
            )
        program, *rest = wanted.argv()
        windowless = _windowless(program)
        files = [
            self._task(
                TASK,
                {
                    "description": WHAT[wanted.role],
                    "program": windowless,
                    "arguments": subprocess.list2cmdline(["-P", *rest]),
                    "home": str(wanted.home),
                },
            )
        ]
        if wanted.activitywatch is not None:
            check = shipped("deploy") / "windows" / "activitywatch-check.ps1"
            argv = ["-P", "-c", _HIDDEN, "powershell.exe", "-NoProfile", "-NonInteractive"]
            argv += ["-ExecutionPolicy", "Bypass", "-File", str(check)]
            argv += ["-Program", str(wanted.activitywatch), "-Url", wanted.activitywatch_url]
            values = {"program": windowless, "arguments": subprocess.list2cmdline(argv)}
            files.append(self._task(AW_TASK, values))
        return files

    def owned(self) -> list[Path]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [self._path(TASK), self._path(AW_TASK)]

    def serves(self) -> Path | None:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return self._directory.parent if self._path(TASK).exists() else None

    def unreachable(self) -> str:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        said = ask(("schtasks", "/Query", "/FO", "LIST"))
        return f"the Task Scheduler can't be asked ({said.line})" if said.code else ""

    def register(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        commands = []
        for name in (TASK, AW_TASK):
            if self._path(name).exists():
                xml = str(self._path(name))
                argv = ("schtasks", "/Create", "/TN", name, "/XML", xml, "/F")
                commands.append(Command(argv=argv))
            else:
                commands.append(_delete(name))
        return commands

    def start(self, *, again: bool) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        end = [_end(TASK)] if again else []
        names = [TASK, *([AW_TASK] if self._path(AW_TASK).exists() else [])]
        return end + [Command(argv=("schtasks", "/Run", "/TN", name)) for name in names]

    def stop(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [_end(TASK), _end(AW_TASK), _delete(TASK), _delete(AW_TASK)]

    def forget(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return []

    def state(self) -> ServiceState:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        if not self._path(TASK).exists():
            return ServiceState(name=TASK, installed=False, detail="not installed")
        # schtasks answers in the language of Windows; this answers in English everywhere.
        said = ask(
            ("powershell", "-NoProfile", "-Command", f"(Get-ScheduledTask -TaskName {TASK}).State")
        )
        if said.code:
            return ServiceState(
                name=TASK,
                installed=True,
                detail=f"installed; the Task Scheduler can't be asked: {said.line}",
            )
        active = said.text == "Running"
        return ServiceState(
            name=TASK,
            installed=True,
            active=active,
            detail=said.text,
            hint="" if active else "Start it: schtasks /Run /TN lifelog",
        )

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.xml"

    def _task(self, name: str, values: dict[str, str]) -> ServiceFile:
        user = "\\".join(
            filter(None, (os.environ.get("USERDOMAIN"), os.environ.get("USERNAME") or "user"))
        )
        filled = {key: escape(value) for key, value in {**values, "user": user}.items()}
        text = fill(f"windows/{name}.xml", filled)
        # schtasks reads UTF-16 reliably, with its mark.
        return ServiceFile(path=self._path(name), content=text.encode("utf-16"))


def _end(name: str) -> Command:
    return Command(argv=("schtasks", "/End", "/TN", name), may_fail=True)


def _delete(name: str) -> Command:
    return Command(argv=("schtasks", "/Delete", "/TN", name, "/F"), may_fail=True)


def _windowless(python: str) -> str:
    """``pythonw.exe`` beside ``python.exe``, where it is there."""
    beside = Path(python).with_name("pythonw.exe")
    return str(beside) if beside.exists() else python
