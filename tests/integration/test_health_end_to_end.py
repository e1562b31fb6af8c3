"""From a real fault on a device to one row of ``alert``, and by itself to its end.

Three devices share a lake: a hub with ActivityWatch, a collector that freezes and one that goes
blind; a laptop with a small disk; a phone that is ended. Supervisors, collectors and shippers are
real processes, the hub's care looks over and over as its flow does. What doesn't disturb each other
happens at the same time.

Prefect's own end is in ``test_flows_standby``, the way on to messages (an hour of flapping too) in
``test_alerts_sent``.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pytest

from flows.jobs import load
from lifelog_lake.clock import US_PER_S, SystemClock, to_us
from lifelog_lake.home import Home
from lifelog_lake.lake import init_lake, parse_url
from tests import needs
from tests.fixtures.aw import WINDOW, AwServer, shared_aw  # noqa: F401
from tests.fixtures.device import Device, new_device, wait_for
from tests.fixtures.small_disk import fill, small_disk
from tests.helpers import rows

#: A minute of an idle machine, and more than it can take on a busy one: thresholds are seconds.
pytestmark = [pytest.mark.soak, pytest.mark.slow]

T = TypeVar("T")

ALIVE_S, STALE_S, QUIET_S, GONE_S = 30, 1.5, 6, 30
TIMING = (
    f"alive_s={ALIVE_S}, tick_s=0.1, status_s=0.2, pulse_s=1, "
    "backoff=Backoff(first_s=0.1, most_s=1.0)"
)
#: In each Python of a device: beats each half second, and a clock that is as wrong as a file says.
CUSTOM = """
import os
from pathlib import Path
from lifelog_lake import beats, clock

right_us = clock.SystemClock.wall_us

def wall_us(self):
    try:
        wrong_us = int((Path(os.environ["FAKES_DIR"]) / "wrong_us").read_text())
    except FileNotFoundError:
        wrong_us = 0
    return right_us(self) + wrong_us

beats.BEAT_EVERY_S = 1.0
clock.SystemClock.wall_us = wall_us
"""
BASE = """
[device]
name = "{name}"
[collectors.screen]
enabled = false
[spool]
min_free_bytes = 0
[ship]
every_s = 2
"""
HUB = """
[collectors.second]
enabled = true
[collectors.blind]
enabled = true
[collectors.activitywatch]
url = "{url}"
every_s = 0.5
timeout_s = 5
streams = ["window"]
[health]
activitywatch_every_s = 1
stale_after_minutes_by_stream = {{sensor = {stale_minutes}, audio = 0, window = 0}}
[alerts]
resolve_after_s = 1
"""
#: What the hub's blind collector has is left to the device to find: it has no limit here. Waits of
#: seconds instead of minutes make many restarts an hour.
RULES = """
[capture]
after_s = {quiet_s}
[clock]
skew_s = 60
[activitywatch]
after_s = 1
[restarts]
most = 50
[disk]
enabled = false
[devices.{hub}.capture]
streams = {{sensor = 0}}
[devices.{laptop}.disk]
enabled = true
free_bytes = 1000000
[devices.{phone}.last_seen]
after_s = {gone_s}
"""


class Care(threading.Thread):
    """The hub's health job, again and again, as its flow runs it."""

    def __init__(self, home: Home) -> None:
        super().__init__(name="care", daemon=True)
        self._home = home
        self.runs = 0
        self.failed: BaseException | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        look, store = load("health"), parse_url(self._home.lake_url, self._home)
        while not self.ended.wait(0.3):
            try:
                look(self._home, store, SystemClock())
            except BaseException as error:  # raised in the test that waits
                self.failed = error
                return
            self.runs += 1


