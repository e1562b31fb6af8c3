"""Checkpoints: made now and then, never needed, set aside when a power loss left them torn."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from lifelog_lake.errors import LakeDamaged
from lifelog_lake.lake import checkpoint, parse_url
from lifelog_lake.lake.entries import POINTER
from lifelog_lake.lake.table import StreamTable
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.helpers import ids, make_home, verified, window


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 3)


def commits(path: Path, number: int) -> tuple[StreamTable, list[str], Path]:
    """A home whose window table has that many commits."""
    home = make_home(path)
    spool, shipper = Spool.of(home), Shipper.of(home)
    names = []
    for n in range(number):
        event = window(n)
        spool.append([event])
        assert not shipper.run_once().errors
        names.append(event.id)
    assert ids(home, "window") == sorted(names)
    return StreamTable(parse_url(home.lake_url), "window"), names, home.path


@pytest.mark.usefixtures("often")
def test_a_checkpoint_comes_each_so_many_versions_and_keeps_the_log(tmp_path: Path) -> None:
    table, _, _ = commits(tmp_path / "home", 7)
    log = table.place / "_delta_log"
    made = sorted(int(path.name[:20]) for path in log.glob("*.checkpoint.parquet"))
    assert made == [2, 5]
    assert len(list(log.glob("*.json"))) == 8
    assert (log / POINTER).exists()


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("cut", ["empty", "half", "pointer"])
def test_a_torn_checkpoint_is_set_aside_and_the_rows_stay(cut: str, tmp_path: Path) -> None:
    table, names, home_path = commits(tmp_path / "home", 5)
    log = table.place / "_delta_log"
    newest = max(log.glob("*.checkpoint.parquet"))
    torn = log / POINTER if cut == "pointer" else newest
    content = torn.read_bytes()
    torn.write_bytes(content[: len(content) // 2] if cut == "half" else b"")

    home = make_home(home_path)
    Spool.of(home).append([window(9)])
    assert not Shipper.of(home).run_once().errors
    assert list((table.place / "_torn").iterdir())
    assert set(names) < set(ids(home, "window"))
    assert DeltaTable(table.place).version() == 6
    verified(home)


@pytest.mark.usefixtures("often")
def test_a_damaged_checkpoint_that_stands_for_entries_that_are_gone_is_refused(
    tmp_path: Path,
) -> None:
    table, _, _ = commits(tmp_path / "home", 4)
    log = table.place / "_delta_log"
    (log / f"{0:020d}.json").unlink()
    (newest,) = log.glob("*.checkpoint.parquet")
    newest.write_bytes(newest.read_bytes()[:50])
    with pytest.raises(LakeDamaged, match="checkpoint"):
        table.snapshot()
    assert newest.exists()
