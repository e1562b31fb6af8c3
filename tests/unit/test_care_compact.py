"""The job: it looks where something is new, tells what is damaged, and no reader notices."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from deltalake import DeltaTable

from lifelog_lake.care import compact, tidy
from lifelog_lake.clock import US_PER_S, SystemClock
from lifelog_lake.errors import LakeUnreachable, Locked
from lifelog_lake.home import Home
from lifelog_lake.lake import datafile, parse_url
from lifelog_lake.lake.identity import read_identity, write_identity
from lifelog_lake.lake.lease import hold
from lifelog_lake.lake.store import Store, entry_key
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from tests.fixtures.piles import Writer, content, opened, pile, windows
from tests.helpers import T0, FixedClock, flipped, frame, make_home, rows, verified, window

#: Half a day after everything began: its day isn't over yet.
NOON = T0 + 12 * 3600 * US_PER_S


class Counting:
    """A store that counts what is asked of it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def called(*words: Any, **more: Any) -> Any:
            self.calls[name] += 1
            return found(*words, **more)

        return called


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> Store:
    return parse_url(home.lake_url, home)


def data(store: Store, stream: str = "window") -> list[Path]:
    return sorted(store.place(f"tables/{stream}").glob("date=*/*.parquet"))


def live(store: Store, stream: str = "window") -> int:
    return len(opened(store, stream).file_uris())


def test_small_files_become_few_and_every_reader_sees_the_same(home: Home, store: Store) -> None:
    spool, shipper = Spool.of(home), Shipper.of(home)
    for n in range(25):
        spool.append([window(2 * n), window(2 * n + 1)])
        spool.append([frame(n)])
        assert not shipper.run_once().errors
    before = {stream: rows(home, stream) for stream in ("window", "screen")}
    lake = open_lake(home.lake_url)
    day = lake.timeline("2026-01-02")
    about = lake.summary().drop("files", "data_bytes", "lag", "devices")
    found = compact.run(home, store, FixedClock(NOON))
    assert found.findings == ()
    assert (found.counts["files merged"], found.counts["files written"]) == (50, 2)
    assert found.counts["rows rewritten"] == 75
    assert {stream: live(store, stream) for stream in before} == {"window": 1, "screen": 1}
    for stream, frame_ in before.items():
        assert rows(home, stream).equals(frame_)
    for reader in (lake, open_lake(home.lake_url)):
        assert reader.timeline("2026-01-02").equals(day)
        assert reader.summary().drop("files", "data_bytes", "lag", "devices").equals(about)
    verified(home)
    spool.append([window(99)])
    assert not shipper.run_once().errors
    assert rows(home, "window")["seq"].to_list() == list(range(51))
    verified(home)


def test_nothing_to_do_costs_one_listing(home: Home, store: Store) -> None:
    for stream in ("window", "afk", "web"):
        Writer(store, stream).table.snapshot()
    pile(store, 30)
    assert compact.run(home, store, FixedClock(NOON)).counts["files merged"] == 30
    for job in (compact, tidy):
        job.run(home, store, FixedClock(NOON))
        counting = Counting(store)
        assert not any(job.run(home, counting, FixedClock(NOON)).counts.values())  # type: ignore[arg-type]
        asked = counting.calls
        # lake.json and the memory; each table: is its version there, and is there a next one?
        assert asked.pop("streams") == 1
        assert asked.pop("read") == 2
        assert asked.pop("stat") == 6
        assert asked.pop("place") <= 1
        assert not asked


def test_only_what_is_new_is_looked_at(home: Home, store: Store) -> None:
    writer = pile(store, 24)
    other = Writer(store, "web")
    other.table.snapshot()
    compact.run(home, store, FixedClock(NOON))
    writer.commit(*windows(24, first=100))
    counting = Counting(store)
    found = compact.run(home, counting, FixedClock(NOON))  # type: ignore[arg-type]
    assert found.counts["files merged"] == 24, "the merged file isn't touched again"
    assert counting.calls["read"] < 24 + 40
    assert live(store) == 2


def test_a_day_is_closed_though_nothing_new_came(home: Home, store: Store) -> None:
    pile(store, 5)
    clock = FixedClock(NOON)
    assert compact.run(home, store, clock).words() == "compact: nothing to do"
    clock.now_us = T0 + 999 * 86_400 * US_PER_S  # the files were written by the real clock
    assert compact.run(home, store, clock).counts["files merged"] == 5
    assert live(store) == 1


def test_a_damaged_file_is_told_again_and_again_and_kept(home: Home, store: Store) -> None:
    pile(store, 30)
    bad = data(store)[7]
    broken = flipped(bad.read_bytes(), 300, 2)
    bad.write_bytes(broken)
    for run in range(3):
        found = compact.run(home, store, FixedClock(NOON))
        (finding,) = found.findings
        assert bad.name in finding
        assert "don't match its hash" in finding
        assert found.counts["files merged"] == (29 if run == 0 else 0)
    assert live(store) == 2
    tidy.run(home, store, SystemClock(), keep_s=0)
    assert len(data(store)) == 2
    assert bad.read_bytes() == broken


