"""Files in place of others: every reader takes it, what is damaged stays out, races are lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lifelog_lake.events import new_event
from lifelog_lake.lake import datafile, parse_url, rewrite, tail
from lifelog_lake.lake.rewrite import LiveFile, Merged
from lifelog_lake.lake.store import Store, entry_key
from lifelog_lake.lake.tail import Tail
from tests.fixtures.piles import Writer, content, opened, pile, replayed, windows
from tests.helpers import T0, make_home, verified, window

MOST = 2**28


@pytest.fixture
def store(tmp_path: Path) -> Store:
    home = make_home(tmp_path / "home")
    return parse_url(home.lake_url, home)


def merged(
    store: Store, handle: DeltaTable, files: list[LiveFile] | None = None, stream: str = "window"
) -> Merged:
    """Merge all files of a handle's version, or some."""
    return rewrite.merge(
        store,
        Tail(store, stream, handle.version()),
        stream,
        rewrite.row_schema(handle),
        rewrite.live_files(handle) if files is None else files,
        most_bytes=MOST,
        keep=lambda: None,
        now_us=lambda: T0,
    )


def data(store: Store) -> list[Path]:
    return sorted(store.place("tables/window").glob("date=*/*.parquet"))


def test_every_reader_sees_the_same_rows_in_one_file(store: Store) -> None:
    writer = pile(store, 5, rows=3)
    before, table = content(store), store.place("tables/window")
    found = merged(store, opened(store))
    assert len(found.merged) == 5
    assert found.unfit == {}
    handle = opened(store)
    assert len(handle.file_uris()) == 1
    assert content(store).equals(before)
    engine = pl.DataFrame(pa.table(handle.to_pyarrow_table()))
    assert engine.sort("seq").select(before.columns).equals(before)
    # A plain reader: the log's entries one by one, then the files.
    (path,) = replayed(table)
    plain = pq.ParquetFile(table / path).read()
    assert plain["id"].to_pylist() == before["id"].to_list()
    assert handle.transaction_version(writer.app_id) == 14
    assert "OPTIMIZE" in {entry["operation"] for entry in handle.history()}
    # It is no new data for who follows changes.
    entry = [orjson.loads(line) for line in store.read(entry_key("window", 6)).splitlines()]
    changes = [a[kind]["dataChange"] for a in entry for kind in ("add", "remove") if kind in a]
    assert changes == [False] * 6


def test_a_checkpoint_made_after_says_the_same(store: Store) -> None:
    writer = pile(store, 4, rows=2)
    before = content(store)
    merged(store, opened(store))
    opened(store).create_checkpoint()
    for entry in store.place("tables/window/_delta_log").glob("*.json"):
        if int(entry.stem) < 5:
            entry.unlink()
    handle = opened(store)
    assert len(handle.file_uris()) == 1
    assert handle.transaction_version(writer.app_id) == 7
    assert content(store).equals(before)
    writer.commit(*windows(1, first=8))
    assert content(store).height == 9
    assert len(handle.get_add_actions()["path"]) == 1


def test_rows_come_sorted_and_the_file_is_named_by_its_hash(store: Store) -> None:
    writer = Writer(store)
    writer.commit([window(n) for n in (9, 3, 7)], [window(n) for n in (1, 8)], [window(3)])
    found = merged(store, opened(store))
    assert found.written is not None
    file = pq.ParquetFile(store.place("tables/window") / found.written.path)
    at = file.read(["at", "seq"])
    assert at["at"].to_pylist() == sorted(at["at"].to_pylist())
    assert at["seq"].to_pylist() == [3, 1, 5, 2, 4, 0]
    assert found.written.stats == datafile.statistics(file.read())
    assert oct((store.place("tables/window") / found.written.path).stat().st_mode)[-3:] == "600"


def test_the_same_rows_never_make_the_same_name(store: Store) -> None:
    pile(store, 3)
    handle = opened(store)
    names = set()
    for _ in range(2):
        found = merged(store, handle)
        assert found.written is not None
        names.add(found.written.path)
        store.delete(entry_key("window", 4), at="test")
    assert len(names) == 2


def test_files_of_older_columns_get_nulls(store: Store) -> None:
    pile(store, 2)
    rows = pq.ParquetFile(data(store)[0]).read().drop_columns(["title", "extra"])
    rows = rows.set_column(0, "id", pa.array(["another"]))
    file = datafile.write(store, "window", "2026-01-02", rows)
    Writer(store).table.snapshot().add([file], {"other": 1})
    before = content(store)
    assert before["title"].null_count() == 1
    assert len(merged(store, opened(store)).merged) == 3
    assert content(store).equals(before)


