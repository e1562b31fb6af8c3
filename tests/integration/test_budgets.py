"""Collectors that take all they can get are held within their budgets, as seen from outside."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from lifelog_lake.lake import parse_url
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.fixtures.device import Device, a_device, stop, wait_for  # noqa: F401
from tests.fixtures.proxy import Proxy
from tests.fixtures.s3 import S3Server
from tests.helpers import frame, make_home, verified
from tests.needs import require_linux

MIB = 2**20
CPU_PERCENT = 20.0
MEMORY_BYTES = 160 * MIB


def configure(device: Device, *names: str) -> None:
    device.use(*names)
    config = device.path / "config.toml"
    budgets = (
        f"[budgets]\ncpu_percent_by_collector = {{burner = {CPU_PERCENT}}}\n"
        f"memory_bytes_by_collector = {{glutton = {MEMORY_BYTES}}}\n"
    )
    config.write_text(config.read_text("utf-8") + budgets, "utf-8")


def seconds_of(pid: int) -> float:
    """Processor time of a process and of the program that it started."""
    whole_s = 0.0
    process = psutil.Process(pid)
    for one in (process, *process.children()):
        times = one.cpu_times()
        whole_s += times.user + times.system
    return whole_s


def all_held(pid: int) -> bool:
    """Whether a process and the program that it started are stopped."""
    process = psutil.Process(pid)
    helpers = process.children()
    return bool(helpers) and {one.status() for one in (process, *helpers)} == {"stopped"}


def resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def measure(device: Device, seconds: float) -> tuple[float, int]:
    """Share of a core that the burner took, and the most that the glutton had at any time."""
    burner, most = device.pid("burner"), 0
    began_s, before_s = time.monotonic(), seconds_of(burner)
    while time.monotonic() - began_s < seconds:
        glutton = device.status().get("glutton", {}).get("pid")
        most = max(most, resident(glutton) if isinstance(glutton, int) else 0)
        time.sleep(0.02)
    spent_s = seconds_of(burner) - before_s
    return spent_s / (time.monotonic() - began_s), most


#: Python of the supervisor's process: it looks for started programs more often than it does.
SOON = "clock = None\nimport lifelog_lake.collect.family\nlifelog_lake.collect.family.LOOK_S = 0.5"


#: What two processes can take in two of the supervisor's looks: it counts over a few seconds, and
#: over a minute it doesn't.
LOOKS_S = 0.8


def run(
    device: Device, seconds: float, *, clock: str = "clock = None", more_s: float = 0.0
) -> None:
    require_linux("the system's limit of memory")
    configure(device, "burner", "glutton")
    supervisor = device.supervise(clock=clock)
    wait_for(lambda: all_held(device.pid("burner")), "both are found and stopped")
    device.told("restarted", "glutton")
    share, most = measure(device, seconds)
    print(f"{100 * share:.1f} % of a core, {most / MIB:.0f} MiB in {seconds:.0f} s")
    assert share * seconds <= 1.1 * CPU_PERCENT / 100 * seconds + more_s
    assert most <= 1.1 * MEMORY_BYTES
    assert stop(supervisor, within_s=60.0) == 0, "one that is held ends too"


def test_processor_and_memory_are_held_within_the_budget(device: Device) -> None:
    run(device, 3.0, clock=SOON, more_s=LOOKS_S)


@pytest.mark.soak
def test_the_same_over_a_minute(device: Device) -> None:
    run(device, 60.0)


@pytest.mark.soak
def test_the_upload_rate_is_held_through_a_proxy(
    tmp_path: Path, s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = 500_000
    with Proxy(s3_server.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        monkeypatch.setenv("LIFELOG_BUDGETS__UPLOAD_BYTES_PER_S", str(rate))
        home = make_home(tmp_path / "home", lake=s3_url)
        spool = Spool.of(home)
        content = [os.urandom(2_000_000) for _ in range(15)]
        spool.append([frame(n, one) for n, one in enumerate(content)])
        began_s = time.monotonic()
        store = parse_url(home.lake_url, home)
        Shipper(home, spool, store, spool._clock, batch_rows=100).run_once()
        took_s = time.monotonic() - began_s
        sent = sum(map(len, content))
        print(f"{sent / took_s:,.0f} bytes a second in {took_s:.0f} s, the budget is {rate:,}")
        assert sent / took_s <= 1.1 * rate
        verified(home)
