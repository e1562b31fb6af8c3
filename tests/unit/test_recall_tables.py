"""Reading by the logs: only the files that matter, always the newest version, years or not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from lifelog_lake.clock import US_PER_S, utc
from lifelog_lake.errors import LakeDamaged, UsageError
from lifelog_lake.events import Event, new_event
from lifelog_lake.home import Home
from lifelog_lake.lake import checkpoint, parse_url
from lifelog_lake.recall import tables
from lifelog_lake.recall.lake import Lake, open_lake
from lifelog_lake.recall.timeline import reach
from lifelog_lake.spool import Spool
from tests.helpers import T0, make_home, ship, window

DAY_US = 86_400 * US_PER_S
RANGE = (utc(T0), utc(T0) + timedelta(hours=1))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Notes the data files that are opened for reading."""
    seen: list[str] = []
    scan = pl.scan_parquet

    def noting(paths: list[str], **options: object) -> pl.LazyFrame:
        seen.extend(Path(path).parent.name for path in paths)
        return scan(paths, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tables.pl, "scan_parquet", noting)
    return seen


def add(home: Home, *events: Event) -> None:
    """Record and ship, one commit a stream."""
    spool = Spool.of(home)
    for stream in sorted({event.stream for event in events}):
        spool.append([event for event in events if event.stream == stream])
    ship(home)


def note(at: int, end: int | None = None, title: str = "note") -> Event:
    return new_event("lifecycle", at=at, end=end, data={"reason": title})


def lake_of(home: Home) -> Lake:
    return open_lake(home.lake_url)


def test_only_files_of_the_range_are_read(home: Home, read: list[str]) -> None:
    for day in range(5):
        add(home, window(0, end=None) if day == 2 else window((day - 2) * 86_400))
    found = lake_of(home).timeline(*RANGE)
    assert found["text"].to_list() == ["editor · title 0"]
    assert read == ["date=2026-01-02"]


def test_what_lasts_into_a_range_is_found_however_early_it_began(
    home: Home, read: list[str]
) -> None:
    add(home, note(T0 - 400 * DAY_US, T0 + 1, "lasts"))
    add(home, note(T0 - 400 * DAY_US, T0, "over as it begins"))
    add(home, note(T0 - 300 * DAY_US, T0 - DAY_US, "over"))
    add(home, note(T0 - 200 * DAY_US, None, "a moment"))
    found = lake_of(home).timeline(*RANGE, streams="lifecycle")
    assert found["text"].to_list() == ["lasts"]
    assert found["duration"].to_list() == [timedelta(days=400, microseconds=1)]
    # Files that can't have any aren't opened, but for the one a rounded statistic may hide.
    assert read == ["date=2024-11-28"] * 2


def test_rows_longer_than_a_slice_are_found(home: Home) -> None:
    """Sound comes in up to ten minutes, and a command prints rows of any length."""
    hours_ago = T0 - DAY_US // 2
    add(
        home,
        new_event("audio", at=T0 - 570 * US_PER_S, end=T0 + 30 * US_PER_S, data={}),
        new_event("window", at=hours_ago, end=T0 + 60 * US_PER_S, data={"app": "script"}),
    )
    lake = lake_of(home)
    assert lake.timeline(*RANGE)["stream"].to_list() == ["window", "audio"]
    assert lake.usage(*RANGE).rows() == [("script", timedelta(minutes=1))]


def test_a_slice_that_began_the_day_before_is_found(home: Home) -> None:
    midnight = T0 - T0 % DAY_US
    add(
        home,
        window(0, id="first"),
        new_event(
            "window",
            at=midnight - 60 * US_PER_S,
            end=midnight + 60 * US_PER_S,
            data={"app": "late"},
        ),
    )
    found = lake_of(home).timeline(utc(midnight), utc(midnight + US_PER_S))
    assert found["app"].to_list() == ["late"]


def test_each_call_sees_the_newest_rows(home: Home) -> None:
    lake = lake_of(home)
    assert lake.timeline(*RANGE).is_empty()
    for count in range(1, 4):
        add(home, window(count))
        assert lake.timeline(*RANGE).height == count
        assert lake.scan("window").collect().height == count
        assert lake.summary()["rows"][0] == count


