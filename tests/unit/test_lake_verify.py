"""What verify sees of a damaged log, and what it must not take for damage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction

from lifelog_lake.events import new_event
from lifelog_lake.home import Home
from lifelog_lake.lake.verify import verify
from lifelog_lake.spool import Spool
from tests.helpers import T0, frame, make_home, rows, ship, verified, window


@pytest.fixture
def shipped(tmp_path: Path) -> Home:
    """Three commits to one table."""
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    for n in range(3):
        spool.append([window(n)])
        ship(home)
    return home


def table(home: Home, stream: str = "window") -> Path:
    return Path(home.lake_url) / "tables" / stream


def kinds(home: Home) -> set[str]:
    return {finding.kind for finding in verify(home.lake_url, read_data=True).findings}


def change(home: Home, version: int, old: bytes, new: bytes) -> None:
    entry = table(home) / "_delta_log" / f"{version:020d}.json"
    content = entry.read_bytes()
    assert old in content
    entry.write_bytes(content.replace(old, new))


@pytest.mark.parametrize(
    ("version", "old", "new"),
    [
        pytest.param(2, rb"\"seq\":1", rb"\"seq\":3", id="seqs that hide the row"),
        pytest.param(2, rb"2026-01-02T03:04:06", rb"2026-01-02T03:04:02", id="an earlier time"),
        pytest.param(2, rb"2026-01-02T03:04:06", rb"2026x01-02T03:04:06", id="no time"),
        pytest.param(2, rb"\"numRecords\":1", rb"\"numRecords\":9", id="another count"),
        pytest.param(2, b'"date":"2026-01-02"', b'"date":"2026-01-03"', id="another day"),
        pytest.param(0, rb"\"title\"", rb"\"tItle\"", id="another column"),
    ],
)
def test_a_log_that_contradicts_its_files_is_found(
    shipped: Home, version: int, old: bytes, new: bytes
) -> None:
    change(shipped, version, old, new)
    assert "log-differs" in kinds(shipped)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'"appId"', b'"appID"', id="a transaction without its id"),
        pytest.param(b'{"txn"', b'["txn"', id="no object"),
        pytest.param(b'"txn"', b'\xff"txn', id="no text"),
        pytest.param(b"/window/", b"/window_", id="an id of two parts"),
        pytest.param(b'"version":2}', b'"version":9}', id="a watermark too high"),
        pytest.param(b'"version":2}', b'"version":0}', id="a watermark too low"),
    ],
)
def test_a_damaged_transaction_is_a_finding_and_no_crash(
    shipped: Home, old: bytes, new: bytes
) -> None:
    change(shipped, 3, old, new)
    assert kinds(shipped)


def test_a_damaged_checkpoint_is_a_finding_and_no_crash(shipped: Home) -> None:
    DeltaTable(table(shipped)).create_checkpoint()
    checkpoint = next((table(shipped) / "_delta_log").glob("*.checkpoint.parquet"))
    whole = checkpoint.read_bytes()
    for position in range(len(whole) - 400, len(whole), 20):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        checkpoint.write_bytes(damaged)
        kinds(shipped)
    checkpoint.write_bytes(whole[: len(whole) // 2])
    assert kinds(shipped) & {"table", "log-damaged"}


def compacted(handle: DeltaTable) -> None:
    handle.optimize.compact()


def ordered(handle: DeltaTable) -> None:
    handle.optimize.z_order(["at"])


def checkpointed(handle: DeltaTable) -> None:
    handle.create_checkpoint()
    handle.cleanup_metadata()


@pytest.mark.parametrize("care", [compacted, ordered, checkpointed])
def test_another_programs_care_is_no_damage(
    shipped: Home, care: Callable[[DeltaTable], None]
) -> None:
    care(DeltaTable(table(shipped)))
    DeltaTable(table(shipped)).vacuum(0, dry_run=False, enforce_retention_duration=False)
    Spool.of(shipped).append([window(3)])
    ship(shipped)
    assert rows(shipped, "window")["seq"].to_list() == [0, 1, 2, 3]
    verified(shipped)


@pytest.mark.parametrize("name", ["backfill", "a/b", "one/window/two/three", "/window/", ""])
def test_another_programs_transactions_are_no_damage(shipped: Home, name: str) -> None:
    handle = DeltaTable(table(shipped))
    handle.create_write_transaction(
        [],
        mode="append",
        schema=handle.schema(),
        partition_by=["date"],
        commit_properties=CommitProperties(app_transactions=[Transaction(name, 7)]),
    )
    verified(shipped)


def test_a_reference_without_a_size_is_no_damage(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([frame(0, b"content")])
    ship(home)
    sha256 = hashlib.sha256(b"content").hexdigest()
    spool.append([new_event("screen", at=T0, data={}, blob=sha256)])
    ship(home)
    verified(home)
    assert rows(home, "screen")["blob"].to_list() == [sha256] * 2
