"""The flows as Prefect shows and runs them, each around one function of ``lifelog_lake.care``.

They run wherever Prefect runs them: by ``lifelog up``, or by a worker of a work pool
(``prefect.yaml``) in whose environment ``LIFELOG_HOME`` names a home that knows the lake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from flows import child
from flows.jobs import settings_of
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.errors import Locked, Terminal, Transient
from lifelog_lake.flow_settings import FlowSettings
from lifelog_lake.home import open_home

#: Names of the final states of a run that went to its end: nothing to tell, and something.
WELL, FINDINGS = "Completed", "Findings"
#: Two hubs that lost the same lake needn't come back at the same moment.
JITTER = 0.2


@flow(persist_result=False)
async def compact() -> State[Any]:
    """Merges the small files of each day into few large ones."""
    return await care_for("compact")


@flow(persist_result=False)
async def tidy() -> State[Any]:
    """Writes checkpoints, shortens the tables' logs, removes files that nothing refers to."""
    return await care_for("tidy")


@flow(persist_result=False)
async def thumbnails() -> State[Any]:
    """Makes the small pictures of new frames."""
    return await care_for("thumbnails")


@flow(persist_result=False)
async def summaries() -> State[Any]:
    """Brings the daily sums up to date."""
    return await care_for("summaries")


@flow(persist_result=False)
async def ocr() -> State[Any]:
    """Reads the words on new frames."""
    return await care_for("ocr")


@flow(persist_result=False)
async def embed() -> State[Any]:
    """Makes vectors of new texts, for the search by meaning."""
    return await care_for("embed")


@flow(persist_result=False)
async def search() -> State[Any]:
    """Takes new events into the search index."""
    return await care_for("search")


@flow(persist_result=False)
async def verify() -> State[Any]:
    """Proves that the lake has every row once, and reads a share of its bytes."""
    return await care_for("verify")


@flow(persist_result=False)
async def health() -> State[Any]:
    """Looks over all devices, opens and resolves alerts, and sends what is new."""
    return await care_for("health")


@flow(persist_result=False)
async def activitywatch() -> State[Any]:
    """Asks the ActivityWatch server of this machine whether it is well."""
    return await care_for("activitywatch")


FLOWS = {
    one.name: one
    for one in (
        compact,
        tidy,
        thumbnails,
        summaries,
        ocr,
        embed,
        search,
        verify,
        health,
        activitywatch,
    )
}


async def care_for(job: str) -> State[Any]:
    """Run a job as its settings say, and show what it did."""
    home = open_home()
    settings = settings_of(home.settings, job)
    run_log = get_run_logger()
    try:
        outcome = await _task(job, settings)(child.argv_of(job, home.path))
    except TimeoutError:
        raise Terminal(
            f"It took more than {settings.timeout_s:.0f} s and was ended.",
            hint=f"The next run goes on. If this stays, raise [flows.{job}] timeout_s.",
        ) from None
    except Locked as error:  # by a lease: another hub does it, which is as well
        run_log.info(str(error))
        return Completed(name=WELL, message=f"{job}: {error}")
    run_log.info(outcome.words())
    for finding in outcome.findings:
        run_log.warning(finding)
    if outcome.findings or any(outcome.counts.values()):
        await acreate_markdown_artifact(page(outcome), key=job, description=outcome.words())
    if outcome.findings:
        return Completed(name=FINDINGS, message=f"{job}: {' '.join(outcome.findings)}")
    return Completed(name=WELL, message=outcome.words())


def page(outcome: Outcome) -> str:
    """What was done as Markdown."""
    lines = [f"# {outcome.words()}", "", "| | |", "|---|--:|"]
    lines += [f"| {what} | {count:,} |" for what, count in outcome.counts.items()]
    if outcome.findings:
        lines += ["", "## Findings", "", *(f"- {finding}" for finding in outcome.findings)]
    return "\n".join(lines) + "\n"


def _task(job: str, settings: FlowSettings) -> Any:
    return attempt.with_options(
        name=job,
        retries=settings.retries,
        retry_delay_seconds=exponential_backoff(settings.retry_after_s),
        retry_jitter_factor=JITTER,
        timeout_seconds=settings.timeout_s,
    )


async def _may_pass(task_: Any, run: Any, state: State[Any]) -> bool:
    """Only what may pass by itself is tried again; a time-out comes again by its schedule."""
    del task_, run
    return isinstance(await state.aresult(raise_on_failure=False), Transient)


@task(persist_result=False, cache_policy=NO_CACHE, retry_condition_fn=_may_pass)
async def attempt(argv: Sequence[str]) -> Outcome:
    """One attempt, in a process of its own that ends with it."""
    return await child.run(argv)
