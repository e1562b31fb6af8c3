"""What another writer may do between two steps of a shipper; nothing is doubled, nothing lost."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

from deltalake import DeltaTable

from lifelog_lake import fsio
from lifelog_lake.events import pulled_id
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url, read_identity
from lifelog_lake.lake.identity import write_identity
from lifelog_lake.spool import Outlet, Spool
from tests.helpers import (
    hooked,
    ids,
    lifecycle,
    make_home,
    rows,
    ship,
    verified,
    window,
)


class Between:
    """Does something once, just before the first operation of this name on this table."""

    def __init__(self, name: str, act: Callable[[], object], table: str = "window") -> None:
        self.name = name
        self.act = act
        self.table = table
        self.done = False

    def before(self, op: fsio.Op) -> None:
        if op.name == self.name and self.table in op.path.parts and not self.done:
            self.done = True
            self.act()

    def after(self, op: fsio.Op) -> None:
        pass


def raise_generation(home: Home) -> None:
    target = parse_url(home.lake_url)
    identity = read_identity(target)
    assert identity is not None
    write_identity(target, dataclasses.replace(identity, generation=identity.generation + 1))


def clone(home: Home, path: Path) -> Home:
    shutil.copytree(home.path, path)
    return make_home(path, lake=home.lake_url, init=False)


def test_clones_that_offer_the_same_rows_again_at_once(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", lake=tmp_path / "lake")
    events = [window(n) for n in range(3)]
    Spool.of(home).append(events)
    ship(home)
    other = clone(home, tmp_path / "other")
    DeltaTable(tmp_path / "lake" / "tables" / "window").restore(0)
    raise_generation(home)
    with hooked(Between("commit.delta", lambda: ship(other))) as between:
        ship(home)
    assert between.done
    assert ids(home, "window") == sorted(event.id for event in events)
    verified(home)


def test_two_devices_that_read_one_source_at_once(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, lake=tmp_path / "lake") for name in ("one", "two")]
    events = [window(n, id=pulled_id("server", "bucket", str(n))) for n in range(3)]
    for home in homes:
        Spool.of(home).append(events)
    with hooked(Between("commit.delta", lambda: ship(homes[1]))) as between:
        ship(homes[0])
    assert between.done
    assert ids(homes[0], "window") == sorted(event.id for event in events)
    verified(homes[0])


def test_a_stream_that_is_always_written_holds_up_no_other(tmp_path: Path) -> None:
    """A row for each commit: what comes during a run is the next one's."""
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([window(0)])
    most = 20

    class Busy:
        count = 1

        def before(self, op: fsio.Op) -> None:
            if op.name == "commit.delta" and "window" in op.path.parts and self.count < most:
                spool.append([window(self.count)])
                self.count += 1

        def after(self, op: fsio.Op) -> None:
            pass

    busy = Busy()
    with hooked(busy):
        ship(home)
        assert busy.count == 2
        ship(home)
    ship(home)
    assert len(ids(home, "window")) == busy.count == 3
    verified(home)


def test_an_epoch_renewed_by_another_shipper_of_the_home(tmp_path: Path) -> None:
    """The first shipper has read a batch of the old epoch; the second ships it in a new one."""
    for step in ("readback.open", "commit.delta"):
        home = make_home(tmp_path / step, spool={"segment_bytes": 4096})
        spool = Spool.of(home)
        spool.append([window(n) for n in range(3)])
        ship(home)
        spool.append([window(n) for n in range(3, 6)])

        def renew_and_ship(home: Home = home) -> None:
            epoch = Spool.of(home).outlet("window").state().epoch
            Spool.of(home).renew("window", expected_epoch=epoch, generation="", offer_acked=False)
            ship(home)

        with hooked(Between(step, renew_and_ship)):
            ship(home)
        assert len(ids(home, "window")) == len(set(ids(home, "window"))) == 6
        verified(home)


def test_a_renewal_between_reading_and_looking_at_the_lake(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    Spool.of(home).append([window(n) for n in range(3)])
    read = Outlet.read
    done = []

    def read_and_wait(self: Outlet, after: int, most: int) -> object:
        batch = read(self, after, most)
        if batch is not None and not done:
            done.append(batch)
            Spool.of(home).renew(
                "window", expected_epoch=batch.epoch, generation="", offer_acked=False
            )
            ship(home)
        return batch

    Outlet.read = read_and_wait  # type: ignore[method-assign, assignment]
    try:
        ship(home)
    finally:
        Outlet.read = read  # type: ignore[method-assign]
    assert rows(home, "window").height == 3
    verified(home)


def test_what_another_shipper_acked_meanwhile_is_not_lost(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", spool={"segment_bytes": 4096})
    spool = Spool.of(home)
    for n in range(60):
        spool.append([window(n)])
    stale = spool.outlet("window").state()
    ship(home)
    spool.append([window(60)])
    batch = spool.outlet("window").read(stale.acked, 1000)
    assert batch is not None
    assert (batch.first, batch.gaps) == (60, ())
    ship(home)
    assert rows(home, "lifecycle").height == 0 or lifecycle(home, "lost") == []
