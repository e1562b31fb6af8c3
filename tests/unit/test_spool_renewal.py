"""A new epoch that can't be written, and what is dropped while one is prepared."""

from __future__ import annotations

import contextlib
import errno
import itertools
from pathlib import Path

import psutil
import pytest

from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LifelogError
from lifelog_lake.home import Home
from lifelog_lake.ship.guard import Guard
from lifelog_lake.ship.notes import Notes
from lifelog_lake.spool import Spool
from tests.helpers import (
    Failing,
    frame,
    hooked,
    lifecycle,
    make_home,
    pending,
    ship,
    verified,
    window,
)


def renew(home: Home, stream: str = "screen") -> None:
    spool = Spool.of(home)
    epoch = spool.outlet(stream).state().epoch
    spool.renew(stream, expected_epoch=epoch, generation="lake/2", offer_acked=True)


def open_files() -> int:
    return psutil.Process().num_fds() if psutil.POSIX else 0


def made(path: Path) -> Home:
    home = make_home(path)
    Spool.of(home).append([frame(n) for n in range(3)])
    ship(home)
    Spool.of(home).append([frame(n) for n in range(3, 6)])
    return home


def test_a_renewal_that_fails_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    for first in itertools.count():
        home = made(tmp_path / f"at {first}")
        before = {path.name for path in (home.spool / "screen").iterdir()}
        spool = Spool.of(home)
        state = spool.outlet("screen").state()
        handles = open_files()
        with (
            hooked(Failing(errno.ENOSPC, first=first, times=10**6)) as failing,
            contextlib.suppress(OSError, LifelogError),
        ):
            spool.renew("screen", expected_epoch=state.epoch, generation="lake/2", offer_acked=True)
        if not failing.failed:
            break
        now = spool.outlet("screen").state()
        if now.epoch == state.epoch:
            assert {path.name for path in (home.spool / "screen").iterdir()} == before
        assert open_files() <= handles
        renew(home)
        ship(home)
        assert pending(Spool.of(home), "screen") == []
        verified(home)
    assert first > 10


def test_what_is_dropped_while_an_epoch_is_prepared_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home", spool={"segment_bytes": 4096, "on_full": "drop-oldest"})
    spool = Spool.of(home)
    for n in range(40):
        spool.append([window(n)])
    state = spool.outlet("window").state()
    notes = Notes(spool, SystemClock())
    dropped = []
    renumbered = notes.renumbered

    def drop_and_note(stream: str, found: object) -> None:
        if not dropped:
            dropped.append(Spool.of(home)._drop_first_segment("window"))
        renumbered(stream, found)  # type: ignore[arg-type]

    monkeypatch.setattr(notes, "renumbered", drop_and_note)
    Guard(spool, notes)._offer_again("window", state, "lake/2", "A test.")
    assert dropped[0]
    ship(home)
    spans = lifecycle(home, "dropped")
    assert spans
    assert all(stream == "window" and first == 0 for stream, first, _ in spans)
    verified(home)
