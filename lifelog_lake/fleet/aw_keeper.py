"""Keeps ActivityWatch alive: ``python -m lifelog_lake.fleet.aw_keeper [--url URL] PROGRAM …``.

Starts the program, asks its API, and tells systemd READY with the first answer and WATCHDOG with
each further one. Without an answer for ``--give-up-s`` it ends the program and itself, so that the
service manager starts both again; so it does when the program ends by itself. Exit codes: 0 it was
asked to stop, 1 no answer, or the program ended, 127 it can't be started.

The API is asked by the standard library alone, and only this machine's: no proxy, no redirect.
"""

from __future__ import annotations

import argparse
import http.client
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import orjson

from lifelog_lake.sdnotify import Notifier

ASK_EVERY_S = 10.0
TIMEOUT_S = 10.0
#: A first start may convert a large database.
GIVE_UP_S = 120.0
#: From SIGTERM to SIGKILL.
STOP_S = 5.0
MAX_ANSWER_BYTES = 64 * 1024


def version_at(url: str, timeout_s: float = TIMEOUT_S) -> str:
    """The version that the server at ``url`` names; OSError or ValueError if it doesn't."""
    parts = urlsplit(url)
    line = http.client.HTTPConnection(
        parts.hostname or "127.0.0.1", parts.port or 5600, timeout=timeout_s
    )
    try:
        line.request("GET", "/api/0/info", headers={"Accept": "application/json"})
        answer = line.getresponse()
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        return str(orjson.loads(answer.read(MAX_ANSWER_BYTES))["version"])
    except http.client.HTTPException as error:
        raise ValueError(type(error).__name__) from None
    except (KeyError, TypeError):
        raise ValueError("no version in the answer") from None
    finally:
        line.close()


class Keeper:
    """The program and what is known of it."""

    def __init__(self, argv: list[str], url: str, notifier: Notifier, give_up_s: float) -> None:
        self._argv = argv
        self._url = url
        self._notifier = notifier
        self._give_up_s = give_up_s
        self._every_s = min(ASK_EVERY_S, notifier.every_s or ASK_EVERY_S, give_up_s / 4)
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask :meth:`run` to end; safe in a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Until the end; see the module for the exit codes."""
        try:
            process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL)
        except OSError as error:
            sys.stderr.write(f"{self._argv[0]} can't be started: {error.strerror}\n")
            return 127
        try:
            return self._watch(process)
        finally:
            self._notifier.say(STOPPING=1)
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _watch(self, process: subprocess.Popen[bytes]) -> int:
        answered_s, ready = time.monotonic(), False
        while not self._stop.is_set():
            if (code := process.poll()) is not None:
                sys.stderr.write(f"ActivityWatch ended with {code}.\n")
                return 1
            try:
                version = version_at(self._url, min(TIMEOUT_S, self._give_up_s / 4))
            except (OSError, ValueError) as error:
                silent_s = time.monotonic() - answered_s
                why = str(error) or type(error).__name__
                self._notifier.say(STATUS=f"No answer for {silent_s:.0f} s: {why}")
                if silent_s >= self._give_up_s:
                    sys.stderr.write(f"ActivityWatch gave no answer for {silent_s:.0f} s: {why}\n")
                    return 1
            else:
                answered_s = time.monotonic()
                self._notifier.say(STATUS=f"ActivityWatch {version} answers", WATCHDOG=1)
                ready = ready or self._notifier.say(READY=1)
            self._stop.wait(self._every_s)
        return 0


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop, or until it is better to start anew."""
    parser = argparse.ArgumentParser(prog="lifelog_lake.fleet.aw_keeper", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:5600")
    parser.add_argument("--give-up-s", type=float, default=GIVE_UP_S)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    if not options.program:
        parser.error("name the program to keep alive")
    keeper = Keeper(options.program, options.url, Notifier(), options.give_up_s)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, lambda *_: keeper.stop())
    return keeper.run()


if __name__ == "__main__":
    raise SystemExit(main())
