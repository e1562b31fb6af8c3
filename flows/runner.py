"""Starts the runs that are due and keeps an eye on those that go on.

Prefect's server makes the runs by their schedules and keeps what became of them; its engine drives
each flow. What is left for this loop is to take due runs: at most ``[flows] at_once`` beside the
light ones, never two of one flow, and one for all that were missed. Prefect's own runner would
start a Python with all of Prefect for each run (2.5 s of a processor and 104 MB) and make up for
each missed run.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import structlog
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import Abort, ObjectNotFound
from prefect.flow_engine import run_flow_async
from prefect.states import Cancelled, Crashed, Pending
from prefect.utilities.engine import propose_state

from flows.care import FINDINGS, WELL
from flows.deployments import Deployed
from flows.due import Due, choose
from flows.jobs import LIGHT
from flows.ledger import Ledger
from lifelog_lake.logs import describe

log = structlog.get_logger(__name__)

MOST_DUE = 200
#: Small corrections of the clock change nothing.
STEP = timedelta(minutes=1)
#: Name of the final state of a run that another one makes needless.
SKIPPED = "Skipped"
#: What the runner itself is in trouble with.
SERVER = "server"
_GOING_ON = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_ENDED = [StateType.COMPLETED, StateType.FAILED]


@dataclass(slots=True, kw_only=True)
class Runner:
    """The loop.

    ``said`` is told each flow's trouble after each of its runs: a sentence, or "" if it is well.
    ``alive`` is called each time the loop comes round. ``anew`` makes the schedules' runs anew;
    ``ledger`` gets what became of each run.
    """

    client: PrefectClient
    flows: Sequence[Deployed]
    at_once: int
    poll_s: float
    said: Callable[[str, str], None]
    alive: Callable[[], None]
    anew: Callable[[], Awaitable[object]]
    ledger: Ledger
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _latest: datetime | None = None
    _running: dict[str, tuple[UUID, asyncio.Task[None]]] = field(default_factory=dict)
    _well: dict[str, UUID] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop; what runs then is ended, and its place is taken by the next."""
        await self._look_back()
        try:
            while not stop.is_set():
                trouble = ""
                try:
                    await self._turn()
                except httpx.HTTPError as error:  # a server elsewhere comes back some time
                    log.warning("server_not_reached", reason=type(error).__name__)
                    trouble = f"The Prefect server can't be reached ({type(error).__name__})."
                self.said(SERVER, trouble)
                self.ledger.write(trouble)
                self.alive()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self.poll_s)
        finally:
            tasks = [task for _, task in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- one turn -----------------------------------------------------------------------------

    async def _turn(self) -> None:
        await self._end_cancelled()
        now = self.now()
        if self._latest is not None and now < self._latest - STEP:
            # Prefect has made the next runs for times that are a long way off by now.
            log.info("clock_set_back", by_s=round((self._latest - now).total_seconds()))
            await self.anew()
        self._latest = now
        runs = await self.client.get_scheduled_flow_runs_for_deployments(
            [one.id for one in self.flows], scheduled_before=now, limit=MOST_DUE
        )
        for one in sorted(self.flows, key=lambda one: _first(runs, one, now)):
            due = {run.id: run for run in runs if run.deployment_id == one.id}
            choice = choose(
                [
                    Due(id=key, at=_at(run), asked=not run.auto_scheduled)
                    for key, run in due.items()
                ],
                now=now,
                grace_s=one.settings.grace_s,
                free=self._is_free(one.name),
            )
            for key, why in choice.left_out:
                await self.client.set_flow_run_state(
                    key, Cancelled(name=SKIPPED, message=why), force=True
                )
            if choice.left_out:
                log.info("runs_skipped", name=one.name, run_count=len(choice.left_out))
            if choice.start is not None and await self._taken(choice.start):
                task = asyncio.create_task(self._execute(one, due[choice.start]))
                self._running[one.name] = choice.start, task
            if self.ledger.needs_due(one.name, now):
                self.ledger.due(one.name, await self._next_of(one))

    def _is_free(self, name: str) -> bool:
        """Whether a flow may start now; what is light needn't wait for others."""
        heavy = len(self._running.keys() - LIGHT)
        return name not in self._running and (name in LIGHT or heavy < self.at_once)

    async def _taken(self, id: UUID) -> bool:
        """Take a run: the server gives it to one only, and not when it has been cancelled."""
        try:
            state = await propose_state(self.client, Pending(), flow_run_id=id)
        except Abort:
            return False
        return state.is_pending()

    async def _execute(self, one: Deployed, run: FlowRun) -> None:
        began_s = time.monotonic()
        log.info("flow_started", name=one.name, id=str(run.id))
        self.ledger.began(one.name)
        try:
            await run_flow_async(one.flow, flow_run=_unobserved(run), return_type="state")
        except Exception as error:  # noqa: BLE001 - the server has it; the loop goes on
            log.warning("flow_failed", name=one.name, id=str(run.id), reason=describe(error))
        finally:
            self._running.pop(one.name, None)
        ended = await self.client.read_flow_run(run.id)
        took_s = round(time.monotonic() - began_s, 3)
        log.info("flow_ended", name=one.name, id=str(run.id), state=ended.state_name, took_s=took_s)
        self._tell(one, ended)
        await self._thin_out(one, ended)

    async def _thin_out(self, one: Deployed, ended: FlowRun) -> None:
        """Of what runs each minute only the newest run is kept that had nothing to tell: else
        they would be twenty thousand after two weeks."""
        if one.name not in LIGHT or ended.state_name != WELL:
            return
        before, self._well[one.name] = self._well.get(one.name), ended.id
        if before is None:
            return
        try:
            await self.client.delete_flow_run(before)
        except (ObjectNotFound, httpx.HTTPError) as error:  # it leaves with the old ones
            log.warning("flow_run_not_removed", name=one.name, reason=type(error).__name__)

    def _tell(self, one: Deployed, run: FlowRun) -> None:
        words = trouble(one.name, run)
        self.ledger.ended(one.name, run, words)
        self.said(one.name, words)

    async def _end_cancelled(self) -> None:
        """End what a person has cancelled on Prefect's page."""
        for key, task in list(self._running.values()):
            run = await self.client.read_flow_run(key)
            if run.state is None or not run.state.is_cancelling():
                continue
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.client.set_flow_run_state(
                key, Cancelled(message="Cancelled by a person."), force=True
            )

    # --- before the first turn ----------------------------------------------------------------

    async def _look_back(self) -> None:
        """Close what a process that was killed left open, and remember who was in trouble."""
        for one in self.flows:
            for run in await self._runs_of(one, _GOING_ON, limit=MOST_DUE):
                state: State[Any] = Crashed(message="Its process ended before it.")
                await self.client.set_flow_run_state(run.id, state, force=True)
                log.info("flow_crashed", name=one.name, id=str(run.id))
            for run in await self._runs_of(one, _ENDED, limit=1):
                self._tell(one, run)

    async def _next_of(self, one: Deployed) -> datetime | None:
        """When the next of its runs is due; one that waits for its turn counts."""
        runs = await self._runs_of(
            one, [StateType.SCHEDULED], limit=1, sort=FlowRunSort.EXPECTED_START_TIME_ASC
        )
        return _at(runs[0]) if runs else None

    async def _runs_of(
        self,
        one: Deployed,
        states: list[StateType],
        *,
        limit: int,
        sort: FlowRunSort = FlowRunSort.START_TIME_DESC,
    ) -> list[FlowRun]:
        return await self.client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[one.id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))
            ),
            sort=sort,
            limit=limit,
        )


def trouble(name: str, run: FlowRun) -> str:
    """What a person should know of a flow after this run; "" if there is nothing."""
    state = run.state
    if state is None or not (state.is_failed() or state.name == FINDINGS):
        return ""
    if state.name == FINDINGS:
        return state.message or f"{name} has findings."
    # Prefect puts before the job's own words that there was an exception, and of which type.
    words = re.sub(r"^.*?exception: \w+: |^.*?exception: ", "", state.message or state.name or "")
    return f"{name} failed: {words}"


def _unobserved(run: FlowRun) -> FlowRun:
    """The run without its deployment, which the engine reads anew.

    For a deployment's run the engine opens a thread with a subscription to events, to hear of a
    request to suspend it; ours are never suspended, and closing that thread blocks for seconds.
    """
    return run.model_copy(update={"deployment_id": None})


def _at(run: FlowRun) -> datetime:
    return run.next_scheduled_start_time or run.expected_start_time or datetime.now(UTC)


def _first(runs: Sequence[FlowRun], one: Deployed, now: datetime) -> datetime:
    """When the flow has been waiting since: the longest waiting one goes first."""
    return min((_at(run) for run in runs if run.deployment_id == one.id), default=now)
