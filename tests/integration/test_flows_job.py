"""A job's process, without Prefect: what it says, and that it ends when it should."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import orjson
import pytest

from flows import child
from flows.jobs import JOBS, load
from lifelog_lake.care.outcome import Outcome
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import Locked, Terminal, Transient
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.lease import hold
from tests.fixtures.device import gone, wait_for
from tests.fixtures.flows import environment
from tests.helpers import make_home, run_async, ship, window

FLOWS = tuple(JOBS)
HANGS = "import os, time; print(os.getpid(), file=open({path!r}, 'w'), flush=True); time.sleep(600)"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    from lifelog_lake.spool import Spool

    made = make_home(tmp_path / "home")
    Spool.of(made).append([window(n) for n in range(5)])
    ship(made)
    return made


@pytest.mark.parametrize("name", FLOWS)
def test_each_job_works_without_prefect(home: Home, name: str) -> None:
    outcome = load(name)(home, parse_url(home.lake_url, home), SystemClock())
    assert outcome.job == name
    assert outcome.words().startswith(f"{name}: ")


def test_a_jobs_process_says_its_outcome(home: Home) -> None:
    outcome = run_async(child.run(child.argv_of("summaries", home.path)))
    assert isinstance(outcome, Outcome)
    assert outcome.job == "summaries"


def test_what_may_pass_and_what_may_not_are_told_apart(home: Home) -> None:
    lake = Path(home.lake_url)
    lake.rename(lake.with_name("away"))
    with pytest.raises(Transient, match="There is no lake at"):
        run_async(child.run(child.argv_of("summaries", home.path)))
    lake.with_name("away").rename(lake)
    (lake / "lake.json").write_text("{}")
    with pytest.raises(Terminal, match="can't be read"):
        run_async(child.run(child.argv_of("summaries", home.path)))


def test_one_that_another_does_is_busy(home: Home) -> None:
    store = parse_url(home.lake_url, home)
    with hold(store, "compact", "another hub", SystemClock()), pytest.raises(Locked):
        run_async(child.run(child.argv_of("compact", home.path)))


def test_a_process_that_dies_is_an_error() -> None:
    with pytest.raises(Terminal, match="ended with 7"):
        run_async(child.run([sys.executable, "-c", "raise SystemExit(7)"]))


@pytest.fixture
def pid(tmp_path: Path) -> Path:
    return tmp_path / "pid"


def test_one_that_hangs_is_gone_when_its_caller_gives_up(pid: Path) -> None:
    """Also one that doesn't hear SIGTERM."""
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {HANGS}"

    async def give_up() -> None:
        call = asyncio.create_task(child.run([sys.executable, "-c", deaf.format(path=str(pid))]))
        await asyncio.to_thread(wait_for, lambda: pid.exists() and pid.read_text(), "Its start")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run_async(give_up())
    assert gone(int(pid.read_text()))


@pytest.mark.parametrize("how", ["stdin", "signal"])
def test_a_job_ends_when_it_is_told(home: Home, how: str) -> None:
    """It waits for a lock here, as a job may for a lease; told so it ends at once."""
    code = (
        "import sys, time, types; from flows import job, jobs\n"
        "job.load = lambda name: lambda *_: (print('runs', file=sys.stderr, flush=True), "
        "time.sleep(600))\n"
        "raise SystemExit(job.main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "compact", "--home", str(home.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stderr.readline() == b"runs\n"
        if how == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        process.kill()
        process.wait(30)


def test_a_job_doesnt_pay_for_prefect() -> None:
    code = "import sys, flows.job, flows.child; print([m for m in sys.modules if m == 'prefect'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_clock_that_is_set_back_stops_no_flow() -> None:
    """Prefect makes no runs as long as there are some to come, and those are a year off then.

    In a process of its own: Prefect reads its surroundings when it is imported.
    """
    code = """
import asyncio
from datetime import UTC, datetime, timedelta
from flows.runner import Runner

class Client:
    async def get_scheduled_flow_runs_for_deployments(self, ids, **more):
        return []

class Ledger:
    def write(self, trouble):
        pass

noon = datetime(2026, 3, 3, 12, tzinfo=UTC)
times = [noon + timedelta(seconds=s) for s in (0, 5, -20, 10, -31_000_000, -30_999_995)]
made = []

async def main():
    stop = asyncio.Event()
    def now():
        if len(times) == 1:
            stop.set()
        return times.pop(0)
    async def anew():
        made.append(len(times))
    await Runner(
        client=Client(), flows=[], at_once=1, poll_s=0.01, said=lambda *said: None,
        alive=lambda: None, anew=anew, now=now, ledger=Ledger(),
    ).run(stop)

asyncio.run(main())
print(made)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[1]"], done.stderr


def test_a_wrong_address_of_a_server_elsewhere_is_said(home: Home) -> None:
    class Nothing(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_error(404)

        do_GET = do_POST = answer  # noqa: N815 - the base's names

        def log_message(self, format: str, *given: object) -> None:
            del format, given

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://me:secret@127.0.0.1:{server.server_port}/api"
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "--home", str(home.path)],
        env=environment(home.path, FLOWS__API_URL=url),
        stdin=subprocess.PIPE,  # it ends when this does
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        said = [orjson.loads(line) for line in process.stdout]
        assert process.wait(60) == 1
    finally:
        process.kill()
        process.communicate()
        server.shutdown()
    assert [line["state"] for line in said if line["state"] != "starting"] == ["error"]
    assert "(127.0.0.1) doesn't take the flows" in said[-1]["reason"]
    assert "secret" not in said[-1]["reason"]
    assert "api_url" in said[-1]["reason"]


def test_the_flows_process_doesnt_pay_for_arrow() -> None:
    """Its memory at rest is what a hub pays for."""
    heavy = "{'pyarrow', 'polars', 'deltalake', 'numpy', 'pandas'}"
    code = f"import sys, flows.child, flows.due, flows.__main__; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
