"""Thumbnails as a derived stream: each content once, only what is new, whoever runs it."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from PIL import Image

from lifelog_lake.care import thumbnails
from lifelog_lake.care.pictures import shrink
from lifelog_lake.care.thumbnail_index import ThumbnailIndex
from lifelog_lake.clock import SystemClock
from lifelog_lake.errors import LakeDamaged, LakeUnreachable, Transient
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.identity import read_identity, write_identity
from lifelog_lake.lake.local import LocalTarget
from lifelog_lake.lake.store import blob_key
from lifelog_lake.recall.lake import open_lake
from tests.fixtures.derived import (
    add,
    compact,
    make_thumbnails,
    picture,
    pictured,
    reading,
    wanted,
)
from tests.helpers import frame, make_home, rows, verified, window

MADE = "thumbnails made"
REFUSED = "contents that are no picture"
LOST = "contents missing or damaged"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def store_of(home: Home) -> LocalTarget:
    store = parse_url(home.lake_url, home)
    assert isinstance(store, LocalTarget)
    return store


def assert_each_once(home: Home) -> None:
    """Every content has one row, in its place, and its small picture lies in the lake."""
    made = rows(home, "thumbnail")
    assert sorted(made["source_sha256"]) == sorted(wanted(home))
    assert made["id"].is_unique().all()
    verified(home)


def test_each_content_gets_a_small_picture_once(home: Home) -> None:
    add(home, pictured(0), pictured(1), pictured(2, "frame 0"), window(0))
    assert make_thumbnails(home) == {MADE: 2, REFUSED: 0, LOST: 0}
    assert_each_once(home)
    frames, made = rows(home, "screen"), rows(home, "thumbnail")
    assert made["device"].to_list() == [home.device] * 2
    assert made["source_id"].to_list() == frames["id"].to_list()[:2]
    assert made["at"].to_list() == frames["at"].to_list()[:2]
    content = open_lake(home.lake_url).blob(made["blob"][0]).read()
    small = Image.open(io.BytesIO(content))
    assert (small.format, small.size) == ("WEBP", (320, 180))
    assert made.select("width", "height", "blob_bytes").row(0) == (320, 180, len(content))
    assert content == shrink(io.BytesIO(picture("frame 0")))


def test_only_what_is_new_is_read(home: Home) -> None:
    add(home, *(pictured(n) for n in range(6)))
    make_thumbnails(home)
    for n in range(6, 9):
        add(home, pictured(n), pictured(n - 6 + 86_400, f"frame {n - 6}"))  # one new, one known
        store = reading(home)
        assert make_thumbnails(home, store)[MADE] == 1
        assert store.seen["blobs"] == 1
        assert store.seen["screen"] == 2  # the two days' new files, none of before
    assert_each_once(home)


def test_nothing_to_do_reads_no_rows_and_commits_nothing(home: Home) -> None:
    add(home, pictured(0))
    make_thumbnails(home)
    version = DeltaTable(store_of(home).table_url("thumbnail")).version()
    store = reading(home)
    assert not any(make_thumbnails(home, store).values())
    assert (store.seen["blobs"], store.seen["screen"], store.seen["thumbnail"]) == (0, 0, 0)
    assert DeltaTable(store_of(home).table_url("thumbnail")).version() == version


def test_compaction_adds_nothing(home: Home) -> None:
    for n in range(3):
        add(home, pictured(n))
    make_thumbnails(home)
    compact(home, "screen")
    compact(home, "thumbnail")
    store = reading(home)
    assert not any(make_thumbnails(home, store).values())
    assert (store.seen["blobs"], store.seen["screen"]) == (0, 0)
    add(home, pictured(3))
    assert make_thumbnails(home)[MADE] == 1
    assert_each_once(home)


def test_files_that_were_compacted_away_unread_are_found_in_the_new_ones(home: Home) -> None:
    add(home, pictured(0))
    make_thumbnails(home)
    for n in range(1, 4):
        add(home, pictured(n))
    compact(home, "screen")
    table = DeltaTable(store_of(home).table_url("screen"))
    assert table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert make_thumbnails(home)[MADE] == 3
    assert_each_once(home)


def test_rows_that_were_taken_away_get_none(home: Home) -> None:
    add(home, pictured(0), pictured(86_400))
    make_thumbnails(home)
    add(home, pictured(1), pictured(86_401))
    DeltaTable(store_of(home).table_url("screen")).delete("seq = 2")
    assert make_thumbnails(home)[MADE] == 1
    there = set(rows(home, "thumbnail")["source_sha256"])
    assert hashlib.sha256(picture("frame 1")).hexdigest() not in there


@pytest.mark.parametrize("how", ["replaced", "put back", "restored", "cleaned up"])
def test_another_log_in_the_same_place_is_noticed(home: Home, tmp_path: Path, how: str) -> None:
    add(home, pictured(0))
    add(home, pictured(1))
    table = store_of(home).table("screen")
    shutil.copytree(table, tmp_path / "older")
    add(home, pictured(2))
    make_thumbnails(home)
    if how == "replaced":  # a table made anew, longer than the one before
        other = make_home(tmp_path / "other")
        for n in range(10, 16):
            add(other, pictured(n))
        shutil.copytree(store_of(other).root / "blobs", store_of(home).root / "blobs",
                        dirs_exist_ok=True)  # fmt: skip
        shutil.rmtree(table)
        shutil.copytree(store_of(other).table("screen"), table)
        new = 6
    elif how == "put back":  # an older copy, grown further than what was read
        shutil.rmtree(table)
        shutil.copytree(tmp_path / "older", table)
        for n in range(20, 23):
            add(home, pictured(n))
        new = 3
    elif how == "restored":
        DeltaTable(table).restore(1)
        add(home, pictured(30))
        new = 1
    else:
        add(home, pictured(40))
        handle = DeltaTable(table)
        handle.create_checkpoint()
        for entry in sorted((table / "_delta_log").glob("*.json"))[:-1]:
            entry.unlink()
        new = 1
    assert make_thumbnails(home)[MADE] == new
    assert not any(make_thumbnails(home).values())
    made = rows(home, "thumbnail")
    assert made["id"].is_unique().all()
    assert wanted(home) <= set(made["source_sha256"])


def test_what_is_no_picture_is_tried_once(home: Home) -> None:
    broken = picture("x")[:150]
    add(home, frame(0, b"<!doctype html>"), frame(1, broken), pictured(2))
    assert make_thumbnails(home) == {MADE: 1, REFUSED: 2, LOST: 0}
    noted = rows(home, "thumbnail").filter(pl.col("blob").is_null())
    assert noted["extra"].to_list() == [
        '{"refused":"This content isn\'t a picture."}',
        '{"refused":"The picture is damaged."}',
    ]
    add(home, frame(3, broken), pictured(4))  # the same content once more
    store = reading(home)
    assert make_thumbnails(home, store) == {MADE: 1, REFUSED: 0, LOST: 0}
    assert store.seen["blobs"] == 1
    assert_each_once(home)


def test_a_missing_or_damaged_content_is_said_and_holds_nothing_up(home: Home) -> None:
    add(home, *(pictured(n) for n in range(3)))
    frames = rows(home, "screen")["blob"]
    store = store_of(home)
    (store.root / blob_key(frames[0])).unlink()
    (store.root / blob_key(frames[1])).write_bytes(picture("another"))
    outcome = thumbnails.run(home, store, SystemClock())
    assert outcome.counts == {MADE: 1, REFUSED: 0, LOST: 2}
    assert "lifelog verify" in outcome.findings[0]
    assert outcome.words() == "thumbnails: 1 thumbnails made, 2 contents missing or damaged"
    assert rows(home, "thumbnail")["source_sha256"].to_list() == [frames[2]]


def test_a_long_backlog_goes_in_batches(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "BATCH", 4)
    add(home, *(pictured(n * 40_000) for n in range(10)))
    assert make_thumbnails(home)[MADE] == 10
    assert DeltaTable(store_of(home).table_url("thumbnail")).version() == 3
    assert_each_once(home)


def test_two_runs_at_once_make_each_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "BATCH", 3)
    other = make_home(home.path.parent / "second hub", lake=home.lake_url)
    add(home, *(pictured(n) for n in range(12)))
    with ThreadPoolExecutor(3) as threads:  # two of one home, one of another with its own index
        done = list(threads.map(make_thumbnails, (home, home, other)))
    assert sum(counts[MADE] for counts in done) == 12
    assert_each_once(home)


def test_the_index_is_disposable(home: Home) -> None:
    add(home, *(pictured(n) for n in range(4)))
    make_thumbnails(home)
    path = home.path / "index" / "thumbnails.db"
    frames = rows(home, "screen")["blob"].to_list()
    small = dict(rows(home, "thumbnail").select("source_sha256", "blob").iter_rows())
    for spoil in (
        path.unlink,
        lambda: path.write_bytes(os.urandom(8192)),
        lambda: None,
    ):
        spoil()
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        index = ThumbnailIndex(home.path, store_of(home))
        index.refresh()
        assert {name: index.get(name) for name in frames} == small
        assert index.get("0" * 64) is None
        index.close()
    shutil.rmtree(store_of(home).table("thumbnail"))
    index = ThumbnailIndex(home.path, store_of(home))
    index.refresh()
    assert index.known(frames) == set()
    index.close()


def test_what_it_cannot_use_names_the_remedy(home: Home) -> None:
    add(home, pictured(0))
    path = home.path / "index" / "thumbnails.db"
    path.mkdir(parents=True)
    with pytest.raises(Transient, match=r"index of the small pictures.*may be deleted"):
        make_thumbnails(home)
    path.rmdir()
    make_thumbnails(home)
    entry = Path(home.lake_url) / "tables" / "thumbnail" / "_delta_log" / f"{0:020d}.json"
    entry.write_text("{")
    with pytest.raises(LakeDamaged, match=r"'thumbnail' can't be read.*made anew") as caught:
        make_thumbnails(home)
    assert "\n" not in str(caught.value), "the engine's backtrace is nobody's"


def test_deleted_it_is_made_again(home: Home) -> None:
    add(home, *(pictured(n) for n in range(3)))
    make_thumbnails(home)
    before = rows(home, "thumbnail").drop("ingested_at", "seq")
    shutil.rmtree(store_of(home).table("thumbnail"))
    assert make_thumbnails(home)[MADE] == 3
    assert rows(home, "thumbnail").drop("ingested_at", "seq").sort("id").equals(before.sort("id"))
    assert_each_once(home)


def test_another_transformation_makes_all_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(home, *(pictured(n) for n in range(3)))
    make_thumbnails(home)
    monkeypatch.setattr("lifelog_lake.care.thumbnail_rows.VERSION", 2)
    monkeypatch.setattr("lifelog_lake.care.thumbnail_index._CURRENT", (("small-webp", 2),))
    (home.path / "index" / "thumbnails.db").unlink()
    assert make_thumbnails(home)[MADE] == 3
    assert sorted(rows(home, "thumbnail")["transform_version"]) == [1, 1, 1, 2, 2, 2]
    verified(home)


def test_a_lake_without_frames_gets_no_table(home: Home) -> None:
    add(home, window(0))
    assert not any(make_thumbnails(home).values())
    assert open_lake(home.lake_url).streams() == ["window"]


def test_a_lake_that_is_gone_or_being_made_is_left_alone(home: Home) -> None:
    add(home, pictured(0))
    store = store_of(home)
    identity = read_identity(store)
    assert identity is not None
    for state in ("filling", "removing"):
        write_identity(store, replace(identity, demo={"state": state}))
        assert not any(make_thumbnails(home).values())
    assert "thumbnail" not in store.streams()
    write_identity(store, replace(identity, demo={"state": "complete"}))
    assert make_thumbnails(home)[MADE] == 1
    store.root.rename(store.root.with_name("elsewhere"))
    with pytest.raises(LakeUnreachable):
        make_thumbnails(home)
    assert not store.root.exists()


def test_readers_of_events_see_nothing_of_them(home: Home) -> None:
    add(home, pictured(0), window(0))
    lake = open_lake(home.lake_url)
    before = lake.timeline("2026-01-02"), lake.last_day(), lake.devices()
    make_thumbnails(home)
    assert lake.timeline("2026-01-02").equals(before[0])
    assert (lake.last_day(), lake.devices()) == before[1:]
    held = {row["stream"]: row["rows"] for row in lake.summary().iter_rows(named=True)}
    assert held == {"screen": 1, "window": 1, "thumbnail": 1}
