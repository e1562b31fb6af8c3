"""An ActivityWatch server that is down, slow, broken or poisoned, and kills on both sides."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from collectors import aw_bucket
from lifelog_lake.beats import read_beat
from tests.fixtures.aw import (  # noqa: F401 - two fixtures
    AFK,
    PYTHON,
    T0_MS,
    WEB,
    WINDOW,
    AwServer,
    an_aw,
    event,
    shared_aw,
    start_aw,
)
from tests.fixtures.aw_device import AwDevice, exported
from tests.fixtures.aw_faults import FAULTS, FaultyProxy
from tests.fixtures.device import ROOT, wait_for
from tests.helpers import ship, verified

NOW = (T0_MS + 86_400_000) * 1000
SECRET = "secret words"


@pytest.fixture(name="proxy")
def a_proxy(aw: AwServer) -> Iterator[FaultyProxy]:
    """A proxy before the server."""
    proxy = FaultyProxy(aw.url)
    yield proxy
    proxy.stop()


def fill(aw: AwServer, count: int = 30) -> None:
    """Two buckets of some events."""
    for name, type_, column in (("window_a", WINDOW, "title"), ("afk_a", AFK, "status")):
        events = [event(T0_MS + n * 60_000, 50, **{column: f"{n}"}) for n in range(count)]
        aw.insert(aw.bucket(name, type_), events)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_server_is_survived_and_said(
    aw: AwServer, proxy: FaultyProxy, tmp_path: Path, fault: str
) -> None:
    fill(aw)
    device = AwDevice(tmp_path / "home", proxy.url, now=NOW, timeout_s=0.4)
    proxy.fault = fault
    device.runner.turn()
    assert device.beat.state == "unavailable"
    assert proxy.url in device.beat.reason
    assert "[collectors.activitywatch]" in device.beat.reason
    assert SECRET not in device.beat.reason
    assert device.beat.observed == {}
    proxy.fault = None
    device.read()
    assert (device.beat.state, device.beat.reason) == ("running", "")
    observed = device.beat.observed
    assert set(observed) == {"window", "afk"}
    aw.insert("afk_a", [event(T0_MS + 3_600_000, 5, status="new")])
    proxy.fault = fault
    device.clock.pass_s(10)
    device.runner.turn()
    assert device.beat.state == "error"  # at once, and given up after a while
    assert proxy.url in device.beat.reason
    assert device.runner.next_in_s() > 0
    device.runner.turn()
    device.runner.turn()
    assert device.beat.state == "unavailable"
    assert device.beat.observed == observed
    proxy.fault = None
    device.read()
    assert device.beat.state == "running"
    assert device.shipped() == exported(aw.export())


def test_a_bucket_that_cannot_be_read_does_not_hold_up_the_others(
    aw: AwServer, proxy: FaultyProxy, tmp_path: Path
) -> None:
    fill(aw)
    proxy.fault, proxy.only = "http-500", b"window_a/events"
    device = AwDevice(tmp_path / "home", proxy.url, now=NOW)
    for _ in range(6):
        device.runner.turn()
    assert device.beat.state == "error"
    assert "window_a" in device.beat.reason
    assert set(device.beat.observed) == {"afk"}
    assert device.shipped() == [told for told in exported(aw.export()) if told[0] == "afk_a"]
    proxy.fault = None
    device.read()
    assert device.shipped() == exported(aw.export())


def test_an_event_that_the_server_cannot_give_is_passed_over_on_record(
    aw: AwServer, proxy: FaultyProxy, tmp_path: Path
) -> None:
    fill(aw)
    aw.insert("window_a", [event(T0_MS + 10 * 60_000 + 55_000, 2, title="poison")])
    proxy.fault, proxy.only = "http-500", b"poison"
    device = AwDevice(tmp_path / "home", proxy.url, now=NOW)
    for _ in range(400):
        device.runner.turn()
        if device.beat.state == "running" and device.beat.share is None:
            break
    assert device.beat.state == "running"
    wanted = [told for told in exported(aw.export()) if '"poison"' not in told[3]]
    assert device.shipped() == wanted
    notes = list((device.home.spool / "window" / "quarantine").glob("*.payload"))
    assert notes
    assert all(b"passed over from ms" in note.read_bytes() for note in notes)


def test_however_much_there_is_an_answer_stays_small(
    aw: AwServer, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So memory is bounded, even where thousands of events begin in one second or at one time."""
    monkeypatch.setattr(aw_bucket, "PAGE_EVENTS", 60)
    name = aw.bucket("aw-watcher-window_busy", WINDOW)
    events = [event(T0_MS + n, 0.05, title=str(n)) for n in range(250)]
    long = [event(T0_MS + 200, 4_000 + n, title=f"long {n}") for n in range(20)]
    late = [event(T0_MS + 3 * 86_400_000, 1, title="late")]
    aw.insert(name, events + long + late)
    device = AwDevice(tmp_path / "home", proxy.url, now=NOW + 9 * 86_400_000_000)
    beat = device.read()
    assert (beat.state, beat.reason) == ("running", "")
    assert device.shipped() == exported(aw.export())
    limits = [
        parse_qs(urlsplit(path).query).get("limit") for path in proxy.asked if "/events?" in path
    ]
    assert {int(limit[0]) for limit in limits if limit} <= {1, 61}
    assert None not in limits


