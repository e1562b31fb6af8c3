"""The end of a job's process that waits for it, and ends it when nobody waits any more."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import orjson

from flows.jobs import STOP_S
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.errors import Locked, Terminal, Transient


def argv_of(job: str, home: Path) -> tuple[str, ...]:
    """The command line of a job's process."""
    return (sys.executable, "-m", "flows.job", job, "--home", str(home))


def without_prefect() -> dict[str, str]:
    """The environment of a job: Prefect's address and secret are none of its business."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


async def run(argv: Sequence[str]) -> Outcome:
    """Run a job's process to its end.

    When the caller is cancelled (a time-out, a request to stop), the process is gone before this
    returns, with all that it started. Raises :class:`Locked`, :class:`Transient` or
    :class:`Terminal` with the job's own words.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=PIPE,
        stdout=PIPE,
        env=without_prefect(),
        process_group=None if sys.platform == "win32" else 0,
    )
    assert process.stdout is not None
    try:
        said = await process.stdout.read()
        code = await process.wait()
    finally:
        await _end(process)
    return _outcome(said, code)


def _outcome(said: bytes, code: int) -> Outcome:
    try:
        answer = orjson.loads(said)
    except orjson.JSONDecodeError:
        answer = {"error": f"Its process ended with {code}.", "transient": False, "busy": False}
    if "error" in answer:
        kind = Locked if answer["busy"] else Transient if answer["transient"] else Terminal
        raise kind(answer["error"])
    return Outcome(job=answer["job"], counts=answer["counts"], findings=tuple(answer["findings"]))


async def _end(process: Process) -> None:
    """End what is left: ask, wait a moment, kill. A cancelled caller waits for it too."""
    if process.returncode is not None:
        return
    with anyio.CancelScope(shield=True):
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)
            return
        with suppress(ProcessLookupError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
