"""What a crash or a person removed from a stream's directory, and how the stream goes on."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import pytest

from lifelog_lake import fsio
from lifelog_lake.errors import SpoolError
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool, check
from lifelog_lake.spool.segment import frame
from tests.helpers import ids, make_home, pending, ship, verified, window


def test_without_its_state_a_stream_goes_on_and_the_lake_tells_what_it_has(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    events = [window(n) for n in range(9)]
    spool.append(events[:4])
    ship(home)
    spool.append(events[4:7])
    (home.spool / "window" / "state.json").unlink()

    again = Spool.of(home)
    assert "window" in again.streams()
    again.append(events[7:])
    ship(home)
    assert ids(home, "window") == sorted(event.id for event in events)
    verified(home)


def test_a_damaged_state_is_refused_and_its_hint_helps(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    events = [window(n) for n in range(3)]
    Spool.of(home).append(events)
    state = home.spool / "window" / "state.json"
    state.write_bytes(state.read_bytes().replace(b'"acked":-1', b'"acked":2'))
    with pytest.raises(SpoolError, match="Remove it"):
        Spool.of(home).append([window(3)])
    state.unlink()
    ship(home)
    assert ids(home, "window") == sorted(event.id for event in events)


def test_an_epoch_that_a_crash_left_beside_the_current_one_is_kept_aside(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([window(n) for n in range(3)])
    epoch = spool.outlet("window").state().epoch
    directory = home.spool / "window"
    orphan = "ffffffff-ffff-7fff-bfff-ffffffffffff"
    shutil.copytree(directory / epoch, directory / orphan)

    again = Spool.of(home)
    assert len(pending(again, "window")) == 3
    assert not (directory / orphan).exists()
    assert (directory / "quarantine" / f"epoch-{orphan}").is_dir()
    assert any("quarantine" in finding for finding in check(home.path).findings)


def test_a_line_of_a_type_from_a_later_version_is_passed_over(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    events = [window(n) for n in range(4)]
    spool.append(events[:2])
    (opened,) = (home.spool / "window").glob("*/*.open")
    content = opened.read_bytes()
    size = len(content.rstrip(b"\0"))
    later = frame(b"X", 7, b"not even JSON")
    opened.write_bytes(content[:size] + later + content[size + len(later) :])

    again = Spool.of(home)
    again.append(events[2:])
    assert [record.seq for record in pending(again, "window")] == [0, 1, 2, 3]
    assert check(home.path).findings == ()
    ship(home)
    assert ids(home, "window") == sorted(event.id for event in events)


class FailOnce:
    """EIO at the first sync of a log entry; counts the syncs of each file."""

    def __init__(self) -> None:
        self.failed: list[int] = []
        self.synced: list[int] = []
        self.held: BinaryIO | None = None

    def before(self, op: fsio.Op) -> None:
        if op.kind == "fsync" and op.path.parent.name == "_delta_log":
            inode = op.path.stat().st_ino
            if not self.failed:
                self.failed.append(inode)
                self.held = op.path.open("rb")  # so that no other file gets its number
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self.synced.append(inode)

    def after(self, op: fsio.Op) -> None:
        del op


def test_a_log_entry_whose_sync_failed_is_written_anew_and_not_synced_again(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    events = [window(n) for n in range(3)]
    Spool.of(home).append(events)
    shipper = Shipper.of(home)
    hook = FailOnce()
    fsio.install_hook(hook)
    try:
        assert "window" in shipper.run_once().errors
        assert not shipper.run_once().errors
    finally:
        fsio.install_hook(None)
    assert hook.held
    with hook.held:
        assert hook.failed[0] not in hook.synced
    assert ids(home, "window") == sorted(event.id for event in events)
    verified(home)
