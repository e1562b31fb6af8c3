"""Entries: written, changed, deleted, listed; what the spool holds is seen at once."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from lifelog_lake.clock import US_PER_S
from lifelog_lake.errors import (
    EntryChanged,
    EntryExists,
    LakeUnreachable,
    UnknownEntry,
    UsageError,
)
from lifelog_lake.events import new_event
from lifelog_lake.home import Home
from lifelog_lake.lake import parse_url
from lifelog_lake.lake.identity import read_identity, write_identity
from lifelog_lake.recall.journal import reach
from lifelog_lake.recall.journal.index import index_path
from lifelog_lake.recall.journal.journal import Journal
from lifelog_lake.recall.journal.model import NewEntry, parse
from lifelog_lake.recall.journal.pages import Query
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.spool import Spool
from tests.fixtures.journal import (
    changed,
    home_of,
    journal_of,
    listed,
    titles,
    upload,
    written,
)
from tests.helpers import T0, ship, verified


@pytest.fixture(name="home")
def a_home(tmp_path: Path) -> Home:
    return home_of(tmp_path / "home")


@pytest.fixture(name="journal")
def a_journal(home: Home) -> Iterator[Journal]:
    with journal_of(home) as journal:
        yield journal


def test_an_entry_is_the_same_before_and_after_it_is_shipped(home: Home, journal: Journal) -> None:
    given = {
        "title": "שלום · 日本 🍝\tline\ntwo",
        "description": "x" * 5000,
        "tags": ["b", " a ", "b"],
        "metadata": {"n": [1, 1.5, None, True, {"deep": "é"}]},
        "at": "1901-02-03T04:05:06.000007+02:00",
        "tz": "Asia/Tokyo",
    }
    entry = journal.create(parse(NewEntry, given))
    assert entry.current.tags == ("b", "a")
    assert journal.get(entry.id) == entry
    ship(home)
    assert journal.get(entry.id) == entry
    (row,) = open_lake(home.lake_url).scan("journal").collect().to_dicts()
    assert (row["entry_id"], row["title"], row["tags"]) == (entry.id, given["title"], ["b", "a"])
    assert (str(row["date"]), row["tz"]) == ("1901-02-03", "Asia/Tokyo")
    verified(home)


def test_an_edit_is_a_revision_and_changes_what_is_given(home: Home, journal: Journal) -> None:
    first = written(journal, tags=["a"], description="before", metadata={"x": 1})
    ship(home)
    second = changed(journal, first.id, title="new", description=None)
    assert (second.current.title, second.current.description) == ("new", "")
    assert (second.current.tags, second.current.metadata) == (("a",), {"x": 1})
    assert second.current.created_at == first.current.created_at
    assert (second.current.parent, second.current.lamport) == (first.revision, 2)
    assert journal.get(first.id) == second
    assert [one.title for one in journal.history(first.id)] == ["a note", "new"]
    assert changed(journal, first.id, title="new").revision == second.revision
    assert changed(journal, first.id, metadata={"x": True}).revision != second.revision


def test_a_change_for_another_revision_is_refused(journal: Journal) -> None:
    first = written(journal)
    second = changed(journal, first.id, expected=first.revision, title="second")
    with pytest.raises(EntryChanged, match="changed meanwhile"):
        changed(journal, first.id, expected=first.revision, title="third")
    with pytest.raises(EntryChanged):
        journal.delete(first.id, expected=first.revision)
    assert journal.get(first.id) == second
    journal.delete(first.id, expected=second.revision)


def test_a_deleted_entry_is_gone_but_for_its_history(home: Home, journal: Journal) -> None:
    entry = written(journal)
    journal.delete(entry.id)
    for _ in range(2):
        assert listed(journal) == []
        with pytest.raises(UnknownEntry):
            journal.get(entry.id)
        with pytest.raises(UnknownEntry):
            changed(journal, entry.id, title="x")
        with pytest.raises(UnknownEntry):
            journal.delete(entry.id)
        assert [one.deleted for one in journal.history(entry.id)] == [False, True]
        ship(home)
    with pytest.raises(EntryExists):
        written(journal, id=entry.id)


def test_a_deleted_entry_comes_back_with_its_files(home: Home, journal: Journal) -> None:
    entry = written(journal, "kept", tags=["a"])
    file = journal.attach(entry.id, upload(b"words", "a.txt"))
    changed(journal, entry.id, title="kept, edited")
    assert journal.undelete(entry.id).current.lamport == 2, "it isn't deleted: nothing is written"
    for shipped in (False, True):
        journal.delete(entry.id)
        if shipped:
            ship(home)
        back = journal.undelete(entry.id)
        assert (back.current.title, back.current.tags) == ("kept, edited", ("a",))
        assert back.attachments == (file,)
        assert titles(journal, Query(tags=("a",))) == ["kept, edited"]
    assert [one.deleted for one in journal.history(entry.id)] == [
        *(False, False),
        *(True, False),
        *(True, False),
    ]
    with pytest.raises(UnknownEntry):
        journal.undelete("nothing")


def test_of_branches_the_one_that_was_shown_comes_back(journal: Journal) -> None:
    """Elsewhere it was edited three times and deleted; here edited once, so it stayed."""
    first = written(journal, "root").current
    elsewhere = [
        dataclasses.replace(first, id=f"e{n}", parent=f"e{n - 1}" if n > 2 else first.id, lamport=n,
                            title=f"elsewhere {n}", device="other", deleted=n == 5)
        for n in range(2, 6)
    ]  # fmt: skip
    here = dataclasses.replace(first, id="h2", parent=first.id, lamport=2, title="here")
    journal.bring([*elsewhere, here])
    assert journal.get(first.entry_id).current.title == "here"
    journal.delete(first.entry_id)
    assert journal.undelete(first.entry_id).current.title == "here"


def test_an_id_is_given_once(journal: Journal) -> None:
    assert written(journal, id="shopping-7").id == "shopping-7"
    with pytest.raises(EntryExists):
        written(journal, id="shopping-7")


def test_another_process_and_another_device_see_it(home: Home, tmp_path: Path) -> None:
    other = home_of(tmp_path / "other", lake=Path(home.lake_url))
    with journal_of(home) as one, journal_of(home) as two, journal_of(other) as away:
        entry = written(one)
        assert two.get(entry.id) == entry
        assert listed(away) == []
        ship(home)
        assert away.get(entry.id) == entry
        changed(away, entry.id, title="from there")
        assert one.get(entry.id) == entry
        ship(other)
        assert one.get(entry.id).current.title == "from there"
        assert one.get(entry.id).current.device == other.device


# --- lists --------------------------------------------------------------------------------------


def day(number: int) -> str:
    return f"2026-01-{number:02}T12:00:00Z"


def test_a_list_is_filtered_and_sorted(home: Home, tmp_path: Path, journal: Journal) -> None:
    for n in range(1, 20):
        tags = [*(["even"] if n % 2 == 0 else []), *(["three"] if n % 3 == 0 else [])]
        written(journal, f"n{n}", at=day(20 - n), tags=tags)
    assert titles(journal) == [f"n{n}" for n in range(1, 20)]
    assert titles(journal, Query(sort="created_at")) == [f"n{n}" for n in range(19, 0, -1)]
    assert titles(journal, Query(newest_first=False))[0] == "n19"
    assert titles(journal, Query(tags=("even", "three"))) == ["n6", "n12", "n18"]
    either = titles(journal, Query(tags=("even", "three"), match="any"))
    assert either == [f"n{n}" for n in range(1, 20) if n % 2 == 0 or n % 3 == 0]
    start, end = (T0 // 86_400 // US_PER_S + n for n in (3, 5))
    bounds = Query(start=start * 86_400 * US_PER_S, end=end * 86_400 * US_PER_S)
    assert titles(journal, bounds) == ["n14", "n15"]
    assert len(titles(journal, Query(devices=(home.device,)))) == 19
    assert titles(journal, Query(devices=("elsewhere",))) == []


def test_a_common_tag_is_found_as_a_rare_one(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(9):
        written(journal, f"n{n}", at=day(n + 1), tags=["t"] if n % 2 else [])
    rare = titles(journal, Query(tags=("t",)))
    monkeypatch.setattr("lifelog_lake.recall.journal.pages.RARE", 1)
    assert titles(journal, Query(tags=("t",))) == rare == ["n7", "n5", "n3", "n1"]


def test_pages_stay_while_entries_come_and_go(journal: Journal) -> None:
    made = [written(journal, f"n{n}", at=day(n + 1)) for n in range(10)]
    first = journal.page(Query(), limit=4)
    written(journal, "newer", at=day(28))
    written(journal, "older", at="2025-01-01T00:00:00Z")
    journal.delete(made[6].id)  # the very one that the page ended with
    second = journal.page(Query(), limit=100, cursor=first.cursor)
    assert [one.current.title for one in first.entries] == ["n9", "n8", "n7", "n6"]
    assert [one.current.title for one in second.entries] == [f"n{n}" for n in range(5, -1, -1)] + [
        "older"
    ]
    assert second.cursor is None


def test_entries_of_one_moment_are_all_listed_once(journal: Journal) -> None:
    for n in range(20):
        written(journal, f"n{n}", at=day(1))
    assert sorted(titles(journal)) == sorted(f"n{n}" for n in range(20))


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "bnVsbA", "W10", "WzEsMiwzXQ", "[1,2,3]", "A" * 100_000]
)
def test_a_cursor_that_is_none_is_refused(journal: Journal, cursor: str) -> None:
    written(journal)
    with pytest.raises(UsageError, match="cursor"):
        journal.page(Query(), cursor=cursor)


def test_a_cursor_belongs_to_its_list(journal: Journal) -> None:
    for _ in range(3):
        written(journal, tags=["a"])
    cursor = journal.page(Query(), limit=1).cursor
    with pytest.raises(UsageError, match="cursor"):
        journal.page(Query(tags=("a",)), cursor=cursor)
    for limit in (0, -1, 501, 10**9):
        with pytest.raises(UsageError, match="1 to 500"):
            journal.page(Query(), limit=limit)


# --- the index ----------------------------------------------------------------------------------


def test_the_index_may_be_deleted_damaged_and_foreign(home: Home) -> None:
    with journal_of(home) as journal:
        kept = [written(journal, f"n{n}") for n in range(3)]
        ship(home)
        kept.append(changed(journal, kept[0].id, title="again"))
    expected = {kept[1].id: kept[1], kept[2].id: kept[2], kept[0].id: kept[3]}
    path = index_path(home.path)
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o600
    for content in (None, b"", b"no database" * 1000, path.read_bytes()[:5000]):
        for end in ("-wal", "-shm", ""):
            path.with_name(path.name + end).unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with journal_of(home) as journal:
            assert {one.id: one for one in listed(journal)} == expected


def test_a_full_disk_keeps_nothing_from_being_read(
    home: Home, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = "lifelog_lake.recall.journal.index.ROOM_BYTES"
    monkeypatch.setattr(room, 2**62)
    written(journal, "before")
    index = journal.index()
    index._db.execute("PRAGMA max_page_count = 1")  # as many as there are: SQLite says it is full
    text = "x" * 50_000
    for title in ("one", "two"):
        written(journal, title, description=text)
        assert title in titles(journal)
    ship(home)
    assert sorted(titles(journal)) == ["before", "one", "two"]
    with journal.snapshot() as there:
        assert there.count() == 3
    assert index._left
    written(journal, "three")
    monkeypatch.setattr(room, -1)  # there is room again
    assert sorted(titles(journal)) == ["before", "one", "three", "two"]
    assert not index._left
    with journal_of(home) as another:
        assert len(titles(another)) == 4


def test_rows_that_were_taken_from_the_lake_go(home: Home, journal: Journal) -> None:
    gone, stays = written(journal, "gone"), written(journal, "stays")
    ship(home)
    waiting = written(journal, "waiting")
    assert len(listed(journal)) == 3
    store = parse_url(home.lake_url, home)
    DeltaTable(store.table_url("journal")).delete(f"entry_id = '{gone.id}'")
    assert {one.id for one in listed(journal)} == {stays.id, waiting.id}
    identity = read_identity(store)
    assert identity is not None
    write_identity(store, dataclasses.replace(identity, generation=identity.generation + 1))
    assert {one.id for one in listed(journal)} == {stays.id, waiting.id}


def test_what_is_written_while_a_lake_hangs_is_told(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs() -> str:
        written(journal, "meanwhile")
        raise LakeUnreachable("It doesn't answer.", hint="Wait.")

    monkeypatch.setattr(journal.index(), "_reach", hangs)
    assert titles(journal) == ["meanwhile"]


def test_without_a_lake_in_reach_what_is_known_is_told(home: Home, journal: Journal) -> None:
    known = written(journal, "known")
    ship(home)
    listed(journal)
    assert journal.away is None
    lake = Path(home.lake_url)
    lake.rename(lake.with_name("unmounted"))
    offline = written(journal, "offline")
    changed(journal, known.id, title="known, edited")
    assert set(titles(journal)) == {"known, edited", "offline"}
    assert journal.away is not None
    lake.with_name("unmounted").rename(lake)
    ship(home)
    assert set(titles(journal)) == {"known, edited", "offline"}
    assert journal.away is None
    with journal_of(home) as fresh:
        shutil.rmtree(home.path / "index")
        assert fresh.get(offline.id) == offline
    verified(home)


def test_a_lake_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "SLOW_S", -1.0)  # what fails counts as slow
    asked: list[str] = []
    answered = threading.Event()

    def ask() -> str:
        asked.append(threading.current_thread().name)
        if len(asked) > 1:
            answered.wait(60)
        if len(asked) < 3:
            raise LakeUnreachable(f"silent {len(asked)}", hint="Wait.")
        return "there"

    lake = reach.Reach(ask)
    for _ in range(4):  # three of them while a thread asks
        with pytest.raises(LakeUnreachable, match="silent 1"):
            lake()
    assert asked == [threading.current_thread().name, "lake"]
    answered.set()
    assert lake._thread is not None
    lake._thread.join(60)
    with pytest.raises(LakeUnreachable, match="silent 2"):
        lake()
    lake._thread.join(60)
    assert lake() == "there"


def test_rows_of_other_writers_are_entries_too(home: Home, journal: Journal) -> None:
    old = new_event("journal", at=T0, data={"title": "of an older version", "tags": None})
    bare = new_event("journal", at=T0 + 1, data={"entry_id": "e1", "metadata": "no json"})
    Spool.of(home).append([old, bare])
    found = {one.id: one.current for one in listed(journal)}
    assert found[old.id].title == "of an older version"
    assert found[old.id].created_at == found[old.id].written_at
    assert found["e1"].metadata == {"value": "no json"}
    ship(home)
    assert {one.id: one.current for one in listed(journal)} == found
    assert changed(journal, old.id, title="edited").current.lamport == 1


# --- what may be in one -------------------------------------------------------------------------

DEEP: object = "x"
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", ""),
        ("title", " \n"),
        ("title", "x" * 10_001),
        ("title", "a\0b"),
        ("title", "\ud800"),
        ("title", None),
        ("title", 5),
        ("description", "x" * 100_001),
        ("tags", "a,b"),
        ("tags", [""]),
        ("tags", ["x" * 101]),
        ("tags", [f"t{n}" for n in range(65)]),
        ("tags", ["\0"]),
        ("metadata", []),
        ("metadata", {"x": float("nan")}),
        ("metadata", {"x": 2**63}),
        ("metadata", {"x": DEEP}),
        ("metadata", {"x": "y" * 70_000}),
        ("metadata", {"\0": 1}),
        ("metadata", {"x": {1, 2}}),
        ("at", "2026-01-02T03:04:05"),
        ("at", "1899-12-31T23:59:59Z"),
        ("at", "2200-01-01T00:00:00Z"),
        ("at", "0001-01-01T00:00:00+14:00"),
        ("at", "9999-12-31T23:59:59-14:00"),
        ("at", "yesterday-ish"),
        ("at", 12),
        ("id", "../x"),
        ("id", "x" * 101),
        ("tz", "a b"),
        ("unknown", 1),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=field):
        parse(NewEntry, {"title": "t", field: value})


def test_the_greatest_entry_fits_into_a_row(home: Home, journal: Journal) -> None:
    awkward = "\x01" * 100_000  # six bytes each, as JSON
    given = {
        "title": awkward[:10_000],
        "description": awkward,
        "tags": [f"\x01{n}" * 33 for n in range(64)],
        "metadata": {"x": '"\\' * 16_000},
        "at": "2199-12-31T23:59:59.999999Z",
    }
    entry = journal.create(parse(NewEntry, given))
    ship(home)
    assert journal.get(entry.id) == entry
    assert open_lake(home.lake_url).scan("journal").select(pl.col("extra")).collect().item() is None


def test_of_many_edits_at_once_one_wins(home: Home, journal: Journal) -> None:
    first = written(journal)

    def attempt(number: int) -> str | None:
        with journal_of(home) as own:
            given = own if number % 2 else journal  # threads of one, and others beside it
            try:
                return changed(given, first.id, expected=first.revision, title=f"{number}").revision
            except EntryChanged:
                return None

    with ThreadPoolExecutor(6) as threads:
        done = [revision for revision in threads.map(attempt, range(12)) if revision is not None]
    assert done == [journal.get(first.id).revision]
    assert len(journal.history(first.id)) == 2


def test_threads_and_processes_write_and_list_at_once(home: Home, journal: Journal) -> None:
    def write(number: int) -> str:
        with journal_of(home) as own:
            made = (own if number % 2 else journal).create(NewEntry(title=f"{number}"))
            assert made.id in {entry.id for entry in listed(journal)}
            return made.id

    with ThreadPoolExecutor(6) as threads:
        made = set(threads.map(write, range(24)))
        ship(home)
    assert {entry.id for entry in listed(journal)} == made
    verified(home)
