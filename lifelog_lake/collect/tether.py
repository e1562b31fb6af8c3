"""Holds a program that a collector starts, with all that it starts: ``python tether.py CMD…``.

The program gets a process group of its own. The whole group is ended (SIGTERM, half a second later
SIGKILL) when the tether's stdin ends, so the collector ends it by closing that pipe, and the
collector's own death closes it too, SIGKILL included. When the program ends by itself, what it left
behind in its group is killed. So start the tether with a pipe as stdin and in a session of its own:
a signal to the collector's group must not reach it.

The program's stdout is the tether's and is at its end only when all of the group is gone. Its stdin
and stderr are nowhere: stderr may quote what was captured. Only the standard library is used, so it
can be started with ``-I -S`` in 10 ms.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

#: From SIGTERM to SIGKILL.
GRACE_S = 0.5
NOT_STARTED = 127


def main(argv: list[str]) -> int:
    """Run the program; its exit code, 128 + n if signal n ended it, 127 if it can't be started."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=None if sys.platform == "win32" else 0,
        )
    except OSError:
        return NOT_STARTED

    def end() -> None:
        _signal(process, hard=False)
        time.sleep(GRACE_S)
        _signal(process, hard=True)

    def watch() -> None:
        while os.read(0, 64):
            pass
        end()

    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, lambda *_: threading.Thread(target=end, daemon=True).start())
    threading.Thread(target=watch, daemon=True).start()
    code = process.wait()
    _signal(process, hard=True)
    return code if code >= 0 else 128 - code


def _signal(process: subprocess.Popen[bytes], *, hard: bool) -> None:
    """Signal the whole group; where there are no groups, the tree below a living program."""
    if sys.platform == "win32":
        force = ["/F"] if hard else []
        if process.poll() is None:
            subprocess.run(
                ["taskkill", "/T", *force, "/PID", str(process.pid)],
                check=False, capture_output=True,
            )  # fmt: skip
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in it
        os.killpg(process.pid, signal.SIGKILL if hard else signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
