"""The functions of care that have a flow. Nothing of Prefect here: a job's process is light."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Arrow and all that is for the job's process alone
    from lifelog_lake.care.outcome import Outcome
    from lifelog_lake.clock import Clock
    from lifelog_lake.home import Home
    from lifelog_lake.lake.store import Store

#: From the request to stop, which a job hears as SystemExit, to its end whatever it does.
STOP_S = 1.0

#: Each flow by its name, and the module whose ``run`` it schedules.
JOBS: dict[str, str] = {
    "compact": "lifelog_lake.care.compact",
    "tidy": "lifelog_lake.care.tidy",
    "thumbnails": "lifelog_lake.care.thumbnails",
    "summaries": "lifelog_lake.care.summaries",
}


def load(name: str) -> Callable[[Home, Store, Clock], Outcome]:
    """The function of a flow."""
    module: Any = import_module(JOBS[name])
    run: Callable[[Home, Store, Clock], Outcome] = module.run
    return run
