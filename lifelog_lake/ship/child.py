"""The shipper's process: ``python -m lifelog_lake.ship.child --home DIR``.

Started by the supervisor, one a home: it holds ``run/ship.lock`` while it ships, so that
``lifelog ship`` waits for it. Exit codes as in :mod:`lifelog_lake.collect.child`.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tenacity import Retrying, retry_if_result, wait_random_exponential

from lifelog_lake.beats import Beat, Lifeline
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LifelogError, Transient
from lifelog_lake.home import Home, open_home
from lifelog_lake.locks import FileLock
from lifelog_lake.logs import setup_logging
from lifelog_lake.ship.care_watch import CareWatch
from lifelog_lake.ship.shipper import Shipped, Shipper
from lifelog_lake.ship.twins import Twins

#: Least and most seconds before a run that failed is tried again.
AGAIN_S, LONGEST_S = 0.5, 300.0
#: Content of more bytes than this is shown while it is on its way.
SHOWN_BYTES = 8 * 2**20


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
    every_s = home.settings.ship.every_s
    runs = Runs(home, shipper, line)
    care = CareWatch(home, shipper.target, clock)
    twins = Twins(home, shipper.target, clock)
    wait_s = min(every_s, 2.0)  # the first frames should be in the lake soon after the start
    while line.wait(wait_s):
        runs.until_well()
        care.look_if_due()
        twins.look_if_due()
        wait_s = every_s
    runs.once()
    return 0


class Runs:
    """Runs of the shipper, each with its beats. What fails is said; the rows stay in the spool."""

    def __init__(self, home: Home, shipper: Shipper, line: Lifeline) -> None:
        self._home = home
        self._shipper = shipper
        self._line = line
        self._errors = 0

    def until_well(self) -> None:
        """Run; after what may pass by itself, again: for ever, with 0.5 s to 5 min between."""
        Retrying(
            retry=retry_if_result(lambda passing: passing),
            wait=wait_random_exponential(multiplier=1, min=AGAIN_S, max=LONGEST_S),
            sleep=self._sleep,
            stop=lambda _: self._line.stopping,
            retry_error_callback=lambda _: None,
        )(self.once)

    def _sleep(self, seconds: float) -> None:
        self._line.wait(seconds)

    def once(self) -> bool:
        """Run once; whether it failed in a way that may pass by itself."""
        failed: LifelogError | None = None
        reason = ""
        try:
            with ship_lock(self._home):
                shipped = self._shipper.run_once(self._beat)
        except LifelogError as error:
            failed, reason = error, str(error)
        else:
            for stream, failure in shipped.errors.items():
                failed, reason = failure, f"{stream}: {failure}"
                break
            reason = reason or shipped.held
        self._errors += failed is not None
        self._line.beat(
            Beat(
                state="running" if failed is None else "error",
                errors=self._errors,
                reason=reason,
                every_s=self._home.settings.ship.every_s,
            )
        )
        return isinstance(failed, Transient)

    def _beat(self, done: Shipped) -> None:
        moving = done.moving
        beat = Beat(state="running", errors=self._errors)
        if moving is not None and moving.size_bytes > SHOWN_BYTES:
            share = moving.done_bytes / moving.size_bytes
            beat = replace(beat, share=share, doing=moving.words())
        self._line.beat(beat)


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
