"""A lease has one holder; a dead one's ends; who lost it notices."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.errors import Locked
from lifelog_lake.lake import lease
from lifelog_lake.lake.lease import LASTS_S, LEASES, SKEW_S, Lease, hold
from lifelog_lake.lake.local import LocalTarget
from tests.helpers import FixedClock


class Clock(FixedClock):
    """Wall clock and the clock since boot go together, unless a test sets one."""

    def __init__(self) -> None:
        super().__init__()
        self.since_boot_us = 0

    def boot_us(self) -> int:
        return self.since_boot_us

    def go(self, seconds: float) -> None:
        self.now_us += int(seconds * US_PER_S)
        self.since_boot_us += int(seconds * US_PER_S)


@pytest.fixture
def store(tmp_path: Path) -> LocalTarget:
    target = LocalTarget(tmp_path / "lake")
    target.prepare()
    return target


def objects(store: LocalTarget) -> list[int]:
    return [int(key[-25:-5]) for key in store.keys(f"{LEASES}/compact")]


def test_one_holder_at_a_time(store: LocalTarget) -> None:
    clock = Clock()
    with hold(store, "compact", "one", clock) as held:
        with pytest.raises(Locked, match="of one"), hold(store, "compact", "two", clock):
            raise AssertionError("two holders")
        with hold(store, "tidy", "two", clock):  # another name
            held.keep()
    with hold(store, "compact", "two", clock):
        pass
    assert len(objects(store)) == 1, "older numbers are deleted"


def test_it_is_given_back_after_an_error(store: LocalTarget) -> None:
    with pytest.raises(ZeroDivisionError), hold(store, "compact", "one", Clock()):
        raise ZeroDivisionError
    with hold(store, "compact", "two", Clock()):
        pass


def test_a_holder_renews_in_time_and_only_then(store: LocalTarget) -> None:
    clock = Clock()
    with hold(store, "compact", "one", clock) as held:
        held.keep()
        assert objects(store) == [1]
        for number in range(2, 12):
            clock.go(LASTS_S / 2)
            held.keep()
            assert objects(store) == [number]
        with pytest.raises(Locked), hold(store, "compact", "two", clock):
            pass


def test_a_dead_holders_lease_ends(store: LocalTarget) -> None:
    clock = Clock()
    Lease(store, "compact", "elsewhere", clock).take()
    clock.go(LASTS_S)
    with pytest.raises(Locked):  # its clock may be late
        Lease(store, "compact", "here", clock).take()
    clock.go(SKEW_S + 1)
    Lease(store, "compact", "here", clock).take()


@pytest.mark.parametrize("given_back", [True, False])
def test_a_clock_that_was_a_year_ahead_locks_nobody_out(
    store: LocalTarget, given_back: bool
) -> None:
    ahead = Clock()
    ahead.go(365 * 86_400)
    held = Lease(store, "compact", "elsewhere", ahead)
    held.take()
    if given_back:
        held.give_back()
        Lease(store, "compact", "by the same clock", ahead).take()
    Lease(store, "compact", "here", Clock()).take()


def test_a_process_that_is_gone_from_this_device_holds_nothing(store: LocalTarget) -> None:
    code = (
        "import sys, os; from pathlib import Path; from lifelog_lake.clock import SystemClock\n"
        "from lifelog_lake.lake.lease import Lease\n"
        "from lifelog_lake.lake.local import LocalTarget\n"
        "Lease(LocalTarget(Path(sys.argv[1])), 'compact', 'here', SystemClock()).take()\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=True, timeout=60)
    with pytest.raises(Locked, match="of here"):  # another device can't know
        Lease(store, "compact", "there", SystemClock()).take()
    Lease(store, "compact", "here", SystemClock()).take()


def test_a_holder_that_slept_has_lost_it(store: LocalTarget) -> None:
    clock = Clock()
    held = Lease(store, "compact", "one", clock)
    held.take()
    clock.since_boot_us += int(LASTS_S * US_PER_S)  # the wall clock may say anything
    with pytest.raises(Locked, match="taken over"):
        held.keep()


def test_a_holder_whose_lease_was_taken_notices(store: LocalTarget) -> None:
    mine, theirs = Clock(), Clock()
    held = Lease(store, "compact", "one", mine)
    held.take()
    theirs.go(LASTS_S + SKEW_S + 1)  # a clock that is far ahead
    other = Lease(store, "compact", "two", theirs)
    other.take()
    mine.go(LASTS_S / 2)
    with pytest.raises(Locked, match="taken over"):
        held.keep()
    held.give_back()
    with pytest.raises(Locked, match="of two"):
        Lease(store, "compact", "three", theirs).take()


def test_one_of_many_takers_wins(store: LocalTarget) -> None:
    def taken(number: int) -> bool:
        try:
            Lease(store, "compact", f"device-{number}", Clock()).take()
        except Locked:
            return False
        return True

    for _ in range(5):
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(taken, range(8))) <= 1
    (number,) = objects(store)
    assert orjson.loads(store.read(f"{LEASES}/compact/{number:020d}.json"))["device"]


def test_a_number_that_comes_late_is_no_lease(
    store: LocalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked, slept, and writes a number that others had and deleted meanwhile."""
    clock = Clock()
    late = Lease(store, "compact", "late", clock)
    looked = late._newest()
    for _ in range(3):
        with hold(store, "compact", "other", clock):
            pass
    monkeypatch.setattr(late, "_newest", lambda: looked)
    with pytest.raises(Locked):
        late.take()
    assert max(objects(store)) == 6
    with hold(store, "compact", "next", clock):
        pass
    assert len(objects(store)) == 1


def test_what_somebody_else_left_there_is_no_lease(store: LocalTarget) -> None:
    store.write(f"{LEASES}/compact/{7:020d}.json", b"what is this", at="test")
    store.write(f"{LEASES}/compact/readme.txt", b"", at="test")
    with hold(store, "compact", "one", Clock()):
        assert objects_of(store) == {"00000000000000000008.json", "readme.txt"}


def objects_of(store: LocalTarget) -> set[str]:
    return {key.rpartition("/")[2] for key in store.keys(f"{LEASES}/compact")}


def test_the_store_says_when_it_was_written(store: LocalTarget) -> None:
    with hold(store, "compact", "one", Clock()) as held:
        assert abs(held.stored_us() / US_PER_S - time.time()) < 3600
    assert lease.LEASES == "control/leases"
