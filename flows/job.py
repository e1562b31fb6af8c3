"""One run of one job in a process of its own: ``python -m flows.job NAME --home DIR``.

Says one JSON object on what was its stdout: the :class:`~lifelog_lake.care.outcome.Outcome`, or
``{"error": sentence, "transient": bool, "busy": bool}`` and an exit code of 1 or more; busy means
that another process does this very work. Whatever else prints goes
to stderr. It ends when its stdin does, so it never outlives who started it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

import orjson
import structlog

from flows.jobs import JOBS, STOP_S, WITHOUT_LAKE, load
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LifelogError, Locked, Transient
from lifelog_lake.home import open_home
from lifelog_lake.lake.identity import require_known
from lifelog_lake.lake.target import parse_url
from lifelog_lake.logs import describe, setup_logging

#: Care gives way to capture and to the person.
NICER = 10
STOPPED = 143


def main(argv: list[str] | None = None) -> int:
    """Run the job; see the module for what it says."""
    parser = argparse.ArgumentParser(prog="flows.job", description=__doc__)
    parser.add_argument("name", choices=JOBS)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args(argv)
    said = os.dup(1)
    os.dup2(2, 1)
    _end_when_told()
    if sys.platform != "win32":
        os.nice(NICER)
    log = structlog.get_logger(__name__)
    answer: dict[str, object]
    try:
        home = open_home(options.home)
        setup_logging(home, "care")
        store = parse_url(home.lake_url, home)
        if options.name not in WITHOUT_LAKE:
            require_known(home, store)
        began_s = time.monotonic()
        outcome = load(options.name)(home, store, SystemClock())
    except LifelogError as error:
        log.warning("job_failed", name=options.name, error=error)
        answer = {
            "error": str(error),
            "transient": isinstance(error, Transient),
            "busy": isinstance(error, Locked),
        }
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - logged, and told to who waits for it
        log.error("job_failed", name=options.name, error=error)
        answer = {
            "error": f"A mistake in the program: {describe(error)}.",
            "transient": False,
            "busy": False,
        }
        code = 1
    else:
        took_s = round(time.monotonic() - began_s, 3)
        log.info(
            "job_done", name=options.name, took_s=took_s, done_count=sum(outcome.counts.values()),
            finding_count=len(outcome.findings),
        )  # fmt: skip
        answer = dataclasses.asdict(outcome)
        code = 0
    with os.fdopen(said, "wb") as file:
        file.write(orjson.dumps(answer))
    return code


def _end_when_told() -> None:
    """SIGTERM, or the end of stdin, ends the job: by SystemExit, so that it gives its lease back,
    and a moment later by force."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise SystemExit(STOPPED)

    def watch() -> None:
        while os.read(0, 64):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_S)
        os._exit(STOPPED)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    raise SystemExit(main())