# --- kills ----------------------------------------------------------------------------------------

#: Runs in the server's environment: what a watcher does, through ActivityWatch's own client.
FEEDER = """
import sys, time
from datetime import datetime, timedelta, timezone
from aw_client import ActivityWatchClient
from aw_core.models import Event
port, host, rounds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = ActivityWatchClient("feeder-" + host, host="127.0.0.1", port=port)
buckets = {"window": "currentwindow", "afk": "afkstatus", "web": "web.tab.current"}
for name, kind in buckets.items():
    client.create_bucket(f"{name}_{host}", kind, queued=True)
at = datetime.now(timezone.utc) - timedelta(seconds=20 * rounds)
data = {"window": lambda n: {"app": "a", "title": str(n // 7)},
        "afk": lambda n: {"status": "afk" if n % 100 > 80 else "not-afk"},
        "web": lambda n: {"url": f"https://{n // 11}/", "title": "", "incognito": False}}
with client:
    for n in range(rounds):
        for name, make in data.items():
            beat = Event(timestamp=at, duration=0, data=make(n))
            client.heartbeat(f"{name}_{host}", beat, pulsetime=30, queued=True, commit_interval=0)
        at += timedelta(seconds=20)
        time.sleep(0.01)
    print("fed", flush=True)
    sys.stdin.read()
"""


def collect(home: Path, log: Path) -> subprocess.Popen[bytes]:
    """The collector's own process, as the supervisor starts it."""
    argv = [
        sys.executable,
        "-m",
        "lifelog_lake.collect.child",
        "activitywatch",
        "--home",
        str(home),
    ]
    with log.open("ab") as out:
        return subprocess.Popen(
            [*argv, "--retry-s", "0.1"],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )


def test_kills_of_collector_and_server_lose_and_double_nothing(tmp_path: Path) -> None:
    dice = random.Random(5)
    server = start_aw(tmp_path / "aw")
    device = AwDevice(tmp_path / "home", server, now=NOW)
    settings = f'[collectors.activitywatch]\nurl = "{server.url}"\nevery_s = 0.2\n'
    (device.home.path / "config.toml").write_text(f"[spool]\nmin_free_bytes = 0\n{settings}")
    old = server.bucket("aw-watcher-window_old", WINDOW, "old")
    for begin in range(0, 6_000, 3_000):
        numbers = range(begin, begin + 3_000)
        server.insert(old, [event(T0_MS + n * 7_000, 7, app="x", title=str(n)) for n in numbers])
    log = tmp_path / "beats"
    running: list[subprocess.Popen[bytes]] = []
    try:
        feeder = subprocess.Popen(
            [str(PYTHON), "-c", FEEDER, str(server.port), "here", "250"],
            env=server.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        running.append(feeder)
        for round_ in range(5):
            child = collect(device.home.path, log)
            running.append(child)
            time.sleep(dice.uniform(0.5, 2.0))  # the moment of the kill is what varies
            if round_ % 2:
                server.kill()
                server.start()
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=30)
            if round_ == 3:
                ship(device.home)
        assert feeder.stdout is not None
        assert feeder.stdout.readline() == b"fed\n"
        wait_for(lambda: _same_twice(server), "the feeder's queue empty")
        child = collect(device.home.path, log)
        running.append(child)

        def done() -> bool:
            beats = [beat for beat in map(read_beat, log.read_bytes().splitlines()) if beat]
            if beats[-1].state != "running" or beats[-1].share is not None:
                return False
            time.sleep(1.0)
            return _finished(server) <= set(device.shipped())

        wait_for(done, "all of it in the lake")
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 0
    finally:
        for process in running:
            process.kill()
            process.wait(timeout=30)
        server.stop()
    verified(device.home)


def _same_twice(server: AwServer) -> bool:
    before = server.export()
    time.sleep(0.5)
    return server.export() == before


def _finished(server: AwServer) -> set[tuple[str, int, int, str]]:
    """What can't grow any more: all but the newest event of each bucket that is fed."""
    found = exported(server.export())
    newest = {told[0]: told for told in found}
    return {told for told in found if told != newest[told[0]] or told[0].endswith("_old")}
