"""macOS: a LaunchAgent of the person, which runs while they are logged in at the screen."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

from lifelog_lake.errors import UsageError
from lifelog_lake.fleet.service import (
    Command,
    ServiceFile,
    ServiceState,
    Wanted,
    ask,
    check_path,
    fill,
)

LABEL = "lifelog-lake"
#: launchd ends a service in its own time, and refuses to begin it before it has.
ENDED_S = 30.0


class LaunchAgent:
    """A property list below ``~/Library/LaunchAgents``."""

    name = "launchd"

    def __init__(self, directory: Path | None = None) -> None:
        """``directory``: where the agents lie."""
        self._path = (directory or Path.home() / "Library" / "LaunchAgents") / f"{LABEL}.plist"

    def files(self, wanted: Wanted) -> list[ServiceFile]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        check_path(wanted.home)
        if wanted.headless or wanted.activitywatch is not None:
            raise UsageError(
                "On macOS the service belongs to the login, and ActivityWatch starts itself.",
                hint="Leave --headless out; for ActivityWatch see System Settings > Login Items.",
            )
        arguments = "\n".join(f"\t\t<string>{escape(word)}</string>" for word in wanted.argv())
        values = {"arguments": arguments, "home": escape(str(wanted.home))}
        text = fill(f"launchd/{LABEL}.plist", values)
        return [ServiceFile(path=self._path, content=text.encode())]

    def owned(self) -> list[Path]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [self._path]

    def serves(self) -> Path | None:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        home = _property(self._path, "WorkingDirectory")
        return None if home is None else Path(home)

    def unreachable(self) -> str:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        said = ask(("launchctl", "print", _domain()))
        return "" if said.code == 0 else "nobody is logged in at this Mac's screen"

    def register(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return []  # what lies there is loaded at each login

    def start(self, *, again: bool) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        service = f"{_domain()}/{LABEL}"
        end = [Command(argv=("launchctl", "bootout", service), may_fail=True)] if again else []
        return [
            *end,
            Command(argv=("launchctl", "enable", service)),
            Command(argv=("launchctl", "bootstrap", _domain(), str(self._path)), again_s=ENDED_S),
        ]

    def stop(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return [Command(argv=("launchctl", "bootout", f"{_domain()}/{LABEL}"), may_fail=True)]

    def forget(self) -> list[Command]:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        return []

    def state(self) -> ServiceState:
        """See :class:`~lifelog_lake.fleet.service.Manager`."""
        if not self._path.exists():
            return ServiceState(name=LABEL, installed=False, detail="not installed")
        said = ask(("launchctl", "print", f"{_domain()}/{LABEL}"))
        if said.code == 127:
            return ServiceState(
                name=LABEL, installed=True, detail=f"installed; launchd can't be asked: {said.line}"
            )
        found = re.search(r"^\tstate = (.+)$", said.text, re.MULTILINE)
        ended = re.search(r"^\tlast exit code = (.+)$", said.text, re.MULTILINE)
        active = found is not None and found[1] == "running"
        detail = found[1] if found else "not loaded"
        if ended and ended[1] not in ("0", "(never exited)"):
            detail += f", last exit code {ended[1]}"
        words = f"Its last words: {_property(self._path, 'StandardErrorPath')}"
        return ServiceState(
            name=LABEL,
            installed=True,
            active=active,
            detail=detail,
            hint="" if active else f"{words}; start it: lifelog install",
        )


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _property(path: Path, key: str) -> str | None:
    """A text of a property list; None if it can't be read, or has none."""
    import plistlib

    try:
        value = plistlib.loads(path.read_bytes()).get(key)
    except (OSError, ValueError, ExpatError):
        return None
    return value if isinstance(value, str) else None
