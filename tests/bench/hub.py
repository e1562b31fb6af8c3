"""What a hub at rest takes: resident memory and processor time, by process.

``lifelog up`` as a person has it (pages with their pool of kernels, shipper, flows), on a lake of
some frames; nobody looks at a page and no flow is due. "Unshared" is what would be free without the
process; resident counts pages that several share in each of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.bench.pairs import Row
from tests.fixtures.device import wait_for
from tests.fixtures.flows import Up, start_up

SETTLED_S, QUICK_SETTLED_S = 60.0, 5.0
MIB = 2**20
#: Of what a process is told by its arguments, and what it is called here.
NAMES = (
    ("lifelog_lake.server.voila_app", "dashboards"),
    ("lifelog_lake.server", "pages"),
    ("lifelog_lake.ship.child", "shipper"),
    ("ipykernel_launcher", "a warm kernel"),
    ("flows.job", "a job"),
    ("flows", "flows (Prefect's server and runner)"),
)
MOST_FLOWS_MIB = 300


def run(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Start a hub, let it settle, look at it; then what one run of a flow takes."""
    up = start_up(directory / "home")
    try:
        up.hub.await_pages()
        first_s = _a_run(up)
        time.sleep(QUICK_SETTLED_S if quick else SETTLED_S)
        yield from _at_rest(up, QUICK_SETTLED_S if quick else SETTLED_S)
        yield Row(
            name="hub, one run of a flow with nothing to do, asked for until ended",
            ours=f"the first {first_s:.1f} s",
            base="",
            value=f"{_a_run(up):.1f} s",
        )
    finally:
        up.end()


def _a_run(up: Up) -> float:
    began_s = time.perf_counter()
    assert up.ended(up.start("summaries"))["state_type"] == "COMPLETED"
    return time.perf_counter() - began_s


def _at_rest(up: Up, during_s: float) -> Iterator[Row]:
    supervisor = psutil.Process(up.process.pid)
    wait_for(lambda: not up.jobs("summaries"), "The job's end")
    family = [supervisor, *supervisor.children(recursive=True)]
    before = {process.pid: _cpu_s(process) for process in family}
    time.sleep(during_s)
    total = 0
    for process in family:
        if not process.is_running():
            continue  # a job by its schedule
        memory = process.memory_full_info()
        used = (_cpu_s(process) - before[process.pid]) / during_s
        total += memory.uss
        name = "supervisor" if process == supervisor else _name(process)
        flows = name.startswith("flows")
        yield Row(
            name=f"hub at rest, {name}",
            ours=f"unshared {memory.uss / MIB:.0f} MiB, {used:.1%} of a core",
            base="",
            value=f"{memory.rss / MIB:.0f} MiB",
            goal=f"at most {MOST_FLOWS_MIB} MiB" if flows else None,
            met=memory.rss <= MOST_FLOWS_MIB * MIB if flows else None,
        )
    yield Row(name="hub at rest, all processes, unshared", ours="", base="",
              value=f"{total / MIB:.0f} MiB")  # fmt: skip


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    return next((name for word, name in NAMES if word in words), words[0] if words else "?")
