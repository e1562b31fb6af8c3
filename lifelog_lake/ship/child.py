"""The shipper's process: ``python -m lifelog_lake.ship.child --home DIR``.

Started by the supervisor, one a home: it holds ``run/ship.lock`` while it ships, so that
``lifelog ship`` waits for it. Exit codes as in :mod:`lifelog_lake.collect.child`.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from lifelog_lake.beats import Beat, Lifeline, State
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import Home, open_home
from lifelog_lake.locks import FileLock
from lifelog_lake.logs import setup_logging
from lifelog_lake.ship.shipper import Shipper


def main(argv: list[str] | None = None) -> int:
    """Ship each ``[ship] every_s`` until told to stop."""
    parser = argparse.ArgumentParser(prog="lifelog_lake.ship.child", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args(argv)
    clock = SystemClock()
    line = Lifeline(clock=clock)
    line.beat(Beat(state="starting"))
    try:
        home = open_home(options.home, clock=clock)
        setup_logging(home, "shipper")
        shipper = Shipper.of(home, clock)
    except LifelogError as error:
        line.beat(Beat(state="error", errors=1, reason=str(error)))
        return error.exit_code
    errors = 0
    every_s = home.settings.ship.every_s
    wait_s = min(every_s, 2.0)  # the first frames should be in the lake soon after the start
    while line.wait(wait_s):
        state, reason = _turn(home, shipper, line)
        errors += state == "error"
        line.beat(Beat(state=state, errors=errors, reason=reason, every_s=every_s))
        wait_s = every_s
    _turn(home, shipper, line)
    return 0


def _turn(home: Home, shipper: Shipper, line: Lifeline) -> tuple[State, str]:
    """One run. What fails is said; the rows stay in the spool for the next."""
    try:
        with ship_lock(home):
            shipped = shipper.run_once(lambda _: line.beat(Beat(state="running")))
    except LifelogError as error:
        return "error", str(error)
    for stream, reason in shipped.errors.items():
        return "error", f"{stream}: {reason}"
    return "running", ""


@contextlib.contextmanager
def ship_lock(home: Home) -> Iterator[None]:
    """Hold the lock under which one process of a home ships; waits for it."""
    lock = FileLock(home.run / "ship.lock")
    try:
        with lock:
            yield
    finally:
        lock.close()


if __name__ == "__main__":
    raise SystemExit(main())
