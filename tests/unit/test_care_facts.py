"""The fleet's facts, read from real lakes."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from lifelog_lake.care import observe, summaries, verified
from lifelog_lake.care.devices import STEP_US, Arrival, Seen, devices_of
from lifelog_lake.care.facts import Fleet, Sample, Spell, during, rise
from lifelog_lake.care.forecast import full_at
from lifelog_lake.care.health.rules import heard_at
from lifelog_lake.care.observe import ARRIVALS, NEWEST_FILES, Observer
from lifelog_lake.clock import US_PER_S, SystemClock, utc
from lifelog_lake.errors import LakeUnreachable
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.verify import verify
from lifelog_lake.recall.schema import polars_schema
from lifelog_lake.recall.tables import TIME
from tests.fixtures.pulses import (
    GIB,
    MINUTE_US,
    entry,
    life,
    other_device,
    presence,
    pulse,
    record,
)
from tests.helpers import T0, FixedClock, frame, make_home, window

HOUR_US = 60 * MINUTE_US
NOW = T0 + 6 * HOUR_US


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


def fleet_of(home: Home, now_us: int = NOW) -> Fleet:
    return Observer(home, parse_url(home.lake_url, home), FixedClock(now_us)).fleet()


def test_an_empty_lake_has_an_empty_fleet(home: Home) -> None:
    fleet = fleet_of(home)
    assert fleet.devices == ()
    assert fleet.storage.tables == ()
    assert fleet.storage.disk_free_bytes
    assert (fleet.flows, fleet.verified, fleet.troubles) == (None, None, ())


def test_a_lake_that_is_gone_is_told_from_an_empty_one(home: Home) -> None:
    observer = Observer(home, parse_url(home.lake_url, home))
    shutil.rmtree(home.path / "lake")
    (home.path / "lake").mkdir()
    with pytest.raises(LakeUnreachable, match="any more"):
        observer.fleet()


def test_a_pulse_tells_of_device_and_streams(home: Home) -> None:
    at = NOW - MINUTE_US
    streams = [
        entry("screen", "screen", at, errors=3, last_error="no display", restarts=2),
        entry(None, "ship", at, last_capture_at=None),
        entry("audio", "audio", at, state="disabled"),
        {"stream": "sensor", "state": "spooled", "spool_bytes": 5},
    ]
    frames = [frame(n) for n in range(3)]
    more = {"care": {"state": "running"}}
    record(home, pulse(at, streams, extra=more, config_revision="r7"), *frames)
    device = fleet_of(home).device(home.device)
    assert device
    assert (device.last_seen_at, device.state) == (at, "running")
    assert (device.version, device.config_revision, device.config_hash) == ("1.0", "r7", "aa")
    assert device.disk_free_bytes == 100 * GIB
    assert device.extra == more
    screen = device.stream("screen")
    assert screen
    assert (screen.state, screen.enabled, screen.errors, screen.restarts) == ("running", True, 3, 2)
    assert (screen.last_error, screen.last_capture_at) == ("no display", at - 2 * US_PER_S)
    assert (screen.spool_bytes, screen.spool_oldest_at) == (1000, at - 40 * US_PER_S)
    assert (screen.newest_at, screen.cpu_percent) == (T0 + 2 * US_PER_S, 1.5)
    assert screen.history == (Spell(at, None, "running"),)
    ship, audio, sensor = (device.stream(name) for name in ("ship", "audio", "sensor"))
    assert ship
    assert ship.stream is None
    assert audio
    assert not audio.enabled
    assert sensor
    assert (sensor.enabled, sensor.collector, sensor.spool_bytes) == (False, None, 5)


def test_series_and_history_follow_the_pulses(home: Home) -> None:
    begin = NOW - 3 * HOUR_US
    states = ["running"] * 60 + ["error"] * 20 + ["running"] * 40
    restarts = [0] * 70 + [1] * 10 + [0] * 20 + [2] * 20
    events = [
        pulse(
            begin + n * MINUTE_US,
            [entry("screen", "screen", begin + n * MINUTE_US, state=state, restarts=count)],
            disk_free_bytes=100 * GIB - n * GIB // 10,
        )
        for n, (state, count) in enumerate(zip(states, restarts, strict=True))
    ]
    after = pulse(NOW, [entry("screen", "screen", NOW)], disk_free_bytes=90 * GIB)
    record(home, *events, after)
    device = fleet_of(home).device(home.device)
    assert device
    screen = device.stream("screen")
    assert screen
    last_us = begin + 119 * MINUTE_US
    assert screen.history == (
        Spell(begin, begin + 60 * MINUTE_US, "running"),
        Spell(begin + 60 * MINUTE_US, begin + 80 * MINUTE_US, "error"),
        Spell(begin + 80 * MINUTE_US, last_us + MINUTE_US, "running"),
        Spell(NOW, None, "running"),
    )
    assert rise(screen.restarts_series, begin) == 3
    assert rise(screen.restarts_series, begin + 75 * MINUTE_US) == 2
    assert len(screen.restarts_series) < 8
    assert device.disk_free_series[-1] == Sample(NOW, 90 * GIB)
    full = full_at(device.disk_free_series[:-1])
    assert full
    assert abs(full - (begin + 1000 * MINUTE_US)) < 5 * MINUTE_US


def test_of_free_disk_the_lowest_reading_of_a_while_is_kept(home: Home) -> None:
    begin = NOW // STEP_US * STEP_US - STEP_US
    free = [5 * GIB, GIB, 3 * GIB]
    events = [
        pulse(begin + n * MINUTE_US, [], disk_free_bytes=bytes_) for n, bytes_ in enumerate(free)
    ]
    record(home, *events, pulse(NOW, [], disk_free_bytes=4 * GIB))
    device = fleet_of(home).device(home.device)
    assert device
    assert device.disk_free_series == (Sample(begin + MINUTE_US, GIB), Sample(NOW, 4 * GIB))


def test_pauses_sleep_stops_and_presence_become_spells(home: Home) -> None:
    def ago(minutes: float) -> int:
        return NOW - round(minutes * MINUTE_US)

    record(
        home,
        life("paused", ago(5000)),
        life("resumed", ago(4000)),
        life("stopped", ago(400)),
        life("started", ago(390)),
        life("paused", ago(300), extra={"until": ago(270)}),
        life("suspended", ago(200), end=ago(150)),
        life("started", ago(140), collector="screen", stream="screen"),
        life("paused", ago(30), extra={"until": NOW + HOUR_US}),
        life("quarantined", ago(100), stream="window", first_seq=5, last_seq=8),
        life("blob-lost", ago(90), stream="screen", first_seq=1, last_seq=1),
        life("dropped", ago(80), stream="screen", first_seq=1, last_seq=10),
        presence("not-afk", ago(120), ago(115)),
        presence("not-afk", ago(115), ago(111)),
        presence("afk", ago(116), ago(100)),
        pulse(ago(1), []),
    )
    device = fleet_of(home).device(home.device)
    assert device
    assert device.off == (Spell(ago(400), ago(390), "off"),)
    assert device.paused == (
        Spell(ago(300), ago(270), "paused"),
        Spell(ago(30), None, "paused"),
    )
    assert device.suspended == (Spell(ago(200), ago(150), "suspended"),)
    assert device.presence == (
        Spell(ago(120), ago(111), "not-afk"),
        Spell(ago(111), ago(100), "afk"),
    )
    assert during(device.presence, ago(105), "afk")
    assert not during(device.presence, ago(90))
    assert device.quarantined == (Sample(ago(100), 4.0),)
    assert device.lost == (Sample(ago(90), 1.0),)
    assert device.dropped == (Sample(ago(80), 10.0),)
    assert device.state == "running"


def test_a_device_that_stopped_says_so_and_keeps_its_last_pulse(home: Home) -> None:
    at = NOW - HOUR_US
    record(home, life("stopped", at), pulse(at + US_PER_S, []))
    device = fleet_of(home).device(home.device)
    assert device
    assert (device.state, device.last_seen_at) == ("stopped", at + US_PER_S)
    assert device.off == (Spell(at, None, "off"),)


@pytest.mark.parametrize("summed", [True, False])
def test_a_device_away_for_long_is_found_with_bounded_reads(
    home: Home, monkeypatch: pytest.MonkeyPatch, summed: bool
) -> None:
    day_us = 24 * HOUR_US
    gone = other_device(home, "gone")
    record(gone, *[pulse(T0 - n * day_us, []) for n in range(3, 20)])
    record(home, *[pulse(T0 - n * day_us, [entry("screen", "screen", T0)]) for n in range(40)])
    if summed:
        summaries.run(home, parse_url(home.lake_url, home), SystemClock())
    read: Counter[str] = Counter()
    whole = observe.Contents._read

    def counting(self: Any, paths: list[str], **more: bool) -> pl.LazyFrame:
        if self.stream == "pulse":
            read.update(path.split("/")[0] for path in paths)
        return whole(self, paths, **more)

    monkeypatch.setattr(observe.Contents, "_read", counting)
    fleet = fleet_of(home)
    assert [device.device for device in fleet.devices] == sorted([home.device, "gone"])
    found = fleet.device("gone")
    assert found
    assert found.last_seen_at == T0 - 3 * day_us
    assert fleet.troubles == ()
    days = {utc(T0 - n * day_us).date() for n in range(32)}
    assert {path.removeprefix("date=") for path in read} <= {str(day) for day in days}
    if summed:
        assert len(read) <= observe.NEWEST_FILES + 4


def test_a_clock_that_was_once_wrong_doesnt_keep_a_device_alive(home: Home) -> None:
    future = NOW + 365 * 24 * HOUR_US
    record(home, pulse(NOW - 3 * HOUR_US, []), pulse(future, []), life("clock_step", future))
    record(home, pulse(NOW - 2 * HOUR_US, []))
    device = fleet_of(home).device(home.device)
    assert device
    assert device.last_seen_at == NOW - 2 * HOUR_US


@pytest.mark.parametrize("arrival", [None, Arrival(at=NOW, ahead_us=HOUR_US)])
def test_a_corrected_pulse_tells_how_far_its_clock_is_ahead(arrival: Arrival | None) -> None:
    """``at`` is true time then; what the device itself said is an hour later, as is its clock."""
    schema = polars_schema("pulse")
    row = {"device": "d", "epoch": "e", "seq": 0, "at": utc(T0), "skew_us": -HOUR_US}
    seen = Seen(
        now_us=NOW,
        pulses=pl.DataFrame([{name: row.get(name) for name in schema}], schema=schema),
        lifecycle=None,
        presence=None,
        newest=pl.DataFrame(
            schema={"device": pl.String, "stream": pl.String, "at": TIME, "ingested_at": TIME}
        ),
        arrivals={} if arrival is None else {"d": arrival},
    )
    (found,) = devices_of(seen)
    assert (found.skew_us, found.last_seen_at, found.pulse_at) == (HOUR_US, T0 + HOUR_US, T0)
    assert heard_at(found) == (T0 if arrival is None else NOW)


def test_the_skew_of_a_clock_is_seen_in_what_it_ships(home: Home) -> None:
    now_us = SystemClock().wall_us()
    ahead = other_device(home, "ahead")
    wrong = now_us + 2 * HOUR_US
    record(ahead, pulse(wrong, []), clock=FixedClock(wrong))
    record(home, pulse(now_us, []))
    fleet = fleet_of(home, now_us)
    found, right = fleet.device("ahead"), fleet.device(home.device)
    assert found
    assert right
    assert found.skew_us is not None
    assert abs(found.skew_us - 2 * HOUR_US) < 5 * MINUTE_US
    assert right.skew_us is not None
    assert abs(right.skew_us) < 5 * MINUTE_US
    assert found.last_seen_at == wrong


@pytest.mark.parametrize("wrong_us", [2 * HOUR_US, -2 * HOUR_US])
def test_a_wrong_clock_is_seen_beside_one_that_ships_all_the_time_and_until_it_is_right(
    home: Home, wrong_us: int
) -> None:
    other = other_device(home, "other")

    def skew(ahead_us: int) -> int | None:
        for _ in range(ARRIVALS):
            at = SystemClock().wall_us() + ahead_us
            record(other, pulse(at, []), clock=FixedClock(at))
        found = fleet_of(home, SystemClock().wall_us()).device("other")
        assert found
        return found.skew_us

    for _ in range(NEWEST_FILES):
        record(home, pulse(SystemClock().wall_us(), []))
    for expected in (0, wrong_us, 0):
        assert skew(expected) == pytest.approx(expected, abs=5 * MINUTE_US)


def test_storage_grows_by_what_the_last_week_brought(home: Home) -> None:
    day_us = 24 * HOUR_US
    content = [frame(n * 86_400, bytes(1000 + n)) for n in range(-20, 0)]
    record(home, *content, *[window(n) for n in range(100)])
    summaries.run(home, parse_url(home.lake_url, home), SystemClock())
    fleet = fleet_of(home, T0)
    tables = {table.stream: table for table in fleet.storage.tables}
    screen = tables["screen"]
    assert (screen.rows, screen.files) == (20, 20)
    assert screen.content_bytes == sum(1000 + n for n in range(-20, 0))
    assert screen.newest_at == T0 - day_us
    # Seven whole days and three hours; the tables' files count too.
    assert 6000 / 7.2 < screen.day_bytes < screen.table_bytes
    assert tables["window"].rows == 100
    assert fleet.storage.total_bytes > screen.content_bytes
    disk = shutil.disk_usage(home.path)
    assert fleet.storage.disk_total_bytes == disk.total


def test_foreign_rows_and_damage_are_told_and_stop_nothing(home: Home) -> None:
    at = NOW - MINUTE_US
    record(home, pulse(at, [entry("screen", "screen", at), entry("web", None, at, state=None)]))
    record(home, life("paused", at, extra={"until": "noon"}), window(0))
    tables = home.path / "lake" / "tables"
    odd = pl.DataFrame({"at": ["noon"], "date": ["2026-01-02"], "status": [1]})
    write_deltalake(str(tables / "afk"), odd.to_arrow(), partition_by=["date"])
    write_deltalake(str(tables / "mine"), pl.DataFrame({"x": [1]}).to_arrow())
    for file in (tables / "window").glob("_delta_log/*.json"):
        file.write_bytes(b"garbage")
    fleet = fleet_of(home)
    device = fleet.device(home.device)
    assert device
    assert device.stream("screen")
    assert [spell.end for spell in device.paused] == [None]
    told = " ".join(fleet.troubles)
    assert "'window'" in told
    assert "'afk'" in told
    assert {table.stream for table in fleet.storage.tables} >= {"pulse", "mine"}


def test_columns_that_an_older_table_lacks_are_unknown(home: Home) -> None:
    store = parse_url(home.lake_url, home)
    old = pl.DataFrame(
        {
            "id": ["a"],
            "device": ["old"],
            "epoch": ["e"],
            "seq": [0],
            "at": [utc(NOW - MINUTE_US)],
            "date": [utc(NOW).date()],
            "streams": [[{"stream": "screen", "state": "running"}]],
        }
    ).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))
    path = Path(store.table_url("pulse"))
    path.parent.mkdir(exist_ok=True)
    write_deltalake(str(path), old.to_arrow(), partition_by=["date"])
    fleet = fleet_of(home)
    assert fleet.troubles == ()
    device = fleet.device("old")
    assert device
    assert (device.version, device.disk_free_bytes) == (None, None)
    screen = device.stream("screen")
    assert screen
    assert (screen.state, screen.errors, screen.spool_bytes) == ("running", 0, None)


def test_the_last_verify_is_kept(home: Home) -> None:
    record(home, window(0), window(1))
    store = parse_url(home.lake_url, home)
    next((home.path / "lake/tables/window").rglob("*.parquet")).unlink()
    report = verify(store)
    verified.keep(store, report, at=NOW, device=home.device, read_data=False)
    found = fleet_of(home).verified
    assert found
    assert (found.at, found.device, found.count) == (NOW, home.device, len(report.findings))
    assert "missing" in found.findings[0]
    (home.path / "lake" / verified.KEY).write_bytes(b"[]")
    fleet = fleet_of(home)
    assert fleet.verified is None
    assert "verify" in fleet.troubles[-1]


def test_a_forecast_needs_a_fall() -> None:
    falling = tuple(Sample(n * MINUTE_US, 1000.0 - n) for n in range(100))
    assert full_at(falling) == 1000 * MINUTE_US
    assert full_at(falling[:3]) is None
    assert full_at(tuple(Sample(at, 5.0) for at, _ in falling)) is None
    bumped = tuple(Sample(at, value + 500 * (n == 50)) for n, (at, value) in enumerate(falling))
    assert full_at(bumped) == pytest.approx(1000 * MINUTE_US, rel=0.01)
