"""A notice on the desktop, by what the desktop has for it; none of it is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys

LONGEST_S = 10.0


def show(title: str, text: str) -> bool:
    """Show a notice; False if this machine has no means, or they fail. No captured content."""
    command = _command(title, text)
    if command is None:
        return False
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _command(title: str, text: str) -> list[str] | None:
    if sys.platform == "darwin" and (osascript := shutil.which("osascript")):
        script = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\n"
        return [osascript, "-e", script + "end run", title, text]
    if notify := shutil.which("notify-send"):
        return [notify, "--app-name=lifelog", "--urgency=normal", title, text]
    return None
