"""EIO and ENOSPC at every fault point: no false acknowledgement, nothing lost, nothing doubled.

One run records the operations that a workload passes; then the workload is run again for each of
them with that operation failing, once and then persistently until the disk heals.
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

import pytest

from lifelog_lake import fsio
from lifelog_lake.errors import LifelogError, SpoolFull, SpoolWriteFailed, Transient
from lifelog_lake.events import Event
from lifelog_lake.home import Home
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.helpers import (
    Failing,
    FixedClock,
    Recorder,
    abandon,
    frame,
    hooked,
    ids,
    make_home,
    pending,
    pulse,
    ship,
    verified,
    window,
)

SMALL = {"segment_bytes": 4096, "keep_acked_days": 0.0}
CODES = [errno.EIO, errno.ENOSPC]


class Workload:
    """A device's life in small: rows, blobs, new segments, an ack, a renewed epoch."""

    def __init__(self, path: Path) -> None:
        self.home: Home = make_home(path / "home", spool=dict(SMALL))
        self.clock = FixedClock()
        self.spool = Spool.of(self.home, self.clock)
        self.shipper = Shipper(
            self.home,
            self.spool,
            Shipper.of(self.home)._target,
            self.clock,
            batch_rows=7,
        )
        self.offered: dict[str, list[str]] = {"window": [], "screen": [], "pulse": []}

    def append(self, events: list[Event], cursor: int | None = None) -> None:
        """Append, and offer the same events again until they are acknowledged."""
        for _ in range(60):
            try:
                self.spool.append(events, cursor)
            except (SpoolFull, SpoolWriteFailed):
                continue
            self.offered[events[0].stream] += [event.id for event in events]
            return
        raise AssertionError("the spool never accepted the events, though the disk has healed")

    def ship(self) -> None:
        """One run; what fails must fail with an error of ours."""
        with contextlib.suppress(LifelogError):
            done = self.shipper.run_once()
            for error in done.errors.values():
                assert isinstance(error, LifelogError)

    def run(self) -> None:
        """Everything once."""
        for n in range(3):
            self.append([window(n, data={"title": "x" * 900}), window(100 + n)], n)
        self.append([frame(1), frame(2, b"same"), frame(3, b"same")])
        self.append([pulse(1)])
        self.ship()
        self.clock.boot = "boot-2"
        self.append([window(n, data={"title": "y" * 2000}) for n in range(200, 203)], 200)
        self.append([frame(4)])
        self.append([window(300)], 300)
        for stream in ("screen", "window"):
            with contextlib.suppress(LifelogError, OSError):
                state = self.spool.outlet(stream).state()
                self.spool.renew(
                    stream,
                    expected_epoch=state.epoch,
                    generation=state.generation,
                    offer_acked=False,
                )
        self.append([window(301)], 301)
        self.ship()

    def settle(self) -> None:
        """The disk is well again, the process started anew: all drains, and it is all there."""
        abandon(self.spool)
        again = Spool.of(self.home, self.clock)
        assert again.cursor("window") == 301
        ship(self.home)
        ship(self.home)
        for stream, offered in self.offered.items():
            assert not pending(again, stream)
            assert ids(self.home, stream) == sorted(offered), stream
        verified(self.home)
        abandon(again)


def count_points(path: Path) -> list[fsio.Op]:
    """The operations that the workload passes."""
    work = Workload(path)
    with hooked(Recorder()) as recorder:
        work.run()
    work.settle()
    return recorder.ops


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [op.name for op in count_points(tmp_path_factory.mktemp("points"))]


def test_the_workload_passes_every_stage(points: list[str]) -> None:
    stages = {name.rsplit(".", 1)[0] for name in points}
    assert stages >= {
        "append", "append.new", "append.extend", "blob.put", "seal", "read",
        "blob.copy", "data", "commit", "readback", "ack", "unlink", "renew",
    }  # fmt: skip


def attempt(path: Path, failing: Failing) -> None:
    """The workload with a fault, then the proof; an error names the point."""
    work = Workload(path)
    try:
        with hooked(failing):
            work.run()
        work.settle()
    except Exception as error:
        where = failing.failed[0].name if failing.failed else "nowhere"
        raise AssertionError(f"{where}, operation {failing.first}") from error
    assert failing.failed


def test_a_failure_at_each_point_loses_and_doubles_nothing(
    tmp_path: Path, points: list[str]
) -> None:
    for name in sorted(set(points)):
        first = points.index(name)
        attempt(tmp_path / f"{first}", Failing(errno.EIO, first=first))


@pytest.mark.slow
def test_a_disk_full_for_a_while_at_each_point_loses_and_doubles_nothing(
    tmp_path: Path, points: list[str]
) -> None:
    for name in sorted(set(points)):
        last = len(points) - 1 - points[::-1].index(name)
        attempt(tmp_path / f"{last}", Failing(errno.ENOSPC, first=last, times=5))


@pytest.mark.soak
@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.__getitem__)
def test_every_operation(tmp_path: Path, points: list[str], code: int, times: int) -> None:
    for first in range(len(points)):
        attempt(tmp_path / f"{first}", Failing(code, first=first, times=times))


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.__getitem__)
def test_the_shipper_names_the_stream_that_failed_and_ships_the_others(
    tmp_path: Path, code: int
) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    kept = [spool.append([window(1)]), spool.append([pulse(1)])]
    with hooked(Failing(code, times=99, matches=lambda op: "tables/window" in str(op.path))):
        done = Shipper.of(home).run_once()
    assert set(done.errors) == {"window"}
    assert isinstance(done.errors["window"], Transient)
    assert done.errors["window"].hint
    assert len(ids(home, "pulse")) == len(kept[1])
    assert len(pending(spool, "window")) == len(kept[0])
    ship(home)
    assert len(ids(home, "window")) == len(kept[0])


@pytest.mark.parametrize("point", ["append.write", "append.fsync", "blob.put.write"])
def test_a_failed_append_is_said_and_leaves_no_row(tmp_path: Path, point: str) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([frame(1)])
    failing = Failing(errno.EIO, matches=lambda op: op.name == point)
    with hooked(failing), pytest.raises(SpoolWriteFailed):
        spool.append([frame(2), frame(3)])
    assert failing.failed
    assert len(pending(Spool.of(home), "screen")) == 1
    assert len(list((home.spool / "screen").glob("*/blobs/*"))) == 1
    assert spool.append([frame(2), frame(3)]) == range(1, 3)
    ship(home)
    assert len(ids(home, "screen")) == 3
    verified(home)
