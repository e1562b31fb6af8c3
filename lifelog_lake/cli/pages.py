"""``lifelog up`` on a lake of demo data: its pages, and nothing else."""

from __future__ import annotations

import queue
import signal
import threading
import time

from lifelog_lake.cli.live import Live
from lifelog_lake.cli.output import say
from lifelog_lake.collect.process import Backoff, Child, ChildSpec, Message
from lifelog_lake.errors import Transient
from lifelog_lake.home import Home
from lifelog_lake.locks import FileLock

NOTHING = "nothing: this lake holds demo data. Remove it with: lifelog demo --remove"
LOOK_EVERY_S = 0.2
#: From the request to stop to SIGKILL, as the supervisor has it.
STOP_S = 4.6


def show(home: Home, server: ChildSpec, *, browser: bool) -> None:
    """Serve the pages until Ctrl-C or SIGTERM. Nothing is written into spool or lake.

    Raises :class:`~lifelog_lake.errors.Locked` if lifelog runs on this home, and
    :class:`Transient` if the server ends by itself.
    """
    lock = FileLock(home.run / "supervisor.lock")
    try:
        lock.acquire_now("lifelog on this home")
        ended = threading.Event()
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, lambda *_: ended.set())
        messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        child = Child(server, messages, Backoff())
        child.start(time.monotonic())
        try:
            with Live(home, serve=True, browser=browser, nothing=NOTHING):
                while not ended.wait(LOOK_EVERY_S):
                    if (code := child.ended()) is not None:
                        raise Transient(
                            f"The server of the pages ended with {code}.",
                            hint=f"Its last words are in {server.stderr or 'this output'}.",
                        )
        finally:
            _end(child)
    finally:
        lock.close()
    say("Stopped.")


def _end(child: Child) -> None:
    child.ask_to_stop()
    deadline_s = time.monotonic() + STOP_S
    while child.ended() is None and time.monotonic() < deadline_s:
        time.sleep(0.02)
    if child.ended() is None:
        child.kill()
