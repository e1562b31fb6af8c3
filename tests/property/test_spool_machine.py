"""Hypothesis plays a device's life against a list: append, seal, ship, crash, roll back.

The model knows which ids were acknowledged. What a rolled-back home takes with it are the rows that
were appended after the copy and not shipped; everything else must be in the lake exactly once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LifelogError, SpoolFull, SpoolWriteFailed
from lifelog_lake.home import open_home
from lifelog_lake.lake import parse_url, read_identity
from lifelog_lake.lake.identity import LakeIdentity, write_identity
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.helpers import (
    Failing,
    FixedClock,
    abandon,
    frame,
    hooked,
    ids,
    make_home,
    verified,
    window,
)

STREAMS = ("window", "screen")
SPOOL: dict[str, object] = {"segment_bytes": 4096, "min_free_bytes": 0}


class Device(RuleBasedStateMachine):
    """One home, one lake."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="spool-machine-"))
        self.lake = self.root / "lake"
        self.n = 0
        self.boots = 0
        self.cursor: int | None = None
        self.acknowledged: dict[str, set[str]] = {stream: set() for stream in STREAMS}
        self.copies: list[tuple[Path, dict[str, set[str]], int | None]] = []
        self.spool: Spool | None = None

    @initialize()
    def begin(self) -> None:
        make_home(self.root / "home", lake=self.lake)
        self.open()

    def open(self) -> None:
        """As a new process opens it."""
        self.home = open_home(
            self.root / "home", flags={"spool": SPOOL, "lake": {"url": str(self.lake)}}
        )
        self.clock = FixedClock(boot=f"boot-{self.boots}", wall_us=SystemClock().wall_us())
        self.spool = Spool.of(self.home, self.clock)
        self.shipper = Shipper(
            self.home, self.spool, parse_url(self.home.lake_url), self.clock, batch_rows=5
        )

    def crash(self) -> None:
        """Drop what is in memory, with no clean-up."""
        if self.spool is not None:
            abandon(self.spool)
        self.open()

    def shipped(self, stream: str) -> set[str]:
        """What the lake has."""
        return set(ids(self.home, stream))

    def append(self, events: list[Any], cursor: int | None = None) -> bool:
        assert self.spool is not None
        try:
            self.spool.append(events, cursor)
        except (SpoolFull, SpoolWriteFailed):
            return False
        self.acknowledged[events[0].stream].update(event.id for event in events)
        if cursor is not None:
            self.cursor = cursor
        return True

    # -- rules -----------------------------------------------------------------------------

    @rule(count=st.integers(1, 8), size=st.integers(0, 1500), with_cursor=st.booleans())
    def append_windows(self, count: int, size: int, with_cursor: bool) -> None:
        self.n += count
        events = [window(self.n - i, data={"title": "t" * size}) for i in reversed(range(count))]
        assert self.append(events, self.n if with_cursor else None)

    @rule(contents=st.lists(st.binary(max_size=3), min_size=1, max_size=3))
    def append_frames(self, contents: list[bytes]) -> None:
        self.n += len(contents)
        assert self.append([frame(self.n, content) for content in contents])

    @rule(stream=st.sampled_from(STREAMS), code=st.sampled_from([errno.EIO, errno.ENOSPC]),
          first=st.integers(0, 12), restart=st.booleans())  # fmt: skip
    def append_on_a_failing_disk(self, stream: str, code: int, first: int, restart: bool) -> None:
        self.n += 2
        make = window if stream == "window" else frame
        events = [make(self.n - 1), make(self.n)]
        with hooked(Failing(code, first=first)):
            accepted = self.append(events)
        if restart:
            self.crash()
        if not accepted:
            assert self.append(events)

    @rule()
    def ship(self) -> None:
        done = self.shipper.run_once()
        assert not done.errors, done.errors

    @rule(code=st.sampled_from([errno.EIO, errno.ENOSPC]), first=st.integers(0, 120),
          times=st.integers(1, 4))  # fmt: skip
    def ship_and_die(self, code: int, first: int, times: int) -> None:
        failing = Failing(code, first=first, times=times)
        with hooked(failing), contextlib.suppress(LifelogError):
            self.shipper.run_once()
        self.crash()

    @rule(reboot=st.booleans())
    def restart(self, reboot: bool) -> None:
        self.boots += reboot
        self.crash()

    @precondition(lambda self: len(self.copies) < 2)
    @rule()
    def copy_home(self) -> None:
        copy = self.root / f"copy-{len(self.copies)}"
        shutil.copytree(self.root / "home", copy)
        known = {stream: set(found) for stream, found in self.acknowledged.items()}
        self.copies.append((copy, known, self.cursor))

    @precondition(lambda self: self.copies)
    @rule(which=st.integers(0, 1))
    def roll_home_back(self, which: int) -> None:
        copy, known, cursor = self.copies[which % len(self.copies)]
        for stream in STREAMS:
            self.acknowledged[stream] = known[stream] | self.shipped(stream)
        self.cursor = cursor
        if self.spool is not None:
            abandon(self.spool)
        shutil.rmtree(self.root / "home")
        shutil.copytree(copy, self.root / "home")
        self.spool = None
        self.open()

    @precondition(lambda self: not self.copies)
    @rule(stream=st.sampled_from(STREAMS), version=st.integers(0, 20))
    def roll_table_back(self, stream: str, version: int) -> None:
        """What this home keeps is offered again, so nothing may stay missing."""
        path = self.lake / "tables" / stream
        if not path.exists():
            return
        table = DeltaTable(path)
        if table.version() == 0:
            return
        table.restore(min(version, table.version() - 1))
        self.crash()

    @precondition(lambda self: not self.copies)
    @rule()
    def raise_generation(self) -> None:
        target = parse_url(str(self.lake))
        found = read_identity(target)
        assert found is not None
        write_identity(
            target,
            LakeIdentity(
                lake_id=found.lake_id,
                generation=found.generation + 1,
                created_at=found.created_at,
            ),
        )

    # -- proof -----------------------------------------------------------------------------

    @invariant()
    def cursor_is_kept(self) -> None:
        if self.spool is not None:
            assert self.spool.cursor("window") == self.cursor

    def teardown(self) -> None:
        try:
            if self.spool is not None:
                self.crash()
                for _ in range(2):
                    self.ship()
                for stream in STREAMS:
                    assert ids(self.home, stream) == sorted(self.acknowledged[stream])
                    assert self.spool.outlet(stream).stats().pending_rows == 0
                verified(self.home)
        finally:
            if self.spool is not None:
                abandon(self.spool)
            shutil.rmtree(self.root)


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
QUICK = settings(
    max_examples=30,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=QUIET,
    derandomize=os.environ.get("CI") == "true",
)
SOAK = settings(QUICK, max_examples=2000, stateful_step_count=40, derandomize=False)


@pytest.mark.slow
def test_a_device_keeps_what_it_acknowledged() -> None:
    run_state_machine_as_test(Device, settings=QUICK)


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
def test_a_device_keeps_what_it_acknowledged_for_long() -> None:
    run_state_machine_as_test(Device, settings=SOAK)
