"""Daily summaries: the same as the tables say, of changed days only, disposable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
import tzlocal
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from lifelog_lake.care import summaries
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LakeDamaged, UsageError
from lifelog_lake.events import Event
from lifelog_lake.home import Home
from lifelog_lake.lake import checkpoint, parse_url
from lifelog_lake.lake.local import LocalTarget
from lifelog_lake.recall import tables
from lifelog_lake.recall.days import APP, SCHEMA, TABLE, put_together
from lifelog_lake.recall.lake import Lake, open_lake
from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.usage import by_quarter, told_of_presence, usage
from tests.fixtures.demo import DemoLake, demo_lake
from tests.fixtures.derived import (
    DAY_S,
    add,
    compact,
    lasting,
    make_summaries,
    make_thumbnails,
    pictured,
    raw_counts,
    sums,
)
from tests.helpers import make_home, pulse, verified, window
from tests.unit.test_recall_usage import NEAR_DST, NEAR_MIDNIGHT, Row, frame, rows

__all__ = ["demo_lake"]

HOUR_S = 3600
DAY = date(2026, 1, 2)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Notes the data files of streams that are opened: ``window/date=2026-01-02``."""
    seen: list[str] = []
    scan = pl.scan_parquet

    def noting(paths: list[str], **options: object) -> pl.LazyFrame:
        seen.extend("/".join(Path(path).parts[-3:-1]) for path in paths)
        return scan(paths, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tables.pl, "scan_parquet", noting)
    return seen


def store_of(home: Home) -> LocalTarget:
    store = parse_url(home.lake_url, home)
    assert isinstance(store, LocalTarget)
    return store


def lake_of(home: Home) -> Lake:
    return open_lake(home.lake_url)


def in_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setattr(tzlocal, "get_localzone", lambda: ZoneInfo(zone))


def worked(day: int = 0, app: str = "editor") -> list[Event]:
    """A morning: away for its second half hour."""
    start = day * DAY_S + 8 * HOUR_S
    return [
        lasting("window", start, start + HOUR_S, app=app, title="x", bucket="aw-window_pc"),
        lasting("afk", start, start + HOUR_S / 2, status="not-afk", bucket="aw-afk_pc"),
        lasting("afk", start + HOUR_S / 2, start + HOUR_S, status="afk", bucket="aw-afk_pc"),
    ]


def assert_right(home: Home) -> None:
    """The summaries say what the tables say, and what a fresh start would."""
    lake = lake_of(home)
    streams = [name for name in lake.streams() if name != "thumbnail"]
    assert lake.days("1971-01-01", "2199-01-01").equals(raw_counts(home, streams))
    before = sums(home)
    shutil.rmtree(store_of(home).table(TABLE))
    make_summaries(home)
    assert sums(home).equals(before)


# --- what they say --------------------------------------------------------------------------------


@given(
    rows(["mail", "code"], ends=True),
    rows(["afk", "not-afk"], ends=True),
    st.sampled_from([NEAR_DST, NEAR_MIDNIGHT]),
    st.integers(1, 2),
    st.sampled_from(ZONES),
)
def test_days_put_together_are_usage(
    windows: list[Row], presence: list[Row], began: datetime, length: int, zone: str
) -> None:
    """Whatever is asked for in whole days of UTC: the same figures, in every zone."""
    frames = {"window": frame(windows, began), "afk": frame(presence, began, "afk", "status")}
    frames = {
        name: one.with_columns(pl.col("at", "end") + timedelta(seconds=17))
        for name, one in frames.items()
    }

    def given_rows(stream: str, start: datetime, end: datetime) -> pl.LazyFrame:
        found = frames.get(stream, pl.DataFrame(schema=polars_schema(stream))).lazy()
        lasts = (pl.col("at") >= start) | (pl.col("end") > start)
        return found.filter(pl.col("at") < end, lasts)

    first = datetime.combine(began.date(), datetime.min.time(), UTC)
    days = [first + timedelta(days=n) for n in range(length)]
    parts = []
    for start in days:
        end = start + timedelta(days=1)
        told = told_of_presence(given_rows, start, end)
        assert set(told["date"]) <= {start.date()}
        apps = by_quarter(given_rows, start, end)
        own = [field.name for field in APP.fields]
        parts += [
            apps.group_by("device").agg(apps=pl.struct(own)),
            told.group_by("device").agg(hosts=pl.col("host")),
        ]
    schema = {name: SCHEMA[name] for name in ("device", "hosts", "apps")}
    summed = pl.concat([pl.DataFrame(schema=schema), *parts], how="diagonal")
    last = first + timedelta(days=length)
    with pytest.MonkeyPatch.context() as patch:
        in_zone(patch, zone)
        wanted = usage(
            given_rows, first, last, ["day", "device", "app"], afk=False, devices=None
        ).sort("day", "time", "device", "app", descending=[False, True, False, False])
        assert put_together(summed, first, last).rows() == wanted.rows()


