"""The index follows the lake: new rows, slices, edits, deletes, what was taken away or put back."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path

import orjson
import pytest
from deltalake import DeltaTable

from lifelog_lake.clock import US_PER_S
from lifelog_lake.errors import LakeUnreachable, Locked, Transient
from lifelog_lake.events import Event, new_event, new_id
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.store import table_key
from lifelog_lake.locks import FileLock
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.recall.pending import pending
from lifelog_lake.recall.search import filling
from lifelog_lake.recall.search.find import Finder
from lifelog_lake.recall.search.request import Request
from lifelog_lake.recall.search.waiting import Outlet
from lifelog_lake.spool import Spool
from tests.fixtures.derived import DAY_S, add, compact, reading
from tests.fixtures.searching import finder, ids
from tests.helpers import T0, FixedClock, make_home, ship, window


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def found(home: Home) -> Iterator[Finder]:
    opened = finder(home)
    yield opened
    opened.close()


def titled(n: int, title: str, **more: object) -> Event:
    return window(n, data={"title": title}, **more)


def entry(
    entry_id: str, lamport: int, *, parent: str | None = None, id: str | None = None, **data: object
) -> Event:
    given = {"entry_id": entry_id, "lamport": lamport, "parent": parent, **data}
    return new_event("journal", id=id, at=T0 + lamport * US_PER_S, data=given)


def state(home: Home, outlet: Outlet | None = None) -> list[bytes]:
    """Every document of the index, whole."""
    opened = Finder(home.path, parse_url(home.lake_url, home), outlet=outlet)
    opened.refresh()
    hits = []
    for stream in (*filling.SOURCES, "journal"):
        request = Request(streams=(stream,), order="newest", limit=500)
        hits += [hit.document for hit in opened.find(request).hits]
    opened.close()
    return sorted(one.stored() for one in hits)


def anew(home: Home) -> list[bytes]:
    """The same of an index that is made from nothing."""
    shutil.rmtree(home.path / "index")
    return state(home)


def test_only_new_rows_are_read(home: Home) -> None:
    add(home, titled(1, "alpha"))
    store = reading(home)
    opened = Finder(home.path, store)  # type: ignore[arg-type]
    opened.refresh()
    add(home, titled(2, "beta"), titled(3, "gamma"))
    store.seen.clear()
    filled = opened.refresh()
    assert filled is not None
    assert (filled.added, filled.removed) == (2, 0)
    assert store.seen["window"] == 1
    store.seen.clear()
    assert opened.refresh().added == 0  # type: ignore[union-attr]
    assert set(store.seen) <= {"lake.json", *(f"{name}/_delta_log" for name in filling.SOURCES)}
    assert len(ids(opened, "alpha OR beta OR gamma")) == 3
    opened.close()


def test_compaction_tells_nothing_new(home: Home, found: Finder) -> None:
    add(home, titled(1, "alpha"))
    add(home, titled(2, "beta"))
    found.refresh()
    compact(home, "window")
    assert found.refresh().added == 0  # type: ignore[union-attr]
    assert len(ids(found, "alpha OR beta")) == 2


def test_slices_are_one_hit_in_whatever_order_they_come(home: Home, found: Finder) -> None:
    first = titled(0, "long talk", end=T0 + 300 * US_PER_S)
    later = [
        titled(n * 300, "long talk", cont=first.id, end=T0 + (n + 1) * 300 * US_PER_S)
        for n in (1, 2)
    ]
    add(home, later[1])
    found.refresh()
    assert ids(found, "talk") == [first.id]
    add(home, first)
    found.refresh()
    add(home, later[0])
    found.refresh()
    (hit,) = found.find(Request(query="talk")).hits
    assert (hit.document.id, hit.document.at) == (first.id, T0)
    assert hit.document.end == T0 + 900 * US_PER_S
    assert state(home) == anew(home)


def test_slices_meet_across_chunks(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = titled(0, "long talk")
    later = [titled(n * DAY_S, "long talk", cont=first.id) for n in range(1, 4)]
    others = [titled(n * DAY_S + 7, f"other {n}") for n in range(4)]
    add(home, first, *later, *others)
    whole = state(home)
    assert len(whole) == 5
    monkeypatch.setattr(filling, "CHUNK", 1)
    assert anew(home) == whole


def test_an_edit_replaces_and_a_delete_removes(home: Home, found: Finder) -> None:
    made = entry("one", 1, title="Draft", description="about zebras", tags=["Work"])
    add(home, made, entry("two", 1, title="Another", description="zebras too"))
    found.refresh()
    assert sorted(ids(found, "zebras")) == ["one", "two"]
    edited = entry("one", 2, parent=made.id, title="Final", description="about lions")
    add(home, edited)
    found.refresh()
    assert ids(found, "zebras") == ["two"]
    assert ids(found, "tag:work") == []
    assert ids(found, "final lions") == ["one"]
    add(home, entry("one", 3, parent=edited.id, deleted=True))
    found.refresh()
    assert ids(found, "lions") == []
    assert state(home) == anew(home)


def test_an_edit_wins_against_a_delete_that_did_not_know_of_it(home: Home, found: Finder) -> None:
    made = entry("one", 1, title="Draft")
    add(home, made, entry("one", 3, parent=made.id, deleted=True))
    found.refresh()
    assert ids(found, "draft") == []
    add(home, entry("one", 2, parent=made.id, title="Edited elsewhere"))
    found.refresh()
    assert ids(found, "edited") == ["one"]


def test_entries_stand_as_the_journal_has_them(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with parents in a ring, and with children that aren't later, which others may write."""
    monkeypatch.setenv("LIFELOG_HOME", str(home.path))
    rng = random.Random(8)
    rows = []
    for n in range(40):
        known = [new_id() for _ in range(4)]
        rows += [
            entry(
                f"e{n}",
                rng.randint(1, 3),
                parent=rng.choice([None, *known]),
                id=row_id,
                deleted=rng.random() < 0.5,
                title=row_id,
            )
            for row_id in known
        ]
    add(home, *rows)
    lake = open_lake()
    stands = lake.entries().select("id", "title").sort("id")
    assert 20 < stands.height < 40
    assert stands.equals(lake.search(streams="journal", limit=500).select("id", "title").sort("id"))