def test_a_held_scan_sees_the_newest_rows(home: Home) -> None:
    add(home, window(0))
    rows = lake_of(home).scan("window")
    add(home, window(1))
    assert rows.collect().height == 2


def test_a_table_that_was_put_back_is_read_anew(home: Home, tmp_path: Path) -> None:
    """The log has a version of the same number, with other content."""
    lake = lake_of(home)
    root = Path(home.lake_url or lake.url) / "tables" / "window"
    add(home, window(0))
    shutil.copytree(root, tmp_path / "copy")
    add(home, window(1), window(2))
    assert lake.timeline(*RANGE).height == 3
    other = make_home(tmp_path / "other")
    add(other, window(5))
    add(other, window(6), window(7), window(8))
    shutil.rmtree(root)
    shutil.copytree(Path(lake_of(other).url) / "tables" / "window", root)
    assert lake.timeline(*RANGE)["title"].to_list() == [f"title {n}" for n in (5, 6, 7, 8)]
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "copy", root)
    assert lake.timeline(*RANGE)["title"].to_list() == ["title 0"]


def test_compaction_vacuum_and_a_cleaned_log_are_followed(home: Home) -> None:
    lake = lake_of(home)
    for n in range(6):
        add(home, window(n, end=T0 + (n + 1) * US_PER_S), note(T0 + n, T0 + DAY_US))
        lake.timeline(*RANGE)
    for stream in ("window", "lifecycle"):
        table = DeltaTable(Path(lake.url) / "tables" / stream)
        table.optimize.compact()
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        checkpoint.make(parse_url(lake.url), stream)
        for entry in sorted((Path(lake.url) / "tables" / stream / "_delta_log").glob("*.json"))[
            :-1
        ]:
            entry.unlink()
    for reader in (lake, lake_of(home)):
        found = reader.timeline(*RANGE)
        assert found["stream"].value_counts(sort=True).rows() == [("lifecycle", 6), ("window", 6)]
        assert reader.timeline(RANGE[0] + timedelta(minutes=1), RANGE[1]).height == 6
    assert lake.summary().select("rows", "files").rows() == [(6, 1), (6, 1)]
    # What readers skip files by survives both compaction and checkpoints.
    files = tables.Tables(lake_of(home)._target).of("lifecycle").files
    assert files.select("last_end", "content").rows() == [(utc(T0 + DAY_US), False)]
    add(home, window(7))
    assert lake.timeline(*RANGE).height == 13


def test_readers_beside_a_writer_and_a_compactor_miss_nothing(home: Home) -> None:
    """Commits come whole, so each look shows a multiple of their rows, and never fewer."""
    each, commits = 5, 12
    spool, lake, done = Spool.of(home), lake_of(home), threading.Event()

    def look() -> list[int]:
        counts = []
        while True:
            last = done.is_set()
            counts.append(lake.timeline(*RANGE, streams="window").height)
            if last:
                return counts

    with ThreadPoolExecutor(3) as threads:
        looks = [threads.submit(look) for _ in range(3)]
        try:
            for number in range(commits):
                spool.append([window(number * each + n) for n in range(each)])
                ship(home)
                if number % 3 == 2:
                    DeltaTable(Path(lake.url) / "tables" / "window").optimize.compact()
        finally:
            done.set()
        for counts in (look.result() for look in looks):
            assert counts == sorted(counts)
            assert {count % each for count in counts} == {0}
            assert counts[-1] == each * commits


def test_files_without_statistics_are_read_whole(home: Home) -> None:
    """As another program writes them, or a version before `end` was counted."""
    add(home, note(T0 - 9 * DAY_US, T0 + DAY_US))
    lake = lake_of(home)
    contents = tables.Tables(lake._target).of("lifecycle")
    bare = contents.files.with_columns(
        pl.lit(None, pl.Datetime("us", "UTC")).alias(name)
        for name in ("first_at", "last_at", "last_end")
    )
    assert contents.files["ends"].to_list() == [True]
    blind = tables.Contents(
        store=contents.store, stream=contents.stream, version=0, schema=contents.schema,
        stored=contents.stored, files=bare, plain=True,
    )  # fmt: skip
    assert blind.rows(*RANGE, reach("lifecycle")).collect().height == 1
    assert blind.rows(*RANGE, reach("window")).collect().is_empty()  # sliced: not looked for
    assert blind.rows(RANGE[0] + timedelta(days=2), RANGE[1] + timedelta(days=3), None).collect(
    ).is_empty()  # fmt: skip


