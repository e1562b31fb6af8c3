"""A table's log as power losses, bad disks and other people's copies leave it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lifelog_lake.errors import LakeDamaged
from lifelog_lake.home import Home
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.helpers import Recorder, hooked, ids, make_home, ship, verified, window


@pytest.fixture
def shipped(tmp_path: Path) -> Home:
    home = make_home(tmp_path / "home", lake=tmp_path / "lake")
    spool = Spool.of(home)
    for n in range(3):
        spool.append([window(n)])
        ship(home)
    return home


def log(home: Home) -> list[Path]:
    return sorted((Path(home.lake_url) / "tables" / "window" / "_delta_log").glob("*.json"))


@pytest.mark.parametrize("how", ["empty", "cut", "zeros"])
def test_a_torn_last_entry_is_set_aside_and_its_rows_come_again(shipped: Home, how: str) -> None:
    entry = log(shipped)[-1]
    content = entry.read_bytes()
    torn = {"empty": b"", "cut": content[:-9], "zeros": content[:50] + bytes(len(content) - 50)}
    entry.write_bytes(torn[how])
    ship(shipped)
    assert len(ids(shipped, "window")) == 3
    verified(shipped)


def test_a_damaged_last_entry_is_not_taken_for_a_torn_one(shipped: Home, tmp_path: Path) -> None:
    """Another device's rows may be in it: without the entry they would be gone in silence."""
    entry = log(shipped)[-1]
    content = entry.read_bytes()
    entry.write_bytes(content.replace(b'"add":', b'"add"\x13'))
    other = make_home(tmp_path / "other", lake=tmp_path / "lake")
    Spool.of(other).append([window(9)])
    done = Shipper.of(other).run_once()
    assert isinstance(done.errors["window"], LakeDamaged)
    assert entry.exists()
    entry.write_bytes(content)
    ship(other)
    assert len(ids(other, "window")) == 4
    verified(other)


def test_entries_are_synced_after_a_copy_of_the_lake_was_put_back(
    shipped: Home, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(lake, tmp_path / "copy")
    spool = Spool.of(shipped)
    shipper = Shipper.of(shipped)
    for n in range(3, 6):
        spool.append([window(n)])
        shipper.run_once()
    shutil.rmtree(lake)
    (tmp_path / "copy").rename(lake)
    spool.append([window(6)])
    with hooked(Recorder()) as passed:
        assert not shipper.run_once().errors
    synced = {op.path.name for op in passed.ops if op.name == "commit.fsync"}
    assert log(shipped)[-1].name in synced
    assert len(ids(shipped, "window")) == 7
    verified(shipped)