def test_what_waits_in_the_spool_is_found_at_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIFELOG_HOME", str(home.path))
    made = entry("one", 1, title="Draft", description="about zebras")
    add(home, made)
    found = open_lake().finder()
    spool = Spool.of(home)
    spool.append([entry("one", 2, parent=made.id, title="Final"), entry("two", 1, title="New")])
    data = {"key": "k", "entry_id": "two", "name": "boarding-pass.pdf"}
    spool.append([new_event("attachment", at=T0, data=data)])
    found.refresh()
    asked = [ids(found, word) for word in ("zebras", "final", "boarding")]
    assert asked == [[], ["one"], ["two"]]
    assert found.refresh().added == 0  # type: ignore[union-attr]
    waiting = state(home, partial(pending, home))
    ship(home)
    found.refresh()
    assert state(home) == waiting == anew(home)
    assert pending(home, "journal") == []


def test_what_waited_and_never_came_is_no_longer_found(home: Home) -> None:
    rows = [{"id": "r", "device": "here", "at": T0, "entry_id": "one", "title": "Draft"}]
    outlet = {"journal": rows, "attachment": []}
    opened = Finder(home.path, reading(home), outlet=outlet.__getitem__)  # type: ignore[arg-type]
    opened.refresh()
    assert ids(opened, "draft") == ["one"]
    rows.clear()
    opened.refresh()
    assert ids(opened, "draft") == []
    opened.close()


def test_files_are_found_by_their_names(home: Home, found: Finder) -> None:
    add(home, entry("one", 1, title="Trip"))
    found.refresh()
    data = {"key": "k", "entry_id": "one", "name": "boarding-pass.pdf"}
    add(home, new_event("attachment", at=T0, data=data))
    found.refresh()
    assert ids(found, '"boarding pass"') == ["one"]
    assert state(home) == anew(home)


