"""What became of each flow, told to the rest of lifelog: ``run/flows-status.json`` of the home.

Health rules and pages need neither Prefect nor its server for it. Prefect's database has all of it
at length; here is the last run of each flow, and when the next is due.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prefect.client.schemas.objects import FlowRun

from flows.deployments import Deployed
from lifelog_lake.care import flow_status
from lifelog_lake.care.facts import FlowFacts, FlowsFacts
from lifelog_lake.clock import to_us

log = structlog.get_logger(__name__)

#: It is written at each change, and without one so often: an old file is a process that hangs.
WRITE_S = 15.0
#: Final states that tell nothing of the flow: another run did its work, or a person ended it.
_NO_NEWS = frozenset({"Skipped", "Cancelled", "Cancelling"})


class Ledger:
    """The file and what is in it; never raises for a disk that takes nothing."""

    def __init__(self, run: Path, flows: Sequence[Deployed]) -> None:
        self._run = run
        before = flow_status.read(run)
        known = {} if before is None else {one.name: one for one in before.flows}
        self._flows: dict[str, FlowFacts] = {}
        for one in flows:
            settings = one.settings
            facts = FlowFacts(
                name=one.name,
                enabled=settings.enabled,
                every_s=settings.every_s,
                cron=settings.cron,
            )
            if (past := known.get(one.name)) is not None:  # what runs and what is due is asked anew
                facts = replace(
                    past,
                    enabled=facts.enabled,
                    every_s=facts.every_s,
                    cron=facts.cron,
                    running_since=None,
                    next_at=None,
                )
            self._flows[one.name] = facts
        self._written: tuple[float, FlowsFacts] | None = None

    def needs_due(self, name: str, now: datetime) -> bool:
        """Whether it isn't known when a flow is due next."""
        next_at = self._flows[name].next_at
        return next_at is None or next_at <= to_us(now)

    def due(self, name: str, at: datetime | None) -> None:
        """When it runs next."""
        next_at = None if at is None else to_us(at)
        self._flows[name] = replace(self._flows[name], next_at=next_at)

    def began(self, name: str) -> None:
        """A run begins now."""
        now_us = to_us(datetime.now(UTC))
        self._flows[name] = replace(self._flows[name], running_since=now_us)

    def ended(self, name: str, run: FlowRun, trouble: str) -> None:
        """A run came to an end, now or in an earlier life; ``trouble`` in words."""
        facts = replace(self._flows[name], running_since=None)
        state = run.state
        if state is not None and state.name not in _NO_NEWS:
            ended_at = to_us(run.end_time) if run.end_time else None
            well = state.is_completed()
            told_before = facts.ended_at is not None and facts.ended_at == ended_at
            failures = facts.failures if told_before else facts.failures + 1
            facts = replace(
                facts,
                state=state.name,
                message=_words(name, trouble or state.message or ""),
                started_at=to_us(run.start_time) if run.start_time else None,
                ended_at=ended_at,
                well_at=ended_at if well else facts.well_at,
                failures=0 if well else failures,
            )
        self._flows[name] = facts

    def write(self, trouble: str) -> None:
        """Tell it, if there is news or it is time."""
        now_s = time.monotonic()
        facts = FlowsFacts(at=0, flows=tuple(self._flows.values()), trouble=trouble)
        if self._written is not None:
            written_s, before = self._written
            if before == facts and now_s - written_s < WRITE_S:
                return
        try:
            flow_status.write(self._run, replace(facts, at=to_us(datetime.now(UTC))))
        except OSError as error:
            log.warning("flows_status_not_written", reason=error.strerror)
        self._written = now_s, facts


def _words(name: str, message: str) -> str:
    """What is said of a run without the flow's name, which stands beside it."""
    return message.removeprefix(f"{name} failed: ").removeprefix(f"{name}: ")
