"""The activitywatch collector against a real aw-server, into a real lake."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import polars as pl
import pytest

from collectors import aw_bucket
from collectors.activitywatch import PRIVATE
from lifelog_lake.collect.slices import GRID_US
from lifelog_lake.recall.lake import open_lake
from tests.fixtures.aw import (  # noqa: F401 - two fixtures
    AFK,
    T0_MS,
    WEB,
    WINDOW,
    AwServer,
    an_aw,
    event,
    shared_aw,
    start_aw,
)
from tests.fixtures.aw_device import AwDevice, exported
from tests.helpers import lifecycle, rows, verified

MINUTE_MS, DAY_MS = 60_000, 86_400_000
NOW = (T0_MS + 40 * DAY_MS) * 1000


def fill(aw: AwServer, seed: int, count: int = 3_000, days: int = 20) -> None:
    """A history of two hosts and two browsers: gaps, overlaps, long and empty events."""
    dice = random.Random(seed)
    kinds = [
        (aw.bucket("aw-watcher-window_host", WINDOW), ("app", "title")),
        (aw.bucket("aw-watcher-window_other", WINDOW, "other"), ("app", "title")),
        (aw.bucket("aw-watcher-afk_host", AFK), ("status",)),
        (aw.bucket("aw-watcher-web-firefox", WEB), ("url", "title")),
        (aw.bucket("aw-watcher-web-chrome", WEB), ("url", "title")),
    ]
    for name, columns in kinds:
        at, events = T0_MS, []
        for n in range(count // len(kinds)):
            at += int(dice.expovariate(1) * days * DAY_MS * len(kinds) / count)
            length = dice.choice([0, 0.5, 2, 30, 299.999, 300, 5_000, 100_000]) * dice.random()
            data = {column: f"{column} {n} ü" for column in columns}
            if columns == ("status",):
                data = {"status": dice.choice(["afk", "not-afk"])}
            events.append(event(at, round(length, 3), **data))
            if not n % 50:  # one that begins exactly where another does, and ends on the grid
                to_grid_s = (GRID_US - at * 1000 % GRID_US) / 1_000_000
                events.append(event(at, to_grid_s, **(data | {columns[0]: "twin"})))
        dice.shuffle(events)
        aw.insert(name, events)


def test_all_history_arrives_to_the_millisecond(
    aw: AwServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aw_bucket, "PAGE_EVENTS", 50)
    fill(aw, seed=1)
    device = AwDevice(tmp_path / "home", aw, now=NOW)
    shares = []
    for _ in range(500):
        device.runner.turn()
        if device.beat.share is None:
            break
        shares.append(device.beat.share)
        assert "of 2026-" in device.beat.doing
        assert device.runner.next_in_s() == 0
    assert shares == sorted(shares)
    assert device.beat.state == "running"
    assert set(device.beat.observed) == {"window", "afk", "web"}
    wanted = exported(aw.export())
    assert len(wanted) > 3_000
    assert device.shipped() == wanted
    window = rows(device.home, "window")
    longest = (window["end"] - window["at"]).max()
    assert longest is not None
    assert longest.total_seconds() <= 300  # type: ignore[union-attr]
    crossing = window.filter(pl.col("end").dt.offset_by("-1us").dt.date() > pl.col("date"))
    assert crossing.is_empty()
    verified(device.home)


def test_a_heartbeat_is_written_as_it_grows(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("aw-watcher-window_live", WINDOW)
    device = AwDevice(tmp_path / "home", aw, now=T0_MS * 1000)

    def live(until_ms: int, title: str) -> None:
        nonlocal at
        while at < until_ms:
            aw.heartbeat(name, at, 60, app="editor", title=title)
            device.clock.pass_s(at / 1000 - device.clock.now_us / 1_000_000)
            device.read()
            at += 30_000

    at = T0_MS
    live(T0_MS + 4 * MINUTE_MS, "one")
    device.shipped("window")
    live(T0_MS + 13 * MINUTE_MS, "one")
    first = rows_after_ship(device)
    assert len(first) == 3 - 1 + (T0_MS % 300_000 > 120_000)  # those that a grid line has closed
    assert all(end.timestamp() * 1e6 % GRID_US == 0 for end in first["end"])
    live(T0_MS + 14 * MINUTE_MS, "two")  # a newer event: the one before has ended
    last = rows_after_ship(device)
    ended = exported(aw.export())[0]
    assert device.shipped("window") == [ended]
    assert set(first["id"]) < set(last["id"])
    device.restart()
    device.read()
    assert device.shipped("window") == [ended]
    device.clock.pass_s(3_600)  # nothing comes any more: the last one has ended too
    device.read()
    assert device.shipped() == exported(aw.export())
    timeline = open_lake(device.home.lake_url).timeline("2026-01-02", "2026-01-03", ["window"])
    assert timeline["text"].to_list() == ["editor · one", "editor · two"]


def rows_after_ship(device: AwDevice) -> pl.DataFrame:
    """The window rows in the lake, after shipping."""
    device.shipped("window")
    return rows(device.home, "window")


@pytest.mark.parametrize("length_s", [0, 90, 200])
def test_an_event_that_grows_after_its_end_is_continued(
    aw: AwServer, tmp_path: Path, length_s: int
) -> None:
    """A queue of heartbeats that was sent late: never a row that overlaps, never time lost."""
    # Its own name: the server remembers the last heartbeat of a bucket that was deleted.
    name = aw.bucket(f"aw-watcher-afk_host{length_s}", AFK)
    aw.heartbeat(name, T0_MS, 0, status="afk")
    if length_s:
        aw.heartbeat(name, T0_MS + length_s * 1000, 7_200, status="afk")
    device = AwDevice(tmp_path / "home", aw, now=T0_MS * 1000 + 3_600_000_000)
    device.read()
    assert device.shipped("afk") == exported(aw.export())
    aw.heartbeat(name, T0_MS + 1_000_000, 7_200, status="afk")
    if length_s == 90:
        device.restart()
    device.clock.pass_s(7_200)
    device.read()
    found = exported(aw.export())
    assert found[0][2] == 1_000_000
    assert device.shipped("afk") == found
    (device.home.spool / "afk").rename(tmp_path / "wiped")
    device.restart()
    device.read()
    assert device.shipped("afk") == found


def test_an_event_of_days_is_followed(aw: AwServer, tmp_path: Path) -> None:
    """The server finds what is longer than a day only near its start."""
    name = aw.bucket("aw-watcher-afk_long", AFK)
    device = AwDevice(tmp_path / "home", aw, now=T0_MS * 1000)
    for hours in (0, 20, 30, 55):
        aw.heartbeat(name, T0_MS + hours * 3_600_000, 90_000, status="afk")
        device.clock.pass_s(T0_MS / 1000 + hours * 3_600 - device.clock.now_us / 1e6)
        device.read()
        if hours == 30:
            device.restart()
    aw.heartbeat(name, T0_MS + 56 * 3_600_000, 1, status="not-afk")
    device.clock.pass_s(7_200)
    device.read()
    found = exported(aw.export())
    assert found[0][2] == 55 * 3_600_000
    assert device.shipped("afk") == found


def test_reading_everything_again_adds_nothing(
    aw: AwServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aw_bucket, "PAGE_EVENTS", 100)
    fill(aw, seed=2, count=600)
    lake = tmp_path / "lake"
    device = AwDevice(tmp_path / "home", aw, lake=lake, now=NOW)
    device.read()
    wanted = device.shipped()
    before = {name: rows(device.home, name)["id"].to_list() for name in ("window", "afk", "web")}
    shutil.rmtree(device.home.spool)  # a wiped spool
    device.restart()
    device.read()
    assert device.shipped() == wanted
    assert lifecycle(device.home, "present")

    again = start_aw(tmp_path / "reinstalled")  # a re-install with an import
    try:
        again.take(aw.export())
        assert again.api("info")["device_id"] != aw.api("info")["device_id"]
        for path in ("home", "second"):  # the same home, and another device
            other = AwDevice(tmp_path / path, again, lake=lake, now=NOW)
            other.read()
            assert other.shipped() == wanted
    finally:
        again.stop()
    after = {name: rows(device.home, name)["id"].to_list() for name in before}
    assert {n: sorted(ids) for n, ids in after.items()} == {
        n: sorted(ids) for n, ids in before.items()
    }
    verified(device.home)


def test_what_comes_late_or_changes_is_added_and_said(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("aw-watcher-window_host", WINDOW)
    at = T0_MS
    aw.insert(name, [event(at + n * 60_000, 50, app="a", title=str(n)) for n in range(20)])
    device = AwDevice(tmp_path / "home", aw, now=(at + 20 * 60_000) * 1000)
    device.read()
    before = device.shipped("window")
    aw.insert(name, [event(at + 8 * 60_000 + 51_000, 5, app="a", title="late")])
    ids = {e["data"]["title"]: e["id"] for e in aw.api(f"buckets/{name}/events")}
    aw.insert(name, [event(at + 9 * 60_000, 58, app="a", title="9") | {"id": ids["9"]}])
    aw.api(f"buckets/{name}/events/{ids['10']}", method="DELETE")
    device.clock.pass_s(60)
    device.read()
    assert device.shipped("window") == before  # not each look goes back an hour
    device.clock.pass_s(300)
    beat = device.read()
    assert beat.state == "running"
    assert "2 past events of aw-watcher-window_host" in beat.reason
    gone = [told for told in before if told[3].endswith('"10"}')]
    shown = device.shipped("window")
    assert sorted(set(shown) - set(gone)) == [t for t in exported(aw.export()) if t in shown]
    assert len(shown) == len(before) + 1
    assert any('"late"' in told[3] for told in shown)
    assert [told[2] for told in shown if told[3].endswith('"9"}')] == [58_000]
    device.clock.pass_s(301)
    assert device.read().reason == ""


def test_short_events_are_left_out_as_a_whole(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("aw-watcher-window_brief", WINDOW)
    grid_ms = (T0_MS // 300_000 + 1) * 300_000
    device = AwDevice(tmp_path / "home", aw, now=grid_ms * 1000, min_duration_s=60)
    at = grid_ms - 10_000
    for n in range(20):  # ten seconds before the grid line: too short when it is crossed
        aw.heartbeat(name, at + n * 5_000, 60, app="a", title="long enough")
        device.clock.pass_s(5)
        device.read()
    aw.heartbeat(name, at + 101_000, 60, app="a", title="short")
    aw.heartbeat(name, at + 160_000, 60, app="a", title="short")
    aw.heartbeat(name, at + 161_000, 60, app="a", title="next")
    device.clock.pass_s(120)
    device.read()
    found = exported(aw.export())
    assert [told[2] for told in found] == [95_000, 59_000, 0]
    assert device.shipped("window") == found[:1]
    assert len(rows(device.home, "window")) == 2


def test_private_windows_stay_private_unless_wanted(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("aw-watcher-web-firefox", WEB)
    page = {"url": "https://example.org/", "title": "a page", "audible": False, "tabCount": 3}
    aw.insert(
        name,
        [
            event(T0_MS, 10, **page, incognito=False, favicon="x"),
            event(T0_MS + 20_000, 10, **(page | {"url": "https://secret/"}), incognito=True),
            event(T0_MS + 40_000, 10, **page, incognito=False),
        ],
    )
    device = AwDevice(tmp_path / "home", aw, now=NOW)
    device.read()
    assert len(device.shipped("web")) == 2
    row = rows(device.home, "web").row(0, named=True)
    assert (row["tab_count"], row["audible"], row["bucket"]) == (3, False, name)
    assert row["extra"] == '{"favicon":"x"}'
    everything = b"".join(p.read_bytes() for p in device.home.path.rglob("*") if p.is_file())
    assert b"secret" not in everything
    (cursor,) = device.spool.cursor("web").values()
    assert cursor["counts"] == {"private": 1, "short": 0, "refused": 0, "rewritten": 0}
    assert device.beat.excluded == {}  # long ago
    present = AwDevice(tmp_path / "present", aw, now=(T0_MS + 60_000) * 1000)
    present.read()
    begin = (T0_MS + 20_000) * 1000
    assert present.beat.excluded == {"web": ((begin, begin + 10_000_000, PRIVATE),)}
    wanting = AwDevice(tmp_path / "wanting", aw, now=NOW, private_windows=True)
    wanting.read()
    assert len(wanting.shipped("web")) == 3


def test_a_named_bucket_is_the_only_one_of_its_stream(aw: AwServer, tmp_path: Path) -> None:
    for name in ("aw-watcher-window_a", "aw-watcher-window_b"):
        aw.insert(aw.bucket(name, WINDOW), [event(T0_MS, 5, app="x", title="y")])
    both = AwDevice(tmp_path / "both", aw, now=NOW)
    both.read()
    assert {told[0] for told in both.shipped()} == {"aw-watcher-window_a", "aw-watcher-window_b"}
    assert "extension" in both.beat.unseen["web"]
    one = AwDevice(tmp_path / "one", aw, now=NOW, window_bucket="aw-watcher-window_b")
    one.read()
    assert {told[0] for told in one.shipped()} == {"aw-watcher-window_b"}
    none = AwDevice(tmp_path / "none", aw, now=NOW, window_bucket="typo")
    none.read()
    assert "no bucket 'typo'" in none.beat.unseen["window"]
    assert none.beat.observed == {}


def test_what_cannot_be_a_row_is_kept_aside(aw: AwServer, tmp_path: Path) -> None:
    name = aw.bucket("aw-watcher-window_host", WINDOW)
    good = event(T0_MS, 10, app="a", title="good")
    deep: object = "deep"
    for _ in range(60):
        deep = [deep]
    aw.insert(
        name,
        [
            good,
            event(T0_MS + 1_000, -5, app="a", title="negative"),
            event(T0_MS + 2_000, 1e9, app="a", title="absurd"),
            event(T0_MS + 3_000, 1, app="a", title=deep),
            event(T0_MS + 4_000, 10, app=5, title=None, odd="\ud800", big=10**30),
            event(T0_MS + 20_000, 10, app="a", title="last"),
        ],
    )
    device = AwDevice(tmp_path / "home", aw, now=NOW)
    beat = device.read()
    assert beat.state == "running"
    assert beat.errors == 1  # one answer, one note
    device.clock.pass_s(301)
    device.read()
    assert device.beat.errors == 1  # not told again
    (payload,) = (device.home.spool / "window" / "quarantine").glob("*.payload")
    assert len(payload.read_text("utf-8").splitlines()) == 3
    assert len(device.shipped("window")) == 3
    repaired = rows(device.home, "window").filter(pl.col("extra").str.contains("_repaired"))
    assert len(repaired) == 1
