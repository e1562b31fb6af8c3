"""No process of the hub outlives its parent, however that one died."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

EVERY_S = 1.0


def end_with_parent() -> None:
    """Have this process get SIGTERM when its parent dies. Call it once, first in ``main``.

    Linux tells us itself; elsewhere a thread looks for a new parent. The parent may have died
    before this call: that is noticed too.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
        return
    threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    import psutil

    while os.getppid() == parent and psutil.pid_exists(parent):
        time.sleep(EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
