"""A home that was cloned: both see the other, the lake has each row once, and a new id mends it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from lifelog_lake import twin
from lifelog_lake.collect.last_run import tell_crash
from lifelog_lake.collect.reasons import of_device
from lifelog_lake.collect.recorder import Recorder
from lifelog_lake.home import Home, open_home
from lifelog_lake.lake import parse_url
from lifelog_lake.ship.twins import Twins
from lifelog_lake.spool import Spool
from tests.fixtures.day import DayClock
from tests.fixtures.pulses import pulse
from tests.helpers import ids, make_home, rows, ship, verified, window


@pytest.fixture
def clock() -> DayClock:
    return DayClock()


def twins_of(home: Home, clock: DayClock) -> Twins:
    return Twins(home, parse_url(home.lake_url, home), clock, every_s=1.0)


def live(home: Home, clock: DayClock, number: int) -> None:
    """A minute of a home: a row, a pulse, a run of the shipper."""
    spool = Spool.of(home, clock)
    spool.append([window(number)])
    spool.append([pulse(clock.wall_us(), [])])
    ship(home)
    clock.s += 60


def cloned(tmp_path: Path, clock: DayClock) -> tuple[Home, Home]:
    """A home that has shipped and has something waiting, and its image."""
    one = make_home(tmp_path / "one", lake=tmp_path / "lake")
    live(one, clock, 0)
    Spool.of(one, clock).append([window(1)])
    shutil.copytree(one.path, tmp_path / "other")
    flags: dict[str, object] = {"lake": {"url": one.lake_url}, "spool": {"min_free_bytes": 0}}
    return one, open_home(tmp_path / "other", flags=flags)


def test_both_notice_and_say_so_in_the_lake(tmp_path: Path, clock: DayClock) -> None:
    homes = cloned(tmp_path, clock)
    assert homes[0].device == homes[1].device
    looks = [twins_of(home, clock) for home in homes]
    for number in range(3):
        for place, (home, look) in enumerate(zip(homes, looks, strict=True)):
            live(home, clock, 10 + 2 * number + place)
            look.look_if_due()
    for home in homes:
        found = twin.read(home.run)
        assert found is not None
        assert "lifelog init --new-device" in next(of_device({"twin": found.told()}))
        ship(home)
    told = rows(homes[0], "lifecycle").filter(pl.col("kind") == "cloned")
    assert told["epoch"].n_unique() == 2, "each says so once"
    assert told.height == 2
    assert len(ids(homes[0], "window")) == len(set(ids(homes[0], "window"))) == 8
    verified(homes[0])


def test_one_home_alone_sees_no_other(tmp_path: Path, clock: DayClock) -> None:
    home = make_home(tmp_path / "home")
    look = twins_of(home, clock)
    for number in range(2):
        live(home, clock, number)
        look.look_if_due()
    # Its own past: an epoch of before a rollback doesn't grow.
    state = Spool.of(home).outlet("pulse").state()
    Spool.of(home).renew(
        "pulse", expected_epoch=state.epoch, generation=state.generation, offer_acked=False
    )
    for number in range(2, 4):
        live(home, clock, number)
        look.look_if_due()
    assert rows(home, "pulse")["epoch"].n_unique() == 2
    assert twin.read(home.run) is None


def test_what_is_over_is_forgotten(tmp_path: Path, clock: DayClock) -> None:
    home = make_home(tmp_path / "home")
    live(home, clock, 0)
    look = twins_of(home, clock)
    look.look_if_due()
    now = clock.wall_us()
    twin.write(home.run, twin.Twin(device=home.device, since=now, seen_at=now))
    clock.s += 3600
    look.look_if_due()
    assert twin.read(home.run) is not None
    clock.s += 86_400
    look.look_if_due()
    assert twin.read(home.run) is None


def test_a_new_id_mends_it(tmp_path: Path, clock: DayClock) -> None:
    one, other = cloned(tmp_path, clock)
    live(one, clock, 20)
    Spool.of(other, clock).append([window(30)])
    lifelog = Path(sys.executable).with_name("lifelog")
    command = [lifelog, "--home", other.path, "init", "--new-device", "--lake", one.lake_url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"This was {one.device}" in done.stdout
    flags: dict[str, object] = {"spool": {"min_free_bytes": 0}}
    renewed = open_home(other.path, flags=flags)
    assert renewed.device != one.device
    live(one, clock, 40)
    live(renewed, clock, 50)
    by_device = dict(rows(one, "window").group_by("device").len().iter_rows())
    assert by_device == {one.device: 4, renewed.device: 2}
    assert len(set(ids(one, "window"))) == 6
    lifecycle = rows(one, "lifecycle")
    assert "lake-rolled-back" not in lifecycle["kind"].to_list()
    verified(one)
    # How the other one's life ended is none of its own.
    spool = Spool.of(renewed, clock)
    tell_crash(renewed, spool, Recorder(spool, clock), clock)
    ship(renewed)
    assert "crashed" not in rows(one, "lifecycle")["kind"].to_list()