def test_the_newest_recognition_of_a_source_counts(home: Home, found: Finder) -> None:
    def recognised(version: int, text: str) -> Event:
        data = {"source_id": "frame", "transform_version": version, "text": text}
        return new_event("ocr", at=T0, id=new_id(), data=data)

    add(home, recognised(2, "second try"))
    found.refresh()
    add(home, recognised(1, "first try"))
    found.refresh()
    assert ids(found, "second") == ["frame"]
    assert ids(found, "first") == []
    assert state(home) == anew(home)


def test_days_that_lost_rows_lose_documents_and_keep_the_rest(home: Home, found: Finder) -> None:
    night = titled(DAY_S // 2, "over midnight")
    add(
        home,
        titled(1, "doomed one"),
        night,
        titled(DAY_S, "over midnight", cont=night.id),
        titled(DAY_S + 1, "spared"),
    )
    found.refresh()
    store = parse_url(home.lake_url, home)
    DeltaTable(store.table_url("window")).delete("date = '2026-01-02'")
    filled = found.refresh()
    assert filled is not None
    assert filled.removed == 2
    assert ids(found, "doomed") == []
    assert ids(found, "midnight") == [night.id]
    assert len(ids(found, "spared")) == 1
    assert state(home) == anew(home)


def test_a_table_made_anew_or_gone_is_noticed(home: Home, found: Finder) -> None:
    add(home, titled(1, "alpha"), entry("one", 1, title="alpha"))
    found.refresh()
    store = parse_url(home.lake_url, home)
    for key in list(store.keys(table_key("window"))):
        store.delete(key, at="test")
    found.refresh()
    assert ids(found, "alpha") == ["one"]
    assert state(home) == anew(home)


def test_another_generation_makes_it_anew(home: Home, found: Finder) -> None:
    add(home, titled(1, "alpha"))
    found.refresh()
    path = Path(home.lake_url) / "lake.json"
    told = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({**told, "generation": 2}))
    filled = found.refresh()
    assert filled is not None
    assert filled.added == 1
    assert len(list(found.index.path.glob("*/meta.json"))) == 1, "the old one stayed"


@pytest.mark.parametrize("name", ["meta.json", "places.json", "current.json"])
def test_a_damaged_index_is_made_anew(home: Home, found: Finder, name: str) -> None:
    add(home, titled(1, "alpha"))
    found.refresh()
    (path,) = found.index.path.rglob(name)
    path.write_bytes(b"{")
    opened = finder(home)
    assert len(ids(opened, "alpha")) == 1
    opened.close()


def test_a_missing_lake_empties_nothing(home: Home, found: Finder) -> None:
    add(home, titled(1, "alpha"))
    found.refresh()
    lake = Path(home.lake_url)
    lake.rename(lake.with_name("away"))
    with pytest.raises(LakeUnreachable):
        found.refresh()
    assert len(ids(found, "alpha")) == 1


def test_one_writes_and_the_others_read(home: Home, found: Finder) -> None:
    add(home, titled(1, "alpha"))
    found.refresh()
    add(home, titled(2, "alpha"))
    lock = FileLock(found.index.path / "write.lock")
    with lock:
        assert found.refresh(wait_s=0.0) is None
        assert len(ids(found, "alpha")) == 1
        with pytest.raises(Locked):
            found.index.rebuild(wait_s=0.0)
    lock.close()
    found.refresh()
    assert len(ids(found, "alpha")) == 2


def test_a_rebuild_leaves_readers_what_they_have(home: Home, found: Finder) -> None:
    add(home, titled(1, "alpha"))
    found.refresh()
    before = found.index.opened()
    assert before is not None
    found.index.rebuild()
    assert before.searcher.num_docs == 1
    assert len(ids(found, "alpha")) == 1


def test_unreadable_rows_are_told_and_the_rest_is_found(home: Home) -> None:
    add(home, titled(1, "alpha"))
    add(home, titled(2, "beta"))
    first, _ = sorted(
        (Path(home.lake_url) / table_key("window")).rglob("*.parquet"),
        key=lambda path: path.stat().st_mtime_ns,
    )
    first.write_bytes(b"no parquet")
    opened = Finder(home.path, parse_url(home.lake_url, home))
    filled = opened.refresh()
    assert filled is not None
    assert len(filled.unreadable) == 1
    assert len(ids(opened, "beta")) == 1
    opened.close()


