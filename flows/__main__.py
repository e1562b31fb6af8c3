"""The flows' process: ``python -m flows --home DIR``.

Started by the supervisor of ``lifelog up``, one a home. Its main thread only says beats; Prefect's
server has a thread, the runner another. When either ends, or hangs, so does the process, and it is
started again. Exit codes as in :mod:`lifelog_lake.collect.child`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import sys
import threading
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from flows import surroundings
from flows.history import set_aside_damaged
from flows.server import ADDRESS, Server, bind, forget
from flows.standby import Standby
from lifelog_lake import fsio
from lifelog_lake.beats import Beat, Lifeline, State
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LifelogError, Transient
from lifelog_lake.home import Home, open_home
from lifelog_lake.logs import describe, setup_logging

LOOK_S = 1.0
READY_S = 120.0
#: The runner's loop comes round each few seconds; without that for so long it hangs.
HANG_S = 90.0
#: Of the 3 s that a child has: the runner's part, which ends a job, and the server's.
RUNNER_STOP_S, SERVER_STOP_S = 1.6, 0.8
NICER = 5

log = structlog.get_logger(__name__)


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog="flows", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args(argv)
    clock = SystemClock()
    line = Lifeline(clock=clock)
    line.beat(Beat(state="starting"))
    try:
        home = open_home(options.home, clock=clock)
        setup_logging(home, "flows")
        if sys.platform != "win32":
            os.nice(NICER)  # pages and capture come first
        return Process(home, line, clock.tz()).run()
    except LifelogError as error:
        log.error("flows_ended", error=error)
        line.beat(Beat(state="error", errors=1, reason=str(error)))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - logged; the supervisor starts us again
        log.error("flows_ended", error=error)
        line.beat(Beat(state="error", errors=1, reason=describe(error)))
        return 1


class Process:
    """Server and runner, from their start to their end."""

    def __init__(self, home: Home, line: Lifeline, tz: str) -> None:
        self._home = home
        self._line = line
        self._tz = tz
        self._server: Server | None = None
        self._troubles: dict[str, str] = {}
        self._errors = 0
        self._turn_s = time.monotonic()
        self._runner = threading.Thread(target=self._run_flows, name="runner", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failed: BaseException | None = None
        self._registered = False
        self._standby = Standby(home)

    def run(self) -> int:
        """Until told to stop; raises what ended server or runner before."""
        try:
            return self._run()
        except Exception:  # raised again below; the health job may be due before
            self._standby.before_the_end(self._wait)
            raise
        finally:
            self._standby.stop()

    def _wait(self, seconds: float) -> bool:
        self._line.beat(self._beat())
        return self._line.wait(seconds)

    def _run(self) -> int:
        self._enter()
        try:
            if self._server is not None:
                self._await_server(self._server)
            self._turn_s = time.monotonic()
            self._runner.start()
            while self._line.wait(LOOK_S):
                self._look()
                self._standby.look()
                self._line.beat(self._beat())
        finally:
            self._end()
        return 0

    def _enter(self) -> None:
        """Prefect is imported from here on: it reads its surroundings once."""
        directory = self._home.path / "prefect"
        fsio.make_dirs(directory, at="flows")
        settings, home = self._home.settings.flows, self._home.path
        forget(self._home.run)
        if settings.api_url:
            surroundings.enter(surroundings.elsewhere(home, settings, os.environ), directory)
        else:
            if not settings.database_url:
                set_aside_damaged(directory)
            held, secret = bind(), secrets.token_urlsafe(32)
            port = held[0].getsockname()[1]
            surroundings.enter(
                surroundings.embedded(home, settings, os.environ, port=port, secret=secret),
                directory,
            )
            self._server = Server(held, secret, directory / surroundings.PAGE)
        from prefect.logging.configuration import ensure_logging_setup

        ensure_logging_setup()
        for name in ("prefect.flow_runs", "prefect.task_runs"):  # on the server's page, not here
            logging.getLogger(name).propagate = False

    def _await_server(self, server: Server) -> None:
        server.start()
        began_s = time.monotonic()
        while not server.ready:
            if server.ended or time.monotonic() - began_s > READY_S:
                raise Transient(
                    "Prefect's server doesn't start.",
                    hint=f"Its last words are in {self._home.logs / 'flows.stderr'}.",
                )
            if not self._line.wait(LOOK_S / 10):
                return
            self._standby.look()
            self._line.beat(Beat(state="starting"))
        server.tell(self._home.run)
        log.info("server_ready", took_s=round(time.monotonic() - began_s, 3))

    def _run_flows(self) -> None:
        try:
            asyncio.run(self._flows())
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self._failed = error

    async def _flows(self) -> None:
        import httpx
        from prefect.client.orchestration import get_client

        from flows.deployments import register
        from flows.ledger import Ledger
        from flows.runner import Runner

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with get_client() as client:
            told = partial(register, client, self._home, self._tz)
            settings = self._home.settings.flows
            try:
                flows = await told()
            except (httpx.HTTPError, ValueError) as error:
                where = urlsplit(settings.api_url).hostname or "our own"
                raise Transient(
                    f"The Prefect server ({where}) doesn't take the flows: {type(error).__name__}.",
                    hint="They are started again."
                    if not settings.api_url
                    else "Check [flows] api_url and its key: docs/flows.md.",
                ) from error
            self._registered = True
            runner = Runner(
                client=client,
                flows=flows,
                at_once=settings.at_once,
                poll_s=settings.poll_s,
                said=self._said,
                alive=self._alive,
                anew=told,
                ledger=Ledger(self._home.run, flows),
            )
            await runner.run(self._stop)

    def _look(self) -> None:
        if self._failed is not None:
            raise self._failed
        if not self._runner.is_alive() or (self._server is not None and self._server.ended):
            raise Transient("A part of the flows' process has ended.", hint="It starts again.")
        if time.monotonic() - self._turn_s > HANG_S:
            raise Transient("The flows hang.", hint="They are started again.")

    def _alive(self) -> None:
        self._turn_s = time.monotonic()

    def _said(self, who: str, trouble: str) -> None:
        self._errors += bool(trouble) and self._troubles.get(who, "") != trouble
        self._troubles[who] = trouble

    def _beat(self) -> Beat:
        reason = " ".join(filter(None, self._troubles.values()))
        state: State = "error" if reason else "running" if self._registered else "starting"
        return Beat(state=state, errors=self._errors, reason=reason)

    def _end(self) -> None:
        if self._loop is not None and self._stop is not None and self._runner.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._runner.join(RUNNER_STOP_S)
        (self._home.run / ADDRESS).unlink(missing_ok=True)
        if self._server is not None:
            self._server.stop(SERVER_STOP_S)


if __name__ == "__main__":
    code = main()
    # Threads of Prefect's that wait for more to log would keep the process for seconds.
    logging.shutdown()
    os._exit(code)
