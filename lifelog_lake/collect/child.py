"""The process of one collector: ``python -m lifelog_lake.collect.child NAME --home DIR``.

Started by the supervisor only. Exit codes: 0 it was asked to stop (or its supervisor is gone),
1 an error (the supervisor starts it again), 2 wrong settings or a missing extra.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lifelog_lake.beats import Beat, Lifeline
from lifelog_lake.clock import SystemClock
from lifelog_lake.collect import registry
from lifelog_lake.collect.runner import RETRY_S, Runner, describe
from lifelog_lake.config import CONFIG_NAME
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import open_home
from lifelog_lake.logs import setup_logging
from lifelog_lake.spool import Spool


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; see the module for the exit codes."""
    parser = argparse.ArgumentParser(prog="lifelog_lake.collect.child", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--retry-s", type=float, default=RETRY_S)
    parser.add_argument("--hang-s", type=float, default=None)
    options = parser.parse_args(argv)
    clock = SystemClock()
    line = (
        Lifeline(clock=clock)
        if options.hang_s is None
        else Lifeline(clock=clock, hang_s=options.hang_s)
    )
    line.beat(Beat(state="starting"))
    try:
        home = open_home(options.home, clock=clock)
        setup_logging(home, options.name)
        cls = registry.load(options.name)
        runner = Runner(
            cls,
            registry.settings_of(options.name, home.settings, home.path / CONFIG_NAME),
            home=home.path,
            spool=Spool.of(home),
            clock=clock,
            retry_s=options.retry_s,
            health=home.settings.health,
        )
    except LifelogError as error:
        line.beat(Beat(state="error", errors=1, reason=describe(error)))
        return error.exit_code
    try:
        while line.wait(runner.next_in_s()):
            runner.turn()
            line.beat(runner.beat)
        runner.stop()
        line.beat(runner.beat)
    except Exception as error:  # noqa: BLE001 - told to the supervisor, which starts us again
        runner.fail(error)
        line.beat(runner.beat)
        return error.exit_code if isinstance(error, LifelogError) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
