"""The check of a real ActivityWatch server: well, gone, answering garbage, back again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect import aw_check
from lifelog_lake.collect.aw_watch import GRACE_S, AwWatch, Cadence
from lifelog_lake.home import Home, open_home
from lifelog_lake.logs import setup_logging
from tests.fixtures.aw import AwServer, an_aw, shared_aw  # noqa: F401
from tests.fixtures.aw_faults import FaultyProxy
from tests.fixtures.device import wait_for
from tests.helpers import T0, FixedClock


def a_home(path: Path, url: str, timeout_s: float = 5.0) -> Home:
    settings = {"enabled": True, "url": url, "timeout_s": timeout_s}
    home = open_home(path, flags={"collectors": {"activitywatch": settings}})
    setup_logging(home, "test")
    return home


def logged(home: Home) -> list[str]:
    lines = (home.logs / "lifelog-test.jsonl").read_text("utf-8").splitlines()
    return [message for line in lines if (message := json.loads(line).get("message"))]


@pytest.fixture
def proxy(aw: AwServer) -> Iterator[FaultyProxy]:
    made = FaultyProxy(aw.url)
    yield made
    made.stop()


def test_stopped_and_started_again(aw: AwServer, tmp_path: Path) -> None:
    home, clock = a_home(tmp_path, aw.url), FixedClock()
    assert aw_check.read(home) is None
    first = aw_check.run(home, clock)
    assert first is not None
    assert (first.state, first.reason, first.healthy_us) == ("healthy", "", T0)
    assert first.version is not None
    assert "0.12" in first.version
    aw.kill()
    clock.now_us += 900 * US_PER_S
    gone = aw_check.run(home, clock)
    assert gone is not None
    assert gone.state == "unhealthy"
    assert "Connection refused" in gone.reason
    assert aw.url in gone.reason
    assert (gone.version, gone.healthy_us) == (first.version, T0)  # of when it was well
    assert gone.since_us == gone.checked_us == clock.now_us
    assert logged(home) == [f"ActivityWatch server unhealthy: {gone.reason}"]
    clock.now_us += 900 * US_PER_S
    still = aw_check.run(home, clock)
    assert still is not None
    assert still.since_us == gone.since_us
    assert aw_check.read(open_home(tmp_path)) == still  # durable, for any process
    aw.start()
    clock.now_us += 900 * US_PER_S
    back = aw_check.run(home, clock)
    assert back is not None
    assert (back.state, back.reason, back.healthy_us) == ("healthy", "", clock.now_us)
    assert len(logged(home)) == 2


@pytest.mark.parametrize(
    ("fault", "state", "word"),
    [
        ("html", "degraded", "HTML"),
        ("half", "degraded", "no JSON"),
        ("cut", "degraded", "no JSON"),
        ("http-500", "degraded", "HTTP 500"),
        ("huge", "degraded", "more than 64 KiB"),
        ("deep", "degraded", "more than 64 KiB"),
        ("digits", "degraded", "no JSON"),
        ("wrong", "degraded", "no version"),
        ("moved", "degraded", "HTTP 302"),
        ("packed", "degraded", "no JSON"),
        ("away", "degraded", "breaks off"),
        ("hang", "unhealthy", "in time"),
        ("drip", "unhealthy", "in time"),
    ],
)
def test_garbage(proxy: FaultyProxy, tmp_path: Path, fault: str, state: str, word: str) -> None:
    home, clock = a_home(tmp_path, proxy.url, timeout_s=1.0), FixedClock()
    proxy.fault = fault
    found = aw_check.run(home, clock)
    assert found is not None
    assert (found.state, found.version, found.healthy_us) == (state, None, None)
    assert word in found.reason
    assert logged(home) == [f"ActivityWatch server unhealthy: {found.reason}"]
    assert "secret" not in (home.logs / "lifelog-test.jsonl").read_text("utf-8")
    proxy.fault = None
    again = aw_check.run(home, clock)
    assert again is not None
    assert again.state == "healthy"


@pytest.mark.parametrize("url", ["http://no.such.host.invalid:5600", "http://127.0.0.1:1"])
def test_nobody_there(tmp_path: Path, url: str) -> None:
    found = aw_check.run(a_home(tmp_path, url), FixedClock())
    assert found is not None
    assert found.state == "unhealthy"
    assert "start ActivityWatch" in found.reason


def test_a_password_in_the_address_is_sent_and_not_told(tmp_path: Path) -> None:
    found = aw_check.run(a_home(tmp_path, "http://ada:hush@127.0.0.1:1"), FixedClock())
    assert found is not None
    assert "hush" not in found.reason
    assert "hush" not in (tmp_path / "run" / aw_check.NAME).read_text("utf-8")


def test_without_the_collector_nothing_is_checked(tmp_path: Path) -> None:
    home = open_home(tmp_path)  # the tests' surroundings turn it off
    assert aw_check.run(home, FixedClock()) is None
    assert not (home.run / aw_check.NAME).exists()


def test_a_result_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    for content in (b"", b"[]", b'{"state": "healthy"}', b"\xff"):
        (home.run / aw_check.NAME).write_bytes(content)
        assert aw_check.read(home) is None


def test_missed_runs_are_one() -> None:
    cadence = Cadence(900, 20)
    asked = [second for second in range(4000) if cadence.due(second)]
    assert asked == [20, 920, 1820, 2720, 3620]
    eight_hours = 3620 + 32 * 900
    assert cadence.due(eight_hours + 200)  # the last of the missed ones is in its grace
    assert not cadence.due(eight_hours + 201)
    assert cadence.due(eight_hours + 900)


def test_a_run_that_is_too_late_waits_for_the_next() -> None:
    cadence = Cadence(900, 0)
    assert cadence.due(0)
    assert not cadence.due(1800 + GRACE_S + 1)
    assert [s for s in range(2102, 3700) if cadence.due(s)] == [2700, 3600]


class SleepyClock(FixedClock):
    """The clock since boot by hand."""

    boot_s = 1000.0

    def boot_us(self) -> int:
        return int(self.boot_s * US_PER_S)


def test_one_check_at_a_time_and_one_after_a_sleep(proxy: FaultyProxy, tmp_path: Path) -> None:
    clock = SleepyClock()
    home = a_home(tmp_path, proxy.url, timeout_s=30.0)
    watch = AwWatch(home, clock, 900)
    assert watch.result is None
    watch.look()
    assert proxy.asked == []
    proxy.fault = "hang"
    clock.boot_s += 21
    watch.look()
    wait_for(lambda: len(proxy.asked) == 1, "the first check")
    for _ in range(50):  # meanwhile it is due again, and again
        clock.boot_s += 900
        watch.look()
    assert len(proxy.asked) == 1
    proxy.ended.set()  # the answer that hung breaks off
    wait_for(lambda: watch.result is not None, "its result")
    proxy.fault = None
    clock.boot_s += 5 * 900  # asleep
    wait_for(lambda: watch.look() or len(proxy.asked) == 2, "one check for all that were missed")
    wait_for(lambda: watch.result is not None and watch.result.state == "healthy", "the result")
    watch.look()
    clock.boot_s += 10
    watch.soon()  # the collector saw a change
    watch.look()
    wait_for(lambda: len(proxy.asked) == 3, "a check out of turn")


def test_a_result_that_cannot_be_kept_ends_nothing(tmp_path: Path) -> None:
    """Something that isn't ours lies where it goes; the next one is tried all the same."""
    home = a_home(tmp_path, "http://127.0.0.1:1")
    (home.run / aw_check.NAME).mkdir()
    watch = AwWatch(home, FixedClock(), 900)
    log = home.logs / "lifelog-test.jsonl"
    for n in (1, 2):
        watch.soon()
        wait_for(lambda: watch.look() or not watch._hurry, "the check")
        wait_for(lambda n=n: log.read_text().count("activitywatch_not_checked") == n, "its trouble")
    assert watch.result is None


def test_it_may_be_turned_off(tmp_path: Path) -> None:
    watch = AwWatch(a_home(tmp_path, "http://127.0.0.1:1"), FixedClock(), 0)
    watch.soon()
    watch.look()
    assert watch.result is None
