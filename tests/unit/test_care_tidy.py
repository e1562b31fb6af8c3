"""What goes, what stays for how long, and why a slow writer loses nothing by it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lifelog_lake.care import compact, tidy
from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.errors import CommitConflict
from lifelog_lake.home import Home
from lifelog_lake.lake import checkpoint, datafile, parse_url, vacuum
from lifelog_lake.lake.checkpoint import LogFiles
from lifelog_lake.lake.store import Store, entry_key, table_key
from lifelog_lake.recall.lake import open_lake
from tests.fixtures.piles import Writer, content, opened, pile, windows
from tests.helpers import FixedClock, make_home, verified

DAY_S = 86_400
CLOCK = SystemClock()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> Store:
    return parse_url(home.lake_url, home)


def later(days: float) -> FixedClock:
    return FixedClock(int((time.time() + days * DAY_S) * US_PER_S))


def age(store: Store, days: float, pattern: str = "**/*") -> None:
    """Let files of the window table be so old; what the log says of removals, too."""
    then = time.time() - days * DAY_S
    for path in store.place("tables/window").glob(pattern):
        if path.is_file():
            os.utime(path, (then, then))


def data(store: Store) -> list[Path]:
    return sorted(store.place("tables/window").glob("date=*/*.parquet"))


def log(store: Store, pattern: str = "*.json") -> list[int]:
    found = store.place("tables/window/_delta_log").glob(pattern)
    return sorted(int(path.name[:20]) for path in found)


def test_replaced_files_stay_a_week_and_go_then(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pile(store, 30)
    age(store, 100)  # written long ago, replaced now: the replacing counts
    compact.run(home, store, CLOCK)
    before = content(store)
    for days in (0.0, 6.4):
        stored(monkeypatch, days)
        assert tidy.run(home, store, later(days)).counts["data files removed"] == 0
        assert len(data(store)) == 31
    stored(monkeypatch, 7.1)
    found = tidy.run(home, store, later(7.1))
    assert found.counts["data files removed"] == 30
    assert len(data(store)) == 1
    assert content(store).equals(before)
    verified(home)


def stored(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """The store's own clock goes on as this machine's does."""
    monkeypatch.setattr(
        "lifelog_lake.lake.lease.Lease.stored_us",
        lambda _: int((time.time() + days * DAY_S) * US_PER_S),
    )


def test_a_clock_that_is_ahead_makes_nothing_old(home: Home, store: Store) -> None:
    pile(store, 30)
    compact.run(home, store, CLOCK)
    assert tidy.run(home, store, later(4000)).counts["data files removed"] == 0
    assert len(data(store)) == 31


def test_removals_that_a_checkpoint_holds_are_known(home: Home, store: Store) -> None:
    writer = pile(store, 30)
    compact.run(home, store, CLOCK)
    age(store, 100)
    writer.commit(*windows(3, first=30))
    checkpoint.make(store, "window")
    for entry in store.place("tables/window/_delta_log").glob("*.json"):
        if int(entry.stem) < 34:
            entry.unlink()
    keys = list(store.keys(table_key("window")))
    found = vacuum.unused(
        store, "window", opened(store), keys, LogFiles("window", keys), until_us=CLOCK.wall_us()
    )
    assert len(found.old) == 30
    week_ago = CLOCK.wall_us() - 7 * DAY_S * US_PER_S
    found = vacuum.unused(
        store, "window", opened(store), keys, LogFiles("window", keys), until_us=week_ago
    )
    assert found.old == ()
    assert found.young == 30


def test_what_no_log_names_goes_when_it_is_old(home: Home, store: Store) -> None:
    writer = pile(store, 3)
    rows = datafile.split_by_day(writer.rows(windows(1)[0]))[0][1]
    orphan = datafile.write(store, "window", "2026-01-02", rows)
    path = store.place(f"tables/window/{orphan.path}")
    assert tidy.run(home, store, CLOCK).counts["data files removed"] == 0
    assert path.exists()
    age(store, 8, f"date=*/{path.name}")
    writer.commit(windows(1)[0])
    others = [
        store.place("tables/window") / name
        for name in ("date=2026-01-02/notes.txt", "_torn/0.json-1", "_change_data/x.parquet")
    ]
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(b"mine")
        os.utime(other, (0, 0))
    assert tidy.run(home, store, CLOCK).counts["data files removed"] == 1
    assert not path.exists()
    assert all(other.exists() for other in others)


def test_a_writer_that_slept_for_weeks_starts_over(home: Home, store: Store) -> None:
    """Its file is gone, so its commit must not go through; nothing else came to the table."""
    writer = pile(store, 3)
    snapshot = writer.table.snapshot()
    rows = writer.rows(windows(1, first=3)[0])
    files = [
        datafile.write(store, "window", date, part) for date, part in datafile.split_by_day(rows)
    ]
    age(store, 30, files[0].path)
    assert tidy.run(home, store, CLOCK).counts["data files removed"] == 1
    with pytest.raises(CommitConflict):
        snapshot.add(files, {writer.app_id: 3})
    writer.table.snapshot().commit(rows, writer.app_id, 3)
    assert content(store)["seq"].to_list() == [0, 1, 2, 3]
    verified(home)


def test_what_is_committed_before_the_fence_stays(home: Home, store: Store) -> None:
    """The vacuum has looked; then the writer that slept is quicker than its fence."""
    writer = pile(store, 3)
    rows = writer.rows(windows(1, first=3)[0])
    (date, part), *_ = datafile.split_by_day(rows)
    slept = datafile.write(store, "window", date, part)
    age(store, 30, slept.path)
    keys, handle = list(store.keys(table_key("window"))), opened(store)
    found = vacuum.unused(
        store, "window", handle, keys, LogFiles("window", keys), until_us=CLOCK.wall_us()
    )
    assert found.old == (slept.path,)
    writer.table.snapshot().add([slept], {writer.app_id: 3})
    assert vacuum.remove(store, "window", handle, found.old, lambda: None) == 0
    assert content(store)["seq"].to_list() == [0, 1, 2, 3]
    verified(home)


def test_a_commit_behind_a_checkpoint_is_not_taken_for_one(store: Store) -> None:
    """A shipper stood still between its look and its put while the log was cleaned: its entry took
    a free place that nobody reads. What it wrote must come again."""
    writer = pile(store, 3)
    base = writer.table.snapshot().version
    rows = writer.rows(windows(1, first=3)[0])
    (date, part), *_ = datafile.split_by_day(rows)
    file = datafile.write(store, "window", date, part)
    # As the engine would have written it: its entry, copied from a table that went no further.
    twin = Writer(store, device="phone")
    twin.commit(*windows(4))
    checkpoint.make(store, "window")
    for version in range(base + 3):
        store.delete(entry_key("window", version), at="test")
    entry = b'{"txn":{"appId":"%s","version":3}}\n{"add":{"path":"%s"}}' % (
        writer.app_id.encode(),
        file.path.encode(),
    )
    assert store.write_new(entry_key("window", base + 1), entry, at="test")
    assert not writer.table.has_commit(base, {writer.app_id: 3}, [file])
    writer.table.snapshot().commit(rows, writer.app_id, 3)
    assert content(store).filter(device="laptop")["seq"].to_list() == [0, 1, 2, 3]


def test_the_log_gets_short_and_says_the_same(home: Home, store: Store) -> None:
    writer = pile(store, 24)
    lake = open_lake(home.lake_url)
    for round_ in range(4):
        tidy.run(home, store, CLOCK)
        writer.commit(*windows(12, first=24 + 12 * round_))
    assert log(store, "*.checkpoint.parquet") == [24, 36, 48, 60]
    assert len(log(store)) == 73, "nothing is a week old"
    before, day = content(store), lake.timeline("2026-01-02")
    age(store, 8, "_delta_log/*000[0-4]*")
    found = tidy.run(home, store, CLOCK)
    assert found.counts["log files removed"] == 48 + 2
    assert log(store)[0] == 48
    assert log(store, "*.checkpoint.parquet") == [48, 60, 72]
    age(store, 8)
    writer.commit(windows(1, first=72)[0])
    tidy.run(home, store, CLOCK)
    assert log(store, "*.checkpoint.parquet") == [60, 72], "two stay, however old"
    assert log(store)[0] == 60
    assert content(store).filter(content(store)["seq"] < 72).equals(before)
    assert opened(store).transaction_version(writer.app_id) == 72
    assert lake.timeline("2026-01-02").height == day.height + 1
    assert open_lake(home.lake_url).timeline("2026-01-02").height == day.height + 1
    verified(home)
    # The newest checkpoint torn: the one before and the entries since still open the table.
    newest = store.place("tables/window/_delta_log") / f"{72:020d}.checkpoint.parquet"
    newest.write_bytes(newest.read_bytes()[:100])
    again = Writer(store)
    assert again.table.snapshot().rows() == 73


def test_a_damaged_checkpoint_keeps_the_entries_that_it_stands_for(
    home: Home, store: Store
) -> None:
    writer = pile(store, 12)
    for round_ in range(3):
        tidy.run(home, store, CLOCK)
        writer.commit(*windows(12, first=12 + 12 * round_))
    age(store, 8)
    old = store.place("tables/window/_delta_log") / f"{24:020d}.checkpoint.parquet"
    damaged = bytearray(old.read_bytes())
    damaged[-6] ^= 0xFF
    old.write_bytes(damaged)
    age(store, 8)
    (finding,) = tidy.run(home, store, CLOCK).findings
    assert "checkpoint" in finding
    assert log(store)[0] == 0
    assert len(content(store)) == 48


def test_replaced_files_stay_longer_if_the_settings_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFELOG_CARE__KEEP_DAYS", "30")
    home = make_home(tmp_path / "home")
    store = parse_url(home.lake_url, home)
    writer = pile(store, 30)
    tidy.run(home, store, CLOCK)
    assert opened(store).metadata().configuration[tidy.KEPT] == "interval 720 hours"
    version = opened(store).version()
    tidy.run(home, store, CLOCK)
    assert opened(store).version() == version
    stored(monkeypatch, 0)
    compact.run(home, store, CLOCK)
    stored(monkeypatch, 20)
    writer.commit(*windows(11, first=30))
    assert tidy.run(home, store, later(20)).counts["data files removed"] == 0
    stored(monkeypatch, 31)
    assert tidy.run(home, store, later(31)).counts["data files removed"] == 30
    verified(home)


def test_leftovers_of_killed_writers_go(home: Home, store: Store) -> None:
    pile(store, 3)
    table = store.place("tables/window")
    left = [
        table / "date=2026-01-02" / ".tmp-0123456789abcdef",
        table / "_delta_log" / f"{9:020d}.json#1",
        store.place("control") / ".tmp-00ff",
    ]
    for path in left:
        path.write_bytes(b"half")
    assert tidy.run(home, store, CLOCK).counts["leftovers removed"] == 0
    for path in left:
        os.utime(path, (0, 0))
    pile_on = Writer(store, device="phone")
    pile_on.commit(windows(1)[0])
    assert tidy.run(home, store, CLOCK).counts["leftovers removed"] == 3
    assert not any(path.exists() for path in left)
    verified(home)