@dataclass(kw_only=True)
class Fleet:
    """The devices, their hub's care, and what the lake says of them."""

    hub: Device
    laptop: Device
    phone: Device
    aw: AwServer
    care: Care
    no_small_disk: str
    done: list[str] = field(default_factory=list)

    def wait(self, look: Callable[[], T], what: str) -> T:
        """As ``wait_for``; fails at once if the care has failed."""

        def look_first() -> T:
            time.sleep(0.2)  # leave the machine to the devices
            assert self.care.failed is None, repr(self.care.failed)
            return look()

        return wait_for(look_first, what)

    def rows(self, stream: str, device: Device | None = None) -> pl.DataFrame:
        """What the lake has of a stream, all or one device's."""
        found = rows(self.hub.home, stream)
        return found if device is None else found.filter(pl.col("device") == device.home.device)

    def alerts(self) -> dict[str, list[str]]:
        """The states of each alert, in their order."""
        found: dict[str, list[str]] = {}
        for key, state in self.rows("alert").sort("at", "seq").select("key", "state").iter_rows():
            found.setdefault(key, []).append(state)
        return found

    def opened(self, key: str) -> dict[str, Any]:
        """Wait for an alert; its first row."""
        self.wait(lambda: key in self.alerts(), f"The alert {key}")
        return self.rows("alert").filter(pl.col("key") == key).sort("at", "seq").row(0, named=True)

    def still_one(self, key: str) -> None:
        """Some more looks, and it is the same alert; nothing else about that device opened."""
        runs = self.care.runs
        self.wait(lambda: self.care.runs >= runs + 3, "three looks of the care")
        assert self.alerts()[key] == ["open"]

    def resolved(self, key: str) -> None:
        """Wait for its end. All that ended stays ended, and nobody heard of anything else."""
        self.wait(lambda: self.alerts()[key][-1] == "resolved", f"The end of {key}")
        self.done.append(key)
        told = self.alerts()
        assert [told[one] for one in self.done] == [["open", "resolved"] for _ in self.done]
        hub, laptop, phone = (one.home.device for one in (self.hub, self.laptop, self.phone))
        assert set(told) <= {
            *(f"activitywatch/{hub}/-", f"capture/{hub}/sensor", f"capture/{hub}/audio"),
            *(f"disk/{laptop}/-", f"clock/{laptop}/-", f"last_seen/{phone}/-"),
        }

    def pulse(self, device: Device) -> dict[str, Any]:
        """The newest in the lake, with its ``extra`` as an object."""
        found = self.rows("pulse", device).row(-1, named=True)
        return {**found, "extra": json.loads(found["extra"] or "{}")}

    def restarts(self, collector: str) -> pl.DataFrame:
        """What the lake has of the hub's restarts of a collector."""
        told = self.rows("lifecycle", self.hub)
        return told.filter(pl.col("kind") == "restarted", pl.col("collector") == collector)


def new(path: Path, name: str, config: str, lake: Device | None = None) -> Device:
    """A device with its settings, on the lake of another one or its own."""
    device = new_device(path)
    (device.fakes / "sitecustomize.py").write_text(CUSTOM, "utf-8")
    where = "" if lake is None else f'[lake]\nurl = "{lake.home.lake_url}"\n'
    device.configure(BASE.format(name=name) + config + where)
    init_lake(device.home)
    return device


