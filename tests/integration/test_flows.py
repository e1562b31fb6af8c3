"""The flows as ``lifelog up`` runs them: one real hub with one real Prefect server.

Hangs are real ones (a job's process is stopped by SIGSTOP), and so are errors (the lake is moved
away). The tests build on one another's hub but not on one another's runs; the last one kills it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
import requests
from playwright.sync_api import Browser, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from flows.jobs import JOBS
from lifelog_lake.care import flow_status
from lifelog_lake.care.facts import FlowFacts
from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.lease import hold
from tests.browser.conftest import PAGE_MS, WIDE, Seen, screenshots, watch
from tests.browser.hub import lasting, minutes_ago, ship_events
from tests.fixtures.device import gone, wait_for
from tests.fixtures.flows import API, DAMAGED, NEVER, Run, Up, a_hub

__all__ = ["a_hub", "screenshots"]
pytestmark = [pytest.mark.slow]

FLOWS = tuple(JOBS)


def test_status_says_that_they_run(up: Up) -> None:
    status = up.told(
        lambda told: any(
            row["name"] == "flows" and row["state"] == "running" for row in told["rows"]
        ),
        "Flows: running",
    )
    assert [row["label"] for row in status["rows"] if row["name"] == "flows"] == ["Flows"]


@pytest.fixture(scope="module")
def ran(up: Up) -> dict[str, Run]:
    """A run of each flow, to its end."""
    asked = {flow: up.start(flow) for flow in FLOWS}
    return {flow: up.ended(run) for flow, run in asked.items()}


@pytest.mark.parametrize("flow", FLOWS)
def test_each_flow_runs_and_tells_what_it_did(up: Up, ran: dict[str, Run], flow: str) -> None:
    run = ran[flow]
    assert run["state_type"] == "COMPLETED", run["state"]
    assert run["state"]["message"].startswith(f"{flow}: ")
    log = {"logs": {"flow_run_id": {"any_": [run["id"]]}}}
    wait_for(  # they are sent a moment later
        lambda: (
            run["state"]["message"]
            in [line["message"] for line in up.ask("POST", "logs/filter", log)]
        ),
        "The run's log",
    )
    jsonl = (up.home.logs / "lifelog-care.jsonl").read_text()
    done = [line for line in map(json.loads, jsonl.splitlines()) if line["event"] == "job_done"]
    assert flow in {line["name"] for line in done}


def test_the_rest_of_lifelog_is_told_what_became_of_them(up: Up) -> None:
    began_us = SystemClock().wall_us()
    up.ended(up.start("compact"))

    def told(name: str) -> FlowFacts | None:
        facts = flow_status.read(up.home.run)
        found = [one for one in facts.flows if one.name == name] if facts else []
        return found[0] if found else None

    def is_new(one: FlowFacts | None) -> bool:
        return one is not None and (one.well_at or 0) > began_us and one.running_since is None

    wait_for(lambda: is_new(told("compact")), "That compact ended")
    compact = told("compact")
    assert compact
    assert (compact.failures, compact.cron) == (0, NEVER)
    assert compact.state in {"Completed", "Findings"}
    assert compact.message
    assert not compact.message.startswith("compact")
    assert compact.started_at
    assert compact.ended_at
    assert began_us < compact.started_at < compact.ended_at

    def due(name: str) -> int:
        one = told(name)
        return (one.next_at or 0) - began_us if one else 0

    wait_for(lambda: 0 < due("thumbnails") < 120 * US_PER_S, "When thumbnails are due")
    wait_for(lambda: due("tidy") > 0, "When tidy is due")


@pytest.mark.usefixtures("ran")
def test_what_was_done_is_an_artifact(up: Up) -> None:
    found = up.ask("POST", "artifacts/filter", {"artifacts": {"key": {"any_": list(FLOWS)}}})
    assert "summaries" in {artifact["key"] for artifact in found}
    for artifact in found:
        assert artifact["data"].startswith(f"# {artifact['key']}: ")
        assert re.search(r"^\| .+ \| [\d,]+ \|$", artifact["data"], re.MULTILINE)


def test_of_what_runs_each_minute_one_run_is_kept(up: Up) -> None:
    runs = [up.ended(up.start("health")) for _ in range(2)]
    assert [run["state_name"] for run in runs] == ["Completed", "Completed"]
    first, second = (run["id"] for run in runs)
    address = f"{up.hub.url}{API}/flow_runs"
    wait_for(lambda: up.session.get(f"{address}/{first}").status_code == 404, "Its removal")
    assert up.session.get(f"{address}/{second}").ok


def test_a_flow_never_overlaps_itself_and_what_was_missed_is_one_run(up: Up) -> None:
    with up.held("compact") as (first, job):
        missed = [up.start("compact") for _ in range(5)]
        wait_for(
            lambda: sum(up.read(run)["state_name"] == "Skipped" for run in missed) == 4,
            "The missed runs' end",
        )
        waiting = [run for run in missed if up.read(run)["state_type"] == "SCHEDULED"]
        assert len(waiting) == 1
        assert [process.pid for process in up.jobs("compact")] == [job.pid]
        assert up.read(first)["state_type"] == "RUNNING"
    assert up.ended(first)["state_type"] == "COMPLETED"
    assert up.ended(waiting[0])["state_type"] == "COMPLETED"
    assert sum(up.read(run)["state_type"] == "COMPLETED" for run in missed) == 1


def test_one_that_hangs_is_ended_and_said(up: Up) -> None:
    with up.configured("[flows.tidy]\ntimeout_s = 2\n"), up.held("tidy") as (run, job):
        ended = up.ended(run)
        assert ended["state_type"] == "FAILED"
        assert "It took more than 2 s and was ended." in ended["state"]["message"]
        assert gone(job.pid)
    status = up.told(lambda told: "tidy failed" in " ".join(told["findings"]), "The finding")
    (finding,) = [line for line in status["findings"] if "tidy failed" in line]
    assert finding.startswith("Flows is error: tidy failed: It took more than 2 s")
    facts = wait_for(lambda: flow_status.read(up.home.run), "What the flows tell")
    (tidy,) = [one for one in facts.flows if one.name == "tidy"]
    assert tidy.failed
    assert tidy.failures == 1
    assert tidy.message.startswith("It took more than 2 s")
    assert up.status()[0] == 1
    assert up.ended(up.start("tidy"))["state_type"] == "COMPLETED"
    up.told(lambda told: "tidy" not in " ".join(told["findings"]), "That it is well again")


def test_what_may_pass_is_tried_again(up: Up) -> None:
    """The lake goes away and comes back between two attempts of one run."""
    lake, log = Path(up.home.lake_url), up.home.logs / "lifelog-care.jsonl"

    def failed() -> int:
        lines = log.read_text().splitlines()
        return sum('"job_failed"' in line and '"summaries"' in line for line in lines)

    before = failed()
    with up.configured("[flows.summaries]\nretries = 10\nretry_after_s = 0.5\n"):
        lake.rename(lake.with_name("away"))
        try:
            run = up.start("summaries")
            wait_for(lambda: failed() >= before + 2, "A second attempt")
            assert up.read(run)["state_type"] == "RUNNING"
        finally:
            lake.with_name("away").rename(lake)
        assert up.ended(run)["state_type"] == "COMPLETED"


def test_what_another_hub_does_is_no_failure(up: Up) -> None:
    store = parse_url(up.home.lake_url, up.home)
    with hold(store, "tidy", "another hub", SystemClock()):
        ship_events(up.home, [lasting("window", minutes_ago(3), minutes_ago(2), app="editor")])
        with up.configured("[flows.tidy]\nretries = 0\n"):
            run = up.ended(up.start("tidy"))
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Completed"), run["state"]
    assert "at work already: process" in run["state"]["message"]


def test_what_a_person_cancels_ends(up: Up) -> None:
    with up.held("compact") as (run, job):
        up.ask("POST", f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
        # Prefect's engine calls it crashed, until the runner says why it ended.
        wait_for(lambda: up.read(run)["state_type"] == "CANCELLED", "The run's end")
        wait_for(lambda: gone(job.pid), "The job's end")


def test_the_port_opens_with_the_secret_only(up: Up) -> None:
    """Every user of this machine reaches a loopback port."""
    path = up.home.run / "flows.json"
    assert path.stat().st_mode & 0o077 == 0
    address = json.loads(path.read_bytes())
    url = f"http://127.0.0.1:{address['port']}/lifelog/flows"
    wrong = {"Authorization": "Basic " + base64.b64encode(b"lifelog:wrong").decode()}
    for page in ("/", "/v2/", "/ui-settings", "/api/health", "/api/flows/count", "/api/docs"):
        assert requests.get(url + page, timeout=30).status_code == 401
        assert requests.get(url + page, headers=wrong, timeout=30).status_code == 401
    socket_url = url.replace("http", "ws", 1) + "/api/events/in"
    with pytest.raises(InvalidStatus, match="403"):
        connect(socket_url, subprotocols=["prefect"])  # type: ignore[list-item]
    key = f"{address['user']}:{address['secret']}"
    right = {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}
    assert requests.get(url + "/api/health", headers=right, timeout=30).json() is True
    assert Path(address["socket"]).stat().st_mode & 0o077 == 0
    arguments = " ".join(psutil.Process(up.pid).cmdline())
    assert address["secret"] not in arguments
    listening = [c for c in psutil.Process(up.pid).net_connections("inet") if c.status == "LISTEN"]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    assert socket.gethostbyname("localhost") == "127.0.0.1"


def test_the_page_is_behind_the_login(up: Up) -> None:
    page = f"{up.hub.url}lifelog/flows/v2/dashboard"
    stranger = requests.get(page, allow_redirects=False, timeout=30)
    assert stranger.status_code == 302
    assert "/login" in stranger.headers["Location"]
    count = f"{up.hub.url}lifelog/flows/api/flows/count"
    person = up.hub.person()
    typed = person.get(f"{up.hub.url}lifelog/flows", allow_redirects=False, timeout=30)
    assert typed.headers["Location"].endswith("/lifelog/flows/")
    assert person.post(count, json={}, timeout=30).json() == len(FLOWS)
    foreign = person.post(count, json={}, headers={"Origin": "https://evil.example"}, timeout=30)
    assert foreign.status_code == 403


def test_no_credential_of_the_hub_reaches_prefect(up: Up) -> None:
    """Nor may what is behind the proxy set a cookie or welcome another site."""
    got: list[Message] = []

    class Inner(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(self.headers)
            self.send_response(200)
            self.send_header("Set-Cookie", "stolen=1")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Content-Length", "0")
            self.end_headers()

    inner = ThreadingHTTPServer(("127.0.0.1", 0), Inner)
    Thread(target=inner.serve_forever, daemon=True).start()
    address = up.home.run / "flows.json"
    before = address.read_bytes()
    told = {"socket": None, "port": inner.server_port, "user": "u", "secret": "s", "pid": up.pid}
    address.write_text(json.dumps(told))
    try:
        headers = {"Authorization": f"token {up.hub.token}", "X-XSRFToken": "x"}
        person = up.hub.person()
        page = person.get(f"{up.hub.url}lifelog/flows/x", headers=headers, timeout=30)
    finally:
        address.write_bytes(before)
        inner.shutdown()
    (seen,) = got
    assert person.cookies
    assert seen.get_all("Authorization") == ["Basic dTpz"]
    assert not {"cookie", "x-xsrftoken"} & {name.lower() for name in seen}
    assert up.hub.token not in str(seen)
    assert "stolen" not in page.headers.get("Set-Cookie", "")
    assert "Access-Control-Allow-Origin" not in page.headers
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


@pytest.mark.browser
@pytest.mark.usefixtures("ran")
def test_from_the_pages_to_prefects(up: Up, browser: Browser, screenshots: Path) -> None:
    """Log in, follow the link, see what ran: nothing from another host, nothing on the console."""
    seen = Seen()
    context = browser.new_context(
        viewport={"width": WIDE[0], "height": WIDE[1]}, timezone_id="Europe/Berlin"
    )
    context.set_default_timeout(PAGE_MS)
    try:
        page = context.new_page()
        watch(page, up.hub, seen)
        page.goto(f"{up.hub.url}lifelog/timeline?token={up.hub.token}")
        page.get_by_role("link", name="Flows", exact=True).click()
        page.wait_for_url(re.compile(r"/lifelog/flows/v2/"))
        page.goto(f"{up.hub.url}lifelog/flows/v2/runs")
        expect(page.get_by_text("summaries").first).to_be_visible()
        expect(page.get_by_text("Completed").first).to_be_visible()
        page.screenshot(path=screenshots / "flows.png")
        page.locator("a[href*='/runs/flow-run/']").first.click()
        expect(page.get_by_text("Finished in state").first).to_be_visible()
        page.screenshot(path=screenshots / "flow-run.png")
    finally:
        context.close()
    assert not seen.foreign
    assert not seen.unexpected()


def test_the_persons_own_prefect_is_left_alone(up: Up) -> None:
    """Its state is below the home, for this person alone."""
    directory = up.home.path / "prefect"
    assert directory.stat().st_mode & 0o077 == 0
    assert (directory / "prefect.db").exists()
    theirs = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    opened = {Path(file.path) for file in psutil.Process(up.pid).open_files()}
    assert not [path for path in opened if path.is_relative_to(theirs)]


def test_a_flow_runs_by_its_schedule(up: Up) -> None:
    """Thumbnails are on ``* * * * *`` here; nobody asks for this run."""

    def scheduled() -> list[dict[str, object]]:
        return [run for run in up.runs(state={"type": {"any_": ["COMPLETED"]}}) if
                run["auto_scheduled"]]  # fmt: skip

    (first, *_) = wait_for(scheduled, "A run by its schedule", 240)
    flow = up.ask("GET", f"flows/{first['flow_id']}")["name"]
    assert flow == "thumbnails"
    assert str(first["expected_start_time"]).rstrip("Z").split(".")[0].endswith(":00")


def test_a_damaged_history_holds_nothing_up(up: Up) -> None:
    """The hub was started with one: see the fixture."""
    assert (up.home.path / "prefect" / "prefect.db.damaged").read_bytes() == DAMAGED
    assert up.ask("POST", "flows/count", {}) == len(FLOWS)


def test_nothing_outlives_a_supervisor_that_is_killed(up: Up) -> None:
    """The last one here: SIGKILL of ``lifelog up`` while a job runs."""
    flows = up.pid
    up.start("compact")
    wait_for(lambda: up.jobs("compact"), "A job")
    family = [flows, *(job.pid for job in up.jobs("compact"))]
    family += [child.pid for child in psutil.Process(up.process.pid).children(recursive=True)]
    up.process.send_signal(signal.SIGKILL)
    up.process.wait(30)
    wait_for(lambda: all(gone(pid) for pid in family), "The end of all that it had started", 60)
