"""The functions of care that have a flow. Nothing of Prefect here: a job's process is light."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Arrow and all that is for the job's process alone
    from lifelog_lake.care.outcome import Outcome
    from lifelog_lake.clock import Clock
    from lifelog_lake.config import Settings
    from lifelog_lake.flow_settings import FlowSettings
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
    "ocr": "lifelog_lake.care.ocr",
    "embed": "lifelog_lake.care.embed",
    "search": "lifelog_lake.care.search",
    "verify": "lifelog_lake.care.sampling",
    "health": "lifelog_lake.care.health.job",
    "activitywatch": "lifelog_lake.care.health.activitywatch",
}
#: Those for which a lake that can't be reached is no reason not to run.
WITHOUT_LAKE = frozenset({"health", "activitywatch"})
#: Those that take moments and can't wait for an hour's work: they don't count in [flows] at_once.
LIGHT = frozenset({"health", "activitywatch"})


def load(name: str) -> Callable[[Home, Store, Clock], Outcome]:
    """The function of a flow."""
    module: Any = import_module(JOBS[name])
    run: Callable[[Home, Store, Clock], Outcome] = module.run
    return run


def settings_of(settings: Settings, name: str) -> FlowSettings:
    """When a flow runs: ``[flows.NAME]``, or for what looks after health ``[health]``."""
    if name == "embed" and not settings.search.semantic:
        return settings.flows.embed.model_copy(update={"enabled": False})
    if name not in LIGHT:
        return settings.flows.of(name)
    from lifelog_lake.flow_settings import checking

    every_s = {
        "health": settings.health.every_s,
        "activitywatch": settings.health.activitywatch_every_s,
    }
    return checking(every_s[name])
