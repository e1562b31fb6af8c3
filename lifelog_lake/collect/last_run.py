"""How the supervisor before this one ended, when it couldn't say so itself.

It left ``run/status.json``, rewritten each few seconds, and its rows in the spool. A row
``crashed`` from its last sign of life until now is the account of that time.
"""

from __future__ import annotations

import structlog

from lifelog_lake.clock import Clock
from lifelog_lake.collect.health import read_status
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.collect.runner import describe
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import Home
from lifelog_lake.spool import Spool

KILLED = "lifelog was killed, or ended by a mistake of its own: logs/ may say more"
WENT_DOWN = "the machine went down (power loss, crash or a hard reset) before lifelog could end"


def tell_crash(home: Home, spool: Spool, recorder: Recorder, clock: Clock) -> None:
    """Write the row ``crashed`` if the run before didn't end in order; ``extra.down`` is whether
    the machine went down with it."""
    status = read_status(home.run)
    if status is not None and status.get("state") != "running":
        return
    pulse_us = _newest_pulse(spool)
    if status is None and pulse_us is None:
        return  # the first start
    at = (status or {}).get("at")
    last_us = at if isinstance(at, int) else pulse_us
    # A status that can't be read any more was being written when the power went.
    down = status is None or status.get("boot_id") != clock.boot_id()
    recorder.lifecycle(
        "crashed",
        at=last_us,
        end=clock.wall_us(),
        reason=WENT_DOWN if down else KILLED,
        extra={"down": down},
    )


def _newest_pulse(spool: Spool) -> int | None:
    if "pulse" not in spool.streams():
        return None
    try:
        outlet = spool.outlet("pulse")
        waiting_us = outlet.stats(within_s=2.0).newest_at
        kept = None if waiting_us is not None else outlet.newest_acked()
    except (OSError, LifelogError) as error:  # told by all who use that stream
        structlog.get_logger().warning("last_run_not_known", reason=describe(error))
        return None
    return waiting_us if kept is None else int(kept.fields["at"])