def beat_window(aw: AwServer) -> None:
    aw.heartbeat("aw-watcher-window_e2e", SystemClock().wall_us() // 1000, 60.0, app="a", title="t")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, shared_aw: AwServer) -> Iterator[Fleet]:  # noqa: F811
    """All is well for a moment; then all that can break at the same time has broken."""
    path = tmp_path_factory.mktemp("fleet")
    if not shared_aw.answers():
        shared_aw.kill()
        shared_aw.start()
    shared_aw.bucket("aw-watcher-window_e2e", WINDOW)
    beat_window(shared_aw)
    with ExitStack() as ends:
        config = HUB.format(url=shared_aw.url, stale_minutes=STALE_S / 60)
        (path / "hub").mkdir()
        hub = new(path / "hub", "hub", config)
        # So many rows that what its open file still takes is soon used up.
        ticker = "[collectors.ticker]\nenabled = true\nevery_s = 0.01\n"
        (path / "laptop" / "home" / "spool").mkdir(parents=True)
        no_small_disk = ends.enter_context(small_disk(path / "laptop" / "home" / "spool", mb=8))
        laptop = new(path / "laptop", "laptop", ticker, hub)
        (path / "phone").mkdir()
        phone = new(path / "phone", "phone", "", hub)
        names = {"hub": hub.home.device, "laptop": laptop.home.device, "phone": phone.home.device}
        (hub.path / "health.toml").write_text(
            RULES.format(quiet_s=QUIET_S, gone_s=GONE_S, **names), "utf-8"
        )
        care = Care(hub.home)
        hub.mark("sees")
        for device in (hub, laptop, phone):
            ends.callback(device.end)
            start(device)
        found = Fleet(
            hub=hub, laptop=laptop, phone=phone, aw=shared_aw, care=care,
            no_small_disk=no_small_disk,
        )  # fmt: skip
        found.wait(lambda: well(found), "A fleet that is well")
        care.start()
        ends.callback(care.join)
        ends.callback(care.ended.set)
        found.wait(lambda: care.runs, "A look of the care")
        assert found.alerts() == {}
        break_all(found)
        yield found


def start(device: Device) -> None:
    env = {"LIFELOG_COLLECTORS__ACTIVITYWATCH__ENABLED": str(device.path.parent.name == "hub")}
    device.supervise(timing=TIMING, ship=True, env=env)


def well(fleet: Fleet) -> bool:
    """Each collector has seen something, and the lake knows it."""
    for device, count in ((fleet.hub, 3), (fleet.laptop, 1), (fleet.phone, 0)):
        if fleet.rows("pulse", device).is_empty():
            return False
        seen = [stream["last_capture_at"] for stream in fleet.pulse(device)["streams"]]
        if sum(at is not None for at in seen) < count:
            return False
    return aw_state(fleet) == "healthy"


def aw_state(fleet: Fleet) -> str | None:
    """As the hub's newest pulse in the lake tells it."""
    told = fleet.pulse(fleet.hub)["extra"].get("activitywatch")
    return told["state"] if told else None


def break_all(fleet: Fleet) -> None:
    fleet.aw.kill()
    os.kill(fleet.hub.pid("second"), signal.SIGSTOP)
    (fleet.hub.fakes / "sees").unlink()
    fleet.phone.end()


def set_clock(device: Device, wrong_s: float) -> None:
    """Set a whole device's clock wrong."""
    new = device.fakes / "wrong_us.new"
    new.write_text(str(round(wrong_s * US_PER_S)))
    new.rename(device.fakes / "wrong_us")


@contextmanager
def garbage(port: int) -> Iterator[None]:
    """Another program on a port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><p>It works!"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_spool_on_a_full_disk(fleet: Fleet) -> None:
    if fleet.no_small_disk:
        needs.lacking(fleet.no_small_disk)
    laptop = fleet.laptop
    fillers = [laptop.path / "spool" / "filler-0"]
    fill(fillers[0])
    key = f"disk/{laptop.home.device}/-"
    alert = fleet.opened(key)
    assert (alert["severity"], alert["about_device"]) == ("critical", laptop.home.device)

    def is_full() -> bool:
        (sensor,) = (one for one in fleet.pulse(laptop)["streams"] if one["collector"] == "ticker")
        if sensor["state"] != "full":  # the spool has given up what it keeps of the past
            fillers.append(laptop.path / "spool" / f"filler-{len(fillers)}")
            fill(fillers[-1])
        return bool(sensor["state"] == "full")

    fleet.wait(is_full, "A pulse that tells that nothing is recorded")
    since_s = time.monotonic()  # longer than a stream may be quiet that has another reason
    fleet.wait(lambda: time.monotonic() > since_s + QUIET_S + 2, "that while")
    fleet.still_one(key)
    count = fleet.rows("sensor", laptop).height
    for filler in fillers:
        filler.unlink()
    fleet.resolved(key)
    fleet.wait(lambda: fleet.rows("sensor", laptop).height > count, "new rows")
    ticks = fleet.rows("sensor", laptop)["value"].to_list()
    assert ticks == [float(n) for n in range(1, len(ticks) + 1)]  # none lost, none twice


def test_a_clock_that_is_behind(fleet: Fleet) -> None:
    key = f"clock/{fleet.laptop.home.device}/-"
    set_clock(fleet.laptop, -1200)
    alert = fleet.opened(key)
    assert "20 minutes behind" in alert["message"]
    fleet.still_one(key)
    set_clock(fleet.laptop, 0)
    fleet.resolved(key)


def test_activitywatch_stops_another_answers_and_it_is_back(fleet: Fleet) -> None:
    key = f"activitywatch/{fleet.hub.home.device}/-"
    alert = fleet.opened(key)
    assert f"ActivityWatch on {fleet.hub.home.device} gives nothing" in alert["message"]
    fleet.wait(lambda: aw_state(fleet) == "unhealthy", "A pulse of a server that is gone")
    with garbage(fleet.aw.port):
        fleet.wait(lambda: aw_state(fleet) == "degraded", "A pulse of garbage")
        fleet.still_one(key)
    fleet.aw.start()
    beat_window(fleet.aw)
    fleet.resolved(key)
    assert fleet.restarts("activitywatch").is_empty()  # it isn't the collector's fault


def test_a_device_that_is_gone(fleet: Fleet) -> None:
    key = f"last_seen/{fleet.phone.home.device}/-"
    assert "was last heard of" in fleet.opened(key)["message"]
    fleet.still_one(key)
    start(fleet.phone)
    fleet.resolved(key)


def test_one_that_beats_without_data(fleet: Fleet) -> None:
    """Started again after ever longer waits, and told when that didn't help."""
    key = f"capture/{fleet.hub.home.device}/sensor"
    alert = fleet.opened(key)
    assert "although blind was started again 3 times" in alert["message"]
    fleet.wait(lambda: fleet.restarts("blind").height >= 3, "The third restart")
    told = fleet.restarts("blind")
    assert told["reason"].str.contains("no event of sensor since").all()
    at = [to_us(one) / US_PER_S for one in told["at"].head(3)]
    waits_s = [after - before for before, after in itertools.pairwise(at)]
    assert waits_s[0] >= 2 * STALE_S
    assert waits_s[1] >= 4 * STALE_S
    fleet.still_one(key)
    fleet.hub.mark("sees")
    fleet.resolved(key)


def test_one_that_is_frozen(fleet: Fleet) -> None:
    """Told while it hangs, then killed and started again, which is its end."""
    key = f"capture/{fleet.hub.home.device}/audio"
    alert = fleet.opened(key)
    assert "nothing new since" in alert["message"]
    fleet.resolved(key)
    told = fleet.restarts("second")
    assert told["reason"].str.contains(f"no beat for {ALIVE_S} s").to_list() == [True]