def test_they_agree_with_the_demo_lake(
    demo_lake: DemoLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(demo_lake.url)
    shutil.copytree(source / "tables", tmp_path / "lake" / "tables")
    shutil.copy(source / "lake.json", tmp_path / "lake")
    home = make_home(tmp_path / "home", lake=tmp_path / "lake")
    assert make_summaries(home) >= demo_lake.plan.days
    lake = lake_of(home)
    found = lake.days(demo_lake.plan.first, demo_lake.plan.end + timedelta(days=1))
    assert found.equals(raw_counts(home, lake.streams()))
    for zone in ("Europe/Berlin", "Asia/Kathmandu"):
        in_zone(monkeypatch, zone)
        month = date(2026, 5, 1), date(2026, 5, 31)
        wanted = lake.usage(*month, by=["day", "device", "app"])
        assert wanted.height > 100
        keys = ["day", "device", "app"]
        assert lake.app_days(*month).sort(keys).equals(wanted.select(*keys, "time").sort(keys))


def test_a_row_that_lasts_into_the_next_day_counts_there_too(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_zone(monkeypatch, "UTC")
    add(home, lasting("window", DAY_S - 600, DAY_S + 300, app="editor", title="x"))
    add(home, lasting("afk", DAY_S - 600, DAY_S + 100, status="not-afk", bucket="aw_pc"))
    make_summaries(home)
    found = lake_of(home).app_days("2026-01-01", "2026-01-05").select("day", "time").rows()
    assert found == [
        (DAY, timedelta(seconds=600)),
        (DAY + timedelta(days=1), timedelta(seconds=100)),
    ]
    assert lake_of(home).days("2026-01-03").is_empty()  # no row began then
    assert_right(home)


def test_half_hours_of_zones_are_right(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    # 18:15 to 18:45 UTC: midnight in Kathmandu is 18:15, in Kolkata 18:30.
    start = 18.25 * HOUR_S
    add(home, lasting("window", start, start + HOUR_S / 2, app="editor", title="x"))
    make_summaries(home)
    found = {}
    for zone in ("Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin"):
        in_zone(monkeypatch, zone)
        days = lake_of(home).app_days("2026-01-01", "2026-01-05").select("day", "time").rows()
        found[zone] = [(day.day, time.total_seconds() / 60) for day, time in days]
    assert found == {
        "Asia/Kolkata": [(2, 15), (3, 15)],
        "Asia/Kathmandu": [(3, 30)],
        "Europe/Berlin": [(2, 30)],
    }


def test_asking_narrows_by_days_streams_and_devices(home: Home) -> None:
    add(home, *worked(0), *worked(1), window(0), pulse(0))
    make_summaries(home)
    lake = lake_of(home)
    assert set(lake.days("2026-01-02")["stream"]) == {"window", "afk", "pulse"}
    assert lake.days("2026-01-02", "2026-01-04", "window")["rows"].to_list() == [2, 1]
    assert lake.days(DAY, devices="nobody").is_empty()
    assert lake.app_days(DAY, devices=[home.device]).height == 1
    assert lake.app_days(DAY, devices="nobody").is_empty()
    for wrong in ("2026-13-01", "2026-01-02T10:00"):
        with pytest.raises(UsageError, match="isn't a day"):
            lake.days(wrong)


def test_any_delta_reader_opens_them(home: Home) -> None:
    add(home, *worked())
    make_summaries(home)
    url = store_of(home).table_url(TABLE)
    assert DeltaTable(url).to_pyarrow_table().num_rows == 2
    apps = pl.scan_delta(url).filter(stream="window").select("apps").explode("apps").collect()
    assert apps.unnest("apps")["time_us"].to_list() == [900_000_000] * 4
    assert apps.unnest("apps")["host_us"].to_list() == [900_000_000] * 2 + [0] * 2


def test_without_any_it_says_so(home: Home) -> None:
    add(home, *worked())
    for ask in (lambda: lake_of(home).days(DAY), lambda: lake_of(home).app_days(DAY)):
        with pytest.raises(UsageError, match="no daily summaries yet"):
            ask()


# --- what is worked out ---------------------------------------------------------------------------


def test_only_changed_days_are_read(home: Home, read: list[str]) -> None:
    for day in range(4):
        add(home, *worked(day), pictured(day * DAY_S))
    assert make_summaries(home) == 4
    read.clear()
    add(home, pictured(2 * DAY_S + 60))
    assert make_summaries(home) == 1
    assert set(read) == {"screen/date=2026-01-04"}
    read.clear()
    add(home, *worked(1, "mail"))  # a late shipment
    assert make_summaries(home) == 1
    assert set(read) == {"window/date=2026-01-03", "afk/date=2026-01-03"}
    assert_right(home)


def test_nothing_to_do_reads_nothing_and_commits_nothing(home: Home, read: list[str]) -> None:
    add(home, *worked())
    make_summaries(home)
    version = DeltaTable(store_of(home).table_url(TABLE)).version()
    read.clear()
    assert make_summaries(home) == 0
    assert read == []
    assert DeltaTable(store_of(home).table_url(TABLE)).version() == version


def test_compaction_changes_nothing(home: Home, read: list[str]) -> None:
    for n in range(3):
        add(home, window(n), *worked(n))
    make_summaries(home)
    before = sums(home)
    for stream in ("window", "afk"):
        compact(home, stream)
    read.clear()
    assert make_summaries(home) == 0
    assert read == []
    assert sums(home).equals(before)
    assert_right(home)


def test_what_is_derived_from_others_is_left_out(home: Home) -> None:
    add(home, pictured(0))
    make_thumbnails(home)
    make_summaries(home)
    assert set(sums(home)["stream"]) == {"screen"}
    make_thumbnails(home)
    assert make_summaries(home) == 0


def test_rows_that_were_taken_away_are_no_longer_counted(home: Home) -> None:
    add(home, *(window(n * DAY_S) for n in range(3)))
    make_summaries(home)
    DeltaTable(store_of(home).table_url("window")).delete("seq = 1")
    assert make_summaries(home) >= 1
    assert sums(home)["date"].to_list() == [DAY, DAY + timedelta(days=2)]
    assert_right(home)


def test_a_table_that_was_replaced_leaves_nothing_behind(home: Home, tmp_path: Path) -> None:
    add(home, *worked(0), *worked(1))
    make_summaries(home)
    other = make_home(tmp_path / "other")
    add(other, *worked(40))
    table = store_of(home).table("window")
    shutil.rmtree(table)
    shutil.copytree(store_of(other).table("window"), table)
    make_summaries(home)
    assert sums(home).filter(stream="window")["date"].to_list() == [date(2026, 2, 11)]
    assert_right(home)


def test_deleted_they_are_made_again(home: Home) -> None:
    add(home, *worked(0), *worked(31), window(5), pulse(0), pictured(0))
    make_summaries(home)
    add(home, *worked(1), pictured(1, "frame 0"))
    make_summaries(home)
    assert sums(home)["month"].n_unique() == 2
    assert_right(home)


def test_two_runs_at_once_agree(home: Home) -> None:
    other = make_home(home.path.parent / "second hub", lake=home.lake_url)
    for n in range(4):
        add(home, *worked(n * 20), *worked(n * 20 + 1))
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(make_summaries, (home, other, home)))
        assert make_summaries(home) == 0
    assert_right(home)


def test_a_run_that_another_overtook_starts_over(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(home, *worked(0))
    once = summaries._Run._worked_out
    late = [True]

    def overtaken(self: summaries._Run, month: str, streams: summaries.Touched) -> object:
        done = list(once(self, month, streams))
        if late.pop() if late else False:
            add(home, *worked(0, "mail"))
            make_summaries(home)
        return done

    monkeypatch.setattr(summaries._Run, "_worked_out", overtaken)
    make_summaries(home)
    assert sums(home).filter(stream="window")["rows"].to_list() == [2]
    assert_right(home)


def test_the_log_is_kept_short(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 3)
    for n in range(8):
        add(home, window(n))
        make_summaries(home)
    assert checkpoint.newest(store_of(home), TABLE) >= 6
    assert_right(home)


def test_a_table_that_cannot_be_read_names_the_remedy(home: Home) -> None:
    add(home, *worked())
    make_summaries(home)
    entry = store_of(home).table(TABLE) / "_delta_log" / f"{0:020d}.json"
    entry.write_text("{}\n")
    with pytest.raises(LakeDamaged, match="made anew"):
        make_summaries(home)
    shutil.rmtree(store_of(home).table(TABLE))
    assert make_summaries(home) == 1


def test_a_data_file_of_their_own_that_cannot_be_read_names_the_remedy(home: Home) -> None:
    add(home, *worked())
    make_summaries(home)
    for path in store_of(home).table(TABLE).glob("month=*/*.parquet"):
        path.write_bytes(b"PAR1")
    add(home, window(50))
    with pytest.raises(LakeDamaged, match="made anew"):
        make_summaries(home)


@pytest.mark.parametrize("stream", ["window", "afk"])
@pytest.mark.parametrize("content", [None, b"PAR1 no more"])
def test_a_damaged_data_file_is_told_until_it_is_mended_and_holds_nothing_up(
    home: Home, stream: str, content: bytes | None
) -> None:
    add(home, *worked())
    (path,) = store_of(home).table(stream).glob("date=*/*.parquet")
    add(home, *worked(day=1), window(3), pulse(1))
    whole = path.read_bytes()
    path.write_bytes(content) if content else path.unlink()
    for _ in range(2):
        told = summaries.run(home, store_of(home), SystemClock()).findings
        assert [finding for finding in told if path.name in finding] == list(told) != []
    rows = {(row["date"], row["stream"]): row["rows"] for row in sums(home).to_dicts()}
    assert rows[DAY, "pulse"] == 1
    assert rows[DAY + timedelta(days=1), stream] == {"window": 1, "afk": 2}[stream]
    path.write_bytes(whole)
    assert summaries.run(home, store_of(home), SystemClock()).findings == ()
    streams = ["afk", "pulse", "window"]
    assert lake_of(home).days("2026-01-01", "2027-01-01").equals(raw_counts(home, streams))
    assert make_summaries(home) == 0


def test_a_table_that_cannot_be_read_holds_the_others_not_up(home: Home) -> None:
    add(home, *worked(), pulse(1))
    entry = store_of(home).table("afk") / "_delta_log" / f"{1:020d}.json"
    content = entry.read_bytes()
    entry.write_bytes(content[:20])
    (finding,) = summaries.run(home, store_of(home), SystemClock()).findings
    assert "'afk' can't be read" in finding
    assert sums(home)["stream"].to_list() == ["pulse"], "windows are counted by presence"
    entry.write_bytes(content)
    assert make_summaries(home) == 1
    assert sums(home)["stream"].to_list() == ["afk", "pulse", "window"]


def test_nobody_takes_them_for_a_stream(home: Home) -> None:
    add(home, *worked())
    make_summaries(home)
    lake = lake_of(home)
    assert lake.streams() == ["afk", "window"]
    assert lake.summary()["stream"].to_list() == ["window", "afk"]
    assert verified(home).tables == 2
    with pytest.raises(UsageError):
        lake.scan(TABLE)
