"""Demo data: what a plan refuses, and that what it makes is a believable and valid lake."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import soundfile
from PIL import Image

import lifelog_lake
from lifelog_lake.demo.activity import Spans
from lifelog_lake.demo.plan import MAX_DAYS, Plan
from lifelog_lake.demo.rhythm import DEVICES, blocks_of, day_of
from lifelog_lake.demo.rows import GRID_US, Numbering, ids_of, sliced
from lifelog_lake.demo.scenes import ACTIVITIES, GROUPS, SCENES
from lifelog_lake.demo.sounds import sound
from lifelog_lake.errors import UsageError
from lifelog_lake.events import is_pulled
from lifelog_lake.recall.lake import Lake
from tests.fixtures.demo import A_WORKDAY, DemoLake, demo_lake  # noqa: F401 - fixture

END = date(2026, 5, 31)


@pytest.fixture(scope="module")
def lake(demo_lake: DemoLake) -> Lake:  # noqa: F811 - the fixture
    return lifelog_lake.open_lake(demo_lake.url)


# --- the plan -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "end", "events"),
    [
        (0, END, 5000),
        (-3, END, 5000),
        (MAX_DAYS + 1, END, 5000),
        (10, END, 0),
        (10, END, 10**9),
        (10, date(1971, 1, 5), 5000),
        (1, date(9999, 12, 31), 5000),
    ],
)
def test_what_cannot_be_made_is_refused(days: int, end: date, events: int) -> None:
    with pytest.raises(UsageError) as caught:
        Plan(days=days, seed=1, end=end, events_per_day=events)
    assert caught.value.hint


def test_a_plan_knows_its_own_mark() -> None:
    plan = Plan(days=10, seed=-(10**30), end=END)
    assert plan.made(plan.mark("filling"))
    assert plan.made(plan.mark("complete"))
    assert not plan.made(Plan(days=10, seed=2, end=END).mark("complete"))
    assert not plan.made(Plan(days=11, seed=-(10**30), end=END).mark("complete"))


# --- days, slices, ids ----------------------------------------------------------------------------


def test_a_day_is_the_same_in_every_lake_and_its_blocks_never_overlap() -> None:
    before = dict.fromkeys(DEVICES, 0)
    kinds = set()
    for offset in range(400):
        day = date(2025, 1, 1) + timedelta(days=offset)
        kinds.add(day_of(5, day)[1])
        blocks = blocks_of(5, day)
        assert blocks == blocks_of(5, day)
        for block in blocks:
            assert block.activity in ACTIVITIES
            assert before[block.device] <= block.begin < block.end <= block.until
            before[block.device] = block.until
            if block.after == "suspended":  # its one row must not cross midnight
                assert block.end // 86_400_000 == block.until // 86_400_000
    assert kinds == {"work", "home", "free", "travel", "away-work", "away-free"}


def test_every_activity_draws_from_groups_that_are_there() -> None:
    for activity in ACTIVITIES.values():
        assert all(GROUPS[name] for name, _ in activity.groups)
    assert len({(scene.app, scene.title) for scene in SCENES}) == len(SCENES)


def test_slices_end_on_the_grid_and_sum_up_to_the_event() -> None:
    begin = np.array([0, 299_999, 300_000, 1_000_000], np.int64)
    end = np.array([1, 300_001, 900_000, 1_700_000], np.int64)
    spans = Spans(begin=begin, end=end, what=begin, zone=begin)
    rows = sliced(spans)
    assert rows.event.tolist() == [0, 1, 1, 2, 2, 3, 3, 3]
    assert rows.first.tolist() == [True, True, False, True, False, True, False, False]
    assert (rows.at < rows.end).all()
    assert (rows.at // GRID_US == (rows.end - 1) // GRID_US).all()
    assert np.bincount(rows.event, rows.end - rows.at).tolist() == ((end - begin) * 1000).tolist()
    led = sliced(spans, at_once=True)
    assert len(led) == len(rows) + 4
    assert (led.at[led.first] == led.end[led.first]).all(), "a new frame's row comes at once"


def test_ids_are_uuids_of_their_kind_and_never_the_same() -> None:
    seq = np.arange(50_000)
    at = np.full(50_000, 1_780_000_000_000_000)
    one = Numbering(seed=1, device="a", stream="window", seq=0)
    other = Numbering(seed=1, device="b", stream="window", seq=0)
    pulled, made = ids_of(one, seq, at, "5").to_pylist(), ids_of(other, seq, at, "7").to_pylist()
    assert len({*pulled, *made}) == 100_000
    assert all(is_pulled(found) for found in pulled[:100])
    assert not any(is_pulled(found) for found in made[:100])
    assert all(found[19] in "89ab" for found in (*pulled[:100], *made[:100]))
    assert int(made[7].replace("-", "")[:12], 16) == 1_780_000_000_000


def test_a_minute_of_sound_can_be_played_and_has_no_chance_in_its_bytes() -> None:
    made = sound(3, "talk", 0)
    assert made == sound(3, "talk", 0)
    wave, rate_hz = soundfile.read(io.BytesIO(made.content))
    assert len(wave) / rate_hz == pytest.approx(60, abs=0.05)
    assert np.abs(wave).max() > 0.05
    assert 0.2 < made.speech < 0.95
    assert sound(3, "room", 0).speech == 0


# --- the lake of half a million -------------------------------------------------------------------


def test_it_has_about_as_many_events_as_were_asked_for(lake: Lake, demo_lake: DemoLake) -> None:  # noqa: F811
    count = sum(lake.scan(name).select(pl.len()).collect().item() for name in lake.streams())
    wanted = demo_lake.plan.days * demo_lake.plan.events_per_day
    assert 0.75 * wanted < count < 1.25 * wanted
    assert lake.demo is not None
    assert lake.demo["state"] == "complete"
    assert lake.devices() == sorted(DEVICES)


@pytest.mark.parametrize("stream", ["window", "afk", "web", "screen", "audio"])
def test_no_row_crosses_a_grid_line_and_none_overlaps_another(lake: Lake, stream: str) -> None:
    rows = lake.scan(stream).sort("device", "seq").collect()
    assert rows["id"].n_unique() == len(rows)
    long = rows.filter(pl.col("end") > pl.col("at"))
    at, end = (long[name].dt.timestamp("us") for name in ("at", "end"))
    assert (at // GRID_US == (end - 1) // GRID_US).all()
    assert (rows["at"].dt.date() == rows["date"]).all()
    for _, own in rows.group_by("device"):
        assert (own["at"] >= own["end"].shift(1).fill_null(own["at"].min())).all()
        assert own["seq"].to_list() == list(range(len(own)))


def test_a_window_is_there_only_while_somebody_was_or_has_just_been(lake: Lake) -> None:
    afk = lake.scan("afk").filter(pl.col("device") != "demo-phone").sort("at").collect()
    for device in ("demo-laptop", "demo-desktop"):
        windows = lake.scan("window").filter(pl.col("device") == device).collect()
        own = afk.filter(pl.col("device") == device)
        present = own.filter(pl.col("status") == "not-afk")
        away = own.filter(pl.col("status") == "afk")
        used = _seconds(windows)
        assert _seconds(present) <= used + 0.001, "whoever is present has a window"
        assert used < _seconds(present) + _seconds(away)
        # A window that begins, begins in presence.
        first = windows.filter(pl.col("cont").is_null()).sort("at")
        held = first.join_asof(present.sort("at").select("at", upto="end"), on="at")
        assert (held["upto"] >= held["at"]).all()


def test_a_page_lies_within_the_browser_window_that_shows_it(lake: Lake) -> None:
    pages = lake.scan("web").sort("at").collect()
    browsers = lake.scan("window").filter(pl.col("app") == "Firefox").sort("at").collect()
    found = pages.join_asof(
        browsers.select("at", "device", shown="title", from_="at", upto="end"),
        on="at",
        by="device",
        check_sortedness=False,
    )
    assert len(found) > 1000
    assert (found["upto"] >= found["end"]).all()
    assert (found["shown"] == found["title"] + " - Mozilla Firefox").all()
    assert found["url"].str.starts_with("https://").all()


def test_a_frame_shows_the_window_of_its_time_and_can_be_decoded(lake: Lake) -> None:
    frames = lake.scan("screen").filter(pl.col("cont").is_null()).sort("at").collect()
    windows = lake.scan("window").sort("at").collect()
    found = frames.join_asof(
        windows.select("at", "device", "title"), on="at", by="device", check_sortedness=False
    )
    assert found["title"].null_count() == 0
    titles = found.group_by("blob").agg(pl.col("title").n_unique())
    assert titles["title"].max() == 1, "a picture belongs to one title"
    assert frames["blob"].n_unique() > 200
    for row in frames.unique("blob").sort("blob").head(12).iter_rows(named=True):
        with lake.blob(row["blob"]) as file:
            image = Image.open(io.BytesIO(file.read()))
        assert (image.format, image.size) == ("WEBP", (row["width"], row["height"]))
        assert len(image.convert("RGB").getcolors(2**24) or []) > 50


def test_an_ordinary_day_has_a_rhythm(lake: Lake) -> None:
    day = lake.timeline(datetime.combine(A_WORKDAY, datetime.min.time(), UTC))
    assert {"screen", "window", "afk", "web", "sensor", "lifecycle"} <= set(day["stream"])
    hours = day.filter(pl.col("stream") == "window")["at"].dt.convert_time_zone("Europe/Berlin")
    by_hour = dict(hours.dt.hour().value_counts().iter_rows())
    assert sum(by_hour.get(hour, 0) for hour in (1, 2, 3, 4)) == 0, "the person sleeps"
    assert all(by_hour.get(hour, 0) > 5 for hour in (10, 15)), "and works"
    zones = lake.scan("window").select(pl.col("tz").unique()).collect()["tz"].to_list()
    assert "Europe/Berlin" in zones
    assert len(zones) > 1, "there was a trip"


def test_sound_notes_and_pulses_say_something(lake: Lake) -> None:
    audio = lake.scan("audio").collect()
    assert audio["speech"].max() > 0.3
    assert ((audio["end"] - audio["at"]).dt.total_seconds() == 60).all()
    with lake.blob(audio["blob"][0]) as file:
        assert file.read(4) == b"OggS"
    journal = lake.scan("journal").collect()
    assert journal["tags"].list.len().min() > 0
    revised = journal.filter(pl.col("parent").is_not_null())
    assert set(revised["parent"]) <= set(journal["id"])
    attached = lake.scan("attachment").collect()
    assert set(attached["entry_id"]) <= set(journal["entry_id"])
    pulse = lake.scan("pulse").collect()
    assert pulse["streams"].list.len().unique().to_list() == [5]
    assert set(lake.scan("lifecycle").collect()["kind"]) >= {"started", "stopped", "suspended"}


def _seconds(rows: pl.DataFrame) -> float:
    return (rows["end"] - rows["at"]).sum().total_seconds()
