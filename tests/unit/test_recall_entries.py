"""Entries and their files in the lake's timeline: as they stand, not as rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lifelog_lake.errors import LakeDamaged, LakeUnreachable
from lifelog_lake.home import Home
from lifelog_lake.recall.detail import details
from lifelog_lake.recall.journal.index import index_path
from lifelog_lake.recall.journal.journal import Journal
from lifelog_lake.recall.lake import Lake, open_lake
from tests.fixtures.journal import changed, home_of, journal_of, upload, written
from tests.helpers import ship

DAY = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
NEXT = (DAY[1], datetime(2026, 3, 3, tzinfo=UTC))
NOON = "2026-03-01T12:00:00Z"


@pytest.fixture(name="home")
def a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = home_of(tmp_path / "home")
    monkeypatch.setenv("LIFELOG_HOME", str(home.path))
    return home


@pytest.fixture(name="journal")
def a_journal(home: Home) -> Iterator[Journal]:
    with journal_of(home) as journal:
        yield journal


def shown(lake: Lake, span: tuple[datetime, datetime] = DAY) -> list[str]:
    """What the timeline and its lanes show of entries: the same."""
    found = lake.timeline(*span, streams="journal")
    lanes = details(lake, "journal", *span).collect().sort("at", "id")
    assert lanes["id"].to_list() == found["id"].to_list()
    assert lanes["name"].to_list() == found["title"].to_list()
    return found["title"].to_list()


def test_an_entry_is_shown_once_where_it_stands(home: Home, journal: Journal) -> None:
    entry = written(journal, "first", at=NOON, description="of it", tags=["a"], metadata={"n": 1})
    gone = written(journal, "gone", at=NOON)
    ship(home)
    here, elsewhere = open_lake(), open_lake(home.lake_url)
    assert shown(here) == shown(elsewhere) == ["first", "gone"]
    changed(journal, entry.id, title="second")
    journal.delete(gone.id)
    assert shown(here) == ["second"], "this home's own edits are seen before they are shipped"
    assert shown(elsewhere) == ["first", "gone"]
    ship(home)
    assert shown(elsewhere) == ["second"]
    now = changed(journal, entry.id, at="2026-03-02T09:00:00+01:00")
    ship(home)
    for lake in (here, elsewhere):
        assert shown(lake) == []
        assert shown(lake, NEXT) == ["second"]
        (row,) = lake.entries(*NEXT).to_dicts()
        assert (row["id"], row["description"], row["tags"]) == (entry.id, "of it", ["a"])
        assert (row["at"], row["metadata"]) == (datetime(2026, 3, 2, 8, tzinfo=UTC), '{"n":1}')
        assert row["updated_at"].timestamp() * 1e6 == pytest.approx(now.current.written_at, abs=1)
        assert lake.entries().height == 1
        assert lake.scan("journal").select(pl.len()).collect().item() == 5, "all revisions"


def test_files_go_with_their_entry(home: Home, journal: Journal) -> None:
    span = (datetime.now(UTC).replace(year=2020), datetime.now(UTC).replace(year=2100))
    entry = written(journal, at=NOON)
    file = journal.attach(entry.id, upload(b"words", "a.txt"))
    with open_lake().blob(file.sha256 or "") as waits:
        assert waits.read() == b"words", "seen before it is shipped"
    with pytest.raises(LakeDamaged):
        open_lake(home.lake_url).blob(file.sha256 or "")
    removed = journal.attach(entry.id, upload(b"other", "b.txt"))
    ship(home)
    journal.detach(removed.key)
    here, elsewhere = open_lake(), open_lake(home.lake_url)
    (row,) = here.timeline(*span, streams="attachment").to_dicts()
    assert (row["id"], row["text"], row["blob"]) == (file.id, "a.txt", file.sha256)
    assert (row["blob_bytes"], row["media_type"]) == (5, "text/plain")
    (listed,) = here.entries()["files"].to_list()
    assert [one["key"] for one in listed] == [file.key]
    assert details(elsewhere, "attachment", *span).collect().height == 2
    journal.delete(entry.id)
    ship(home)
    for lake in (here, elsewhere):
        assert details(lake, "attachment", *span).collect().is_empty()


def test_a_home_whose_index_cannot_be_used_is_read_without(home: Home, journal: Journal) -> None:
    written(journal, "kept", at=NOON)
    ship(home)
    index_path(home.path).mkdir(parents=True)
    assert shown(open_lake()) == ["kept"]


def test_a_lake_that_has_gone_is_told(home: Home, journal: Journal) -> None:
    written(journal, "kept", at=NOON)
    ship(home)
    here, elsewhere = open_lake(), open_lake(home.lake_url)
    shutil.move(home.lake_url, f"{home.lake_url}-away")
    for lake in (here, elsewhere):
        with pytest.raises(LakeUnreachable):
            lake.entries()