def test_a_file_that_was_mended_is_in_use_again(home: Home, store: Store) -> None:
    pile(store, 30)
    bad = data(store)[7]
    whole = bad.read_bytes()
    bad.write_bytes(flipped(whole, 300, 2))
    assert compact.run(home, store, FixedClock(NOON)).findings
    bad.write_bytes(whole)
    assert compact.run(home, store, FixedClock(NOON)).findings == ()
    writer = Writer(store, device="phone")
    writer.commit(*windows(23))
    assert compact.run(home, store, FixedClock(NOON)).counts["files merged"] == 24
    assert content(store).height == 53
    verified(home)


def test_a_table_that_cannot_be_read_holds_nobody_up(home: Home, store: Store) -> None:
    pile(store, 30)
    Writer(store, "afk").table.snapshot()
    entry = store.place("tables/afk/_delta_log") / f"{0:020d}.json"
    entry.write_bytes(entry.read_bytes().replace(b'"metaData"', b'"metaDat\x01"'))
    found = compact.run(home, store, FixedClock(NOON))
    assert found.counts["files merged"] == 30
    (finding,) = found.findings
    assert finding.startswith("afk: ")
    assert tidy.run(home, store, FixedClock(NOON)).findings[0].startswith("afk: ")


def test_other_programs_tables_and_files_are_left_alone(home: Home, store: Store) -> None:
    pile(store, 30)
    opened(store).optimize.compact()
    found = compact.run(home, store, FixedClock(NOON))
    assert found.words() == "compact: nothing to do"
    assert found.findings == ()
    DeltaTable(store.table_url("window")).alter.add_constraint({"positive": "seq >= 0"})
    (finding,) = compact.run(home, store, FixedClock(NOON)).findings
    assert "features" in finding


def test_without_its_memory_it_looks_at_everything_again(home: Home, store: Store) -> None:
    pile(store, 30)
    compact.run(home, store, FixedClock(NOON))
    for content_ in (b"{", b"[]", b'{"lake": 1}', b'{"lake": "x", "tables": {"window": 3}}'):
        store.write("control/care/compact.json", content_, at="test")
        found = compact.run(home, store, FixedClock(NOON))
        assert found.words() == "compact: nothing to do"
    # A restore gives the lake a new generation.
    identity = read_identity(store)
    assert identity is not None
    write_identity(store, dataclasses.replace(identity, generation=2))
    counting = Counting(store)
    compact.run(home, counting, FixedClock(NOON))  # type: ignore[arg-type]
    assert counting.calls["log"]


def test_a_clock_that_is_late_keeps_replaced_files_no_shorter(home: Home, store: Store) -> None:
    """They stay for a week after the time that the log gives them."""
    pile(store, 30)
    began_ms = time.time_ns() // 1_000_000 - 60_000
    compact.run(home, store, FixedClock(NOON))
    entry = store.read(entry_key("window", opened(store).version()))
    removed = [each["remove"] for each in map(orjson.loads, entry.splitlines()) if "remove" in each]
    assert len(removed) == 30
    assert all(each["deletionTimestamp"] > began_ms for each in removed)


def test_a_second_one_is_refused_while_one_works(home: Home, store: Store) -> None:
    pile(store, 30)
    for job in (compact, tidy):
        with (
            hold(store, job.JOB, "another-hub", FixedClock(NOON)),
            pytest.raises(Locked, match="another-hub"),
        ):
            job.run(home, store, FixedClock(NOON))
    assert live(store) == 30
    assert compact.run(home, store, FixedClock(NOON)).counts["files merged"] == 30


def test_a_lost_lease_stops_it_before_the_commit(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pile(store, 30)

    class Sleepy(FixedClock):
        calls = 0

        def boot_us(self) -> int:
            self.calls += 1
            return self.calls * 200 * US_PER_S

    real, clock = datafile.write, Sleepy(NOON)

    def slow(*words: Any) -> Any:
        clock.calls += 10
        return real(*words)

    monkeypatch.setattr(datafile, "write", slow)
    with pytest.raises(Locked, match="taken over"):
        compact.run(home, store, clock)
    assert opened(store).version() == 30
    assert len(data(store)) == 31
    monkeypatch.undo()
    assert compact.run(home, store, FixedClock(NOON)).counts["files merged"] == 30


def test_a_demo_lake_and_a_missing_one(home: Home, store: Store, tmp_path: Path) -> None:
    pile(store, 30)
    identity = read_identity(store)
    assert identity is not None
    write_identity(store, dataclasses.replace(identity, demo={"state": "complete"}))
    before = {path: path.stat().st_mtime_ns for path in Path(home.lake_url).rglob("*")}
    for job in (compact, tidy):
        assert job.run(home, store, FixedClock(NOON)).words() == f"{job.JOB}: nothing to do"
    assert {path: path.stat().st_mtime_ns for path in Path(home.lake_url).rglob("*")} == before
    missing = make_home(tmp_path / "other", init=False)
    for job in (compact, tidy):
        with pytest.raises(LakeUnreachable):
            job.run(missing, parse_url(missing.lake_url, missing), FixedClock(NOON))