def test_a_table_that_takes_more_than_its_files_is_left_to_the_engine(home: Home) -> None:
    add(home, window(0))
    contents = tables.Tables(lake_of(home)._target).of("window")
    odd = replace(contents, plain=False, files=contents.files.with_columns(path=pl.lit("not it")))
    assert odd.rows(*RANGE, reach=None).collect().height == 1


@pytest.mark.parametrize("name", ["with space", "a=b", "date=2020-01-01", "hash#x", "q?x", "ü*"])
def test_odd_places_are_read(tmp_path: Path, name: str) -> None:
    home = make_home(tmp_path / name)
    add(home, window(0), note(T0))
    lake = lake_of(home)
    found = lake.timeline(*RANGE)
    assert found.height == 2
    assert lake.scan("window").collect()["date"].to_list() == [utc(T0).date()]
    assert lake.rows("window", *RANGE).collect()["date"].to_list() == [utc(T0).date()]


def test_a_table_that_is_only_being_made_is_none(home: Home) -> None:
    """A writer that is killed in its first commit leaves the log's staging file."""
    add(home, window(0))
    lake = lake_of(home)
    log = Path(lake.url) / "tables" / "sensor" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020d}.json#1").write_bytes(b'{"comm')
    assert lake.streams() == ["window"]
    assert lake.timeline(*RANGE).height == lake.summary().height == 1
    assert lake.scan("sensor").collect().is_empty()
    add(home, new_event("sensor", at=T0, data={"name": "battery", "value": 1.0}))
    assert lake.timeline(*RANGE).height == 2


def test_a_table_of_another_program_breaks_nothing(home: Home) -> None:
    add(home, window(0))
    lake = lake_of(home)
    pl.DataFrame({"a": [1]}).write_delta(Path(lake.url) / "tables" / "<b>own")
    assert lake.devices() == [home.device]
    assert lake.timeline(*RANGE).height == 1
    assert lake.summary().select("stream", "rows").rows() == [("window", 1), ("<b>own", 1)]
    assert "<b>own" not in lake._repr_html_()
    assert lake.scan("<b>own").collect().rows() == [(1,)]


def test_a_damaged_log_is_named(home: Home) -> None:
    add(home, window(0))
    lake = lake_of(home)
    for entry in (Path(lake.url) / "tables" / "window" / "_delta_log").iterdir():
        entry.write_bytes(b"{")
    with pytest.raises(LakeDamaged, match="'window'") as raised:
        lake.timeline("today")
    assert "verify" in (raised.value.hint or "")


def test_filters_take_one_name_or_several(home: Home) -> None:
    add(home, window(0), note(T0))
    lake = lake_of(home)
    both = lake.timeline(*RANGE)
    assert both["stream"].to_list() == ["lifecycle", "window"]
    for streams in ("window", ["window"], ("window", "audio")):
        assert lake.timeline(*RANGE, streams=streams)["stream"].to_list() == ["window"]
    assert lake.timeline(*RANGE, devices=home.device).height == 2
    assert lake.timeline(*RANGE, devices=["other"]).is_empty()
    assert lake.timeline(*RANGE, streams=[]).is_empty()
    with pytest.raises(UsageError, match="'windows'"):
        lake.timeline(*RANGE, streams="windows")


def test_a_timeline_is_tidy(home: Home) -> None:
    add(home, window(0, end=T0 + 90 * US_PER_S), note(T0))
    empty = lake_of(home).timeline("2020-01-01")
    found = lake_of(home).timeline(*RANGE)
    assert empty.schema == found.schema
    assert found.schema["at"] == found.schema["end"] == pl.Datetime("us", "UTC")
    assert found.schema["duration"] == pl.Duration("us")
    moment, lasting = found.rows(named=True)
    assert (moment["duration"], lasting["duration"]) == (None, timedelta(seconds=90))
    assert (lasting["app"], lasting["title"], lasting["url"]) == ("editor", "title 0", None)
    assert lasting["tz"]
    assert lasting["local"] == lasting["at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