def test_the_lake_answers_with_a_frame(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIFELOG_HOME", str(home.path))
    add(home, titled(2, "Quarterly Report"), entry("one", 1, title="report", tags=["a", "b"]))
    lake = open_lake()
    hits = lake.search("report", order="newest")
    assert hits["stream"].to_list() == ["window", "journal"]
    assert hits["snippet"][0] == "Quarterly Report"
    assert hits["marks"].to_list()[0] == [[10, 16]]
    assert lake.search(tags=["a", "b"])["id"].to_list() == ["one"]
    assert lake.search(tags=["a", "c"], match="any").height == 1
    assert lake.search("report", start=date(2026, 1, 3)).height == 0
    assert lake.search("report", streams="journal", devices=home.device).height == 1
    assert lake.search("nothing").schema == hits.schema
    assert (hits["local"].dt.epoch("us") == hits["at"].dt.epoch("us")).all()


def test_pages_stand_still_while_data_arrives(home: Home, found: Finder) -> None:
    add(home, *(titled(n, "word " * (n % 5 + 1)) for n in range(20)))
    found.refresh()
    for order in ("best", "newest"):
        asked = Request(query="word", order=order, limit=7)  # type: ignore[arg-type]
        whole = [hit.document.id for hit in found.find(Request(query="word", order=order)).hits]  # type: ignore[arg-type]
        page = found.find(asked)
        seen = [hit.document.id for hit in page.hits]
        while page.cursor is not None:
            add(home, titled(100 + len(seen), "word"))
            found.refresh()
            page = found.find(asked, cursor=page.cursor)
            seen += [hit.document.id for hit in page.hits]
        assert seen == whole


def test_facets_count_what_is_found(home: Home, found: Finder) -> None:
    add(
        home,
        titled(1, "plan"),
        entry("one", 1, title="plan", tags=["Work"]),
        entry("two", DAY_S, title="plan", tags=["Work", "home"]),
        entry("three", 1, title="other", tags=["home"]),
    )
    found.refresh()
    facets = found.find(Request(query="plan"), facets=True).facets
    assert facets["stream"] == [("journal", 2), ("window", 1)]
    assert facets["device"] == [(home.device, 3)]
    assert facets["tag"] == [("Work", 2), ("home", 1)]
    days = {date.fromtimestamp(day * DAY_S).isoformat(): n for day, n in facets["day"]}  # type: ignore[operator]
    assert days == {"2026-01-02": 2, "2026-01-03": 1}


def test_age_weighs_if_it_is_wanted(home: Home) -> None:
    old = new_event("window", at=T0, data={"title": "plan plan"})
    new = new_event("window", at=T0 + 100 * DAY_S * US_PER_S, data={"title": "the plan"})
    add(home, old, new)
    clock = FixedClock(new.at + DAY_S * US_PER_S)
    found = Finder(home.path, parse_url(home.lake_url, home), clock)
    found.refresh()

    def order(days: float) -> list[str]:
        hits = found.find(Request(query="plan", recency_days=days)).hits
        return [hit.document.id for hit in hits]

    assert order(0) == [old.id, new.id]
    assert order(20) == [new.id, old.id]
    found.close()


def test_a_broken_file_is_said_with_what_mends_it(home: Home, found: Finder) -> None:
    add(home, titled(1, "alpha"))
    found.refresh()
    for path in found.index.path.rglob("*.store"):
        path.write_bytes(b"")
    fresh = Finder(home.path, parse_url(home.lake_url, home))
    with pytest.raises(Transient, match="--rebuild"):
        fresh.find(Request(query="alpha"))
    fresh.close()


def test_a_crowded_moment_is_paged_without_loss(home: Home, found: Finder) -> None:
    add(home, *(titled(7, "crowd") for _ in range(60)), titled(8, "crowd"), titled(6, "crowd"))
    found.refresh()
    asked = Request(query="crowd", order="newest", limit=9)
    page = found.find(asked)
    seen = [hit.document.id for hit in page.hits]
    while page.cursor is not None:
        page = found.find(asked, cursor=page.cursor)
        seen += [hit.document.id for hit in page.hits]
    assert len(seen) == len(set(seen)) == 62
    assert seen == ids(found, "crowd")
