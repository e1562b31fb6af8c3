"""Keeps a foreign program on the supervisor's leash: ``python -m lifelog_lake.collect.leash CMD…``.

On Linux the kernel is asked to signal the program when the supervisor dies, and then this process
*becomes* the program. Elsewhere it stays beside it and ends it when its stdin closes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main(argv: list[str]) -> int:
    """Run the program; the exit code is the program's."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            return 1
        os.execvp(argv[0], argv)  # noqa: S606 - the supervisor's own command line
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, lambda *_: process.terminate())

    def watch() -> None:
        while os.read(0, 64):
            pass
        process.terminate()

    threading.Thread(target=watch, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