def flip(path: Path) -> None:
    broken = bytearray(path.read_bytes())
    broken[len(broken) // 3] ^= 4
    path.write_bytes(broken)


def cut(path: Path) -> None:
    os.truncate(path, 500)


@pytest.mark.parametrize(("how", "why"), [(flip, "hash"), (cut, "hash"), (Path.unlink, "missing")])
def test_a_damaged_file_is_told_and_left_alone(
    store: Store, how: Callable[[Path], None], why: str
) -> None:
    pile(store, 4)
    bad = data(store)[1]
    how(bad)
    size = bad.stat().st_size if bad.exists() else None
    found = merged(store, opened(store))
    name = f"{bad.parent.name}/{bad.name}"
    assert len(found.merged) == 3
    assert list(found.unfit) == [name]
    assert why in found.unfit[name]
    live = replayed(store.place("tables/window"))
    assert name in live
    assert len(live) == 2
    assert (bad.stat().st_size if bad.exists() else None) == size


def test_files_that_contradict_the_log_or_the_table_are_left_alone(store: Store) -> None:
    pile(store, 3)
    rows = pq.ParquetFile(data(store)[0]).read()
    table = Writer(store).table
    more = datafile.write(
        store, "window", "2026-01-02", rows.append_column("mystery", pa.array(["x"]))
    )
    table.snapshot().add([more], {"other": 1})
    lie = datafile.write(store, "window", "2026-01-02", pa.concat_tables([rows, rows]))
    liar = datafile.DataFile(
        path=lie.path,
        date=lie.date,
        size_bytes=lie.size_bytes,
        rows=1,
        stats=datafile.statistics(rows),
    )
    table.snapshot().add([liar], {"other": 2})
    found = merged(store, opened(store))
    assert len(found.merged) == 3
    assert "mystery" in found.unfit[more.path]
    assert "2 rows, the log says 1" in found.unfit[lie.path]


def test_what_came_between_is_kept(store: Store) -> None:
    writer = pile(store, 3)
    handle = opened(store)
    writer.commit(*windows(2, first=3))
    assert len(merged(store, handle).merged) == 3
    assert content(store)["seq"].to_list() == [0, 1, 2, 3, 4]
    assert len(opened(store).file_uris()) == 3


def test_two_from_one_snapshot_double_nothing(store: Store) -> None:
    """delta-rs 1.6.4 to 1.6.6 commit both."""
    pile(store, 4)
    before, handle, other = content(store), opened(store), opened(store)
    assert merged(store, handle).merged
    second = merged(store, other)
    assert second.raced
    assert second.merged == ()
    assert content(store).equals(before)
    assert len(data(store)) == 5, "what wasn't committed is gone again"
    # The engine's own compaction against ours, both ways round.
    pile_on = Writer(store, device="phone")
    pile_on.commit(*windows(3))
    before, handle, other = content(store), opened(store), opened(store)
    assert merged(store, handle).merged
    with pytest.raises(Exception, match=r"(?i)conflict|concurrent|deleted|attempts"):
        other.optimize.compact()
    pile_on.commit(*windows(3, first=3))
    handle = opened(store)
    opened(store).optimize.compact()
    assert merged(store, handle).raced
    assert content(store).height == before.height + 3


@pytest.mark.parametrize("what", ["fence", "column", "properties", "restore"])
def test_whatever_else_happened_to_the_table_ends_it(store: Store, what: str) -> None:
    pile(store, 3)
    handle = opened(store)
    if what == "fence":
        fence = Tail(store, "window", handle.version())
        assert fence.commit(tail.FENCE, {}, tuple, at="test", fits=lambda: True)
    elif what == "column":
        from deltalake import Field, Schema

        opened(store).alter.add_columns(Schema([Field("more", "string")]).fields)
    elif what == "properties":
        opened(store).alter.set_table_properties({"delta.logRetentionDuration": "interval 9 days"})
    else:
        opened(store).restore(1)
    before = content(store)
    found = merged(store, handle)
    assert found.raced
    assert content(store).equals(before)
    assert len(data(store)) == 3


def test_rows_that_come_out_otherwise_change_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pile(store, 3)
    before = content(store)
    real = datafile.write

    def wrong(store: Store, stream: str, date: str, part: pa.Table) -> datafile.DataFile:
        ids = pa.array(["x", *part["id"].to_pylist()[1:]])
        return real(store, stream, date, part.set_column(0, "id", ids))

    monkeypatch.setattr(datafile, "write", wrong)
    found = merged(store, opened(store))
    assert "other rows" in found.failed
    assert content(store).equals(before)
    assert len(data(store)) == 3


def test_an_entry_behind_a_checkpoint_counts_for_nothing(store: Store) -> None:
    """A compactor that slept for a week writes a version whose entry was cleaned up."""
    writer = pile(store, 3)
    handle = opened(store)
    writer.commit(*windows(3, first=3))
    opened(store).create_checkpoint()
    for version in range(5):
        store.delete(entry_key("window", version), at="test")
    before = content(store)
    assert merged(store, handle).raced
    assert content(store).equals(before)


def test_memory_bounds_a_group(store: Store) -> None:
    pile(store, 6, rows=20)
    handle = opened(store)
    files = rewrite.live_files(handle)
    found = rewrite.merge(
        store,
        Tail(store, "window", handle.version()),
        "window",
        rewrite.row_schema(handle),
        files,
        most_bytes=1,
        keep=lambda: None,
        now_us=lambda: T0,
    )
    assert found.merged == ()
    assert not found.raced
    assert len(opened(store).file_uris()) == 6


def test_nested_and_rare_values_survive(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    store = parse_url(home.lake_url, home)
    writer = Writer(store, "journal")
    for n in range(3):
        data = {
            "entry_id": f"e{n}",
            "title": None if n else "",
            "tags": [[], ["a", "b"], None][n],
            "lamport": n,
        }
        writer.commit([new_event("journal", at=T0 + n, data=data, extra={"n": [n, None]})])
    before = content(store, "journal")
    assert len(merged(store, opened(store, "journal"), stream="journal").merged) == 3
    assert content(store, "journal").equals(before)
    assert before["tags"].to_list() == [[], ["a", "b"], None]
    verified(home)
