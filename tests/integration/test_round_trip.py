"""From `append` through spool, shipper and lake to its readers: what went in comes out."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema
from hypothesis import given, settings
from hypothesis import strategies as st

from lifelog_lake.clock import US_PER_S, to_us
from lifelog_lake.errors import LakeRefused, Terminal, UsageError
from lifelog_lake.events import STREAMS, BlobSource, Event, Type, new_event, new_id
from lifelog_lake.home import Home
from lifelog_lake.lake.schema import arrow_schema
from lifelog_lake.lake.verify import verify
from lifelog_lake.recall.lake import open_lake
from lifelog_lake.recall.timeline import span
from lifelog_lake.ship import Shipper
from lifelog_lake.spool import Spool
from lifelog_lake.validate import ListOf, StructOf
from tests.helpers import T0, frame, ids, make_home, pending, pulse, rows, ship, verified, window

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def full(type_: Type) -> Any:
    """A value of a type."""
    if isinstance(type_, ListOf):
        return [full(type_.item), None, full(type_.item)]
    if isinstance(type_, StructOf):
        return {name: full(field) for name, field in type_.fields.items()}
    return {"string": "naïve 日本 🙂\n", "int64": -(2**63), "float64": 0.1, "bool": True,
            "timestamp": T0}[type_]  # fmt: skip


def empty(type_: Type) -> Any:
    """The empty or zero value of a type: not null."""
    if isinstance(type_, ListOf):
        return []
    if isinstance(type_, StructOf):
        return {name: empty(field) for name, field in type_.fields.items()}
    return {"string": "", "int64": 0, "float64": -0.0, "bool": False, "timestamp": 0}[type_]


def read_back(type_: Type, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(type_, ListOf):
        return [read_back(type_.item, item) for item in value]
    if isinstance(type_, StructOf):
        return {name: read_back(field, value[name]) for name, field in type_.fields.items()}
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value) if (
        type_ == "timestamp"
    ) else value  # fmt: skip


def test_every_stream_keeps_full_empty_and_null_apart(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    given_rows: dict[str, list[dict[str, Any]]] = {}
    for name, stream in STREAMS.items():
        given_rows[name] = [
            {column: make(type_) for column, type_ in stream.types.items()}
            for make in (full, empty, lambda _: None)
        ]
        spool.append([new_event(name, at=T0, data=data) for data in given_rows[name]])
    ship(home)
    for name, stream in STREAMS.items():
        there = rows(home, name)
        assert there.height == 3
        for found, data in zip(there.to_dicts(), given_rows[name], strict=True):
            for column, type_ in stream.types.items():
                assert found[column] == read_back(type_, data[column]), (name, column)
            assert found["date"] == date(2026, 1, 2)
            assert found["extra"] is None
            assert found["device"] == home.device
    verified(home)


def test_the_envelope_comes_back(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    first = new_id()
    event = new_event(
        "screen", at=T0, end=T0 + 1, cont=first, tz="Asia/Tokyo", data={"monitor": 1},
        extra={"a": {"b": [1, None, ""]}}, source=BlobSource.of_bytes(b"pixels", "image/webp"),
    )  # fmt: skip
    Spool.of(home).append([event])
    ship(home)
    row = rows(home, "screen").to_dicts()[0]
    assert (row["id"], row["cont"], row["tz"], row["seq"]) == (event.id, first, "Asia/Tokyo", 0)
    assert row["end"] - row["at"] == timedelta(microseconds=1)
    assert (row["blob_bytes"], row["media_type"], row["skew_us"]) == (6, "image/webp", None)
    assert json.loads(row["extra"]) == {"a": {"b": [1, None, ""]}}
    assert open_lake(home.lake_url).blob(row["blob"]).read() == b"pixels"


def test_readers_without_us_see_the_same(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    spool.append([pulse(0)])
    spool.append([window(n) for n in range(5)])
    spool.append([window(86_400)])
    ship(home)
    path = Path(home.lake_url) / "tables" / "window"
    arrow = DeltaTable(path).to_pyarrow_dataset().to_table().sort_by("seq")
    assert arrow["title"].to_pylist() == [f"title {n}" for n in (0, 1, 2, 3, 4, 86_400)]
    polars = pl.scan_delta(str(path)).filter(pl.col("date") == date(2026, 1, 3)).collect()
    assert polars["title"].to_list() == ["title 86400"]
    ours = rows(home, "window")
    assert ours.sort("seq")["id"].to_list() == arrow["id"].to_pylist()
    assert sorted(part["date"] for part in DeltaTable(path).partitions()) == [
        "2026-01-02",
        "2026-01-03",
    ]


def make_table(home: Home, stream: str, schema: pa.Schema) -> Path:
    path = Path(home.lake_url) / "tables" / stream
    DeltaTable.create(path, schema=Schema.from_arrow(schema), partition_by=["date"])
    return path


def test_an_older_table_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    schema = arrow_schema("window")
    make_table(home, "window", schema.remove(schema.get_field_index("title")))
    old = open_lake(home.lake_url)
    assert old.scan("window").collect().columns.count("title") == 1
    assert old.timeline(NOON - timedelta(days=1), NOON).height == 0
    Spool.of(home).append([window(1)])
    ship(home)
    assert rows(home, "window")["title"].to_list() == ["title 1"]
    verified(home)


def test_a_newer_table_keeps_its_columns(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    path = make_table(home, "window", arrow_schema("window").append(pa.field("new", pa.string())))
    Spool.of(home).append([window(1)])
    ship(home)
    assert rows(home, "window").select("title", "new").rows() == [("title 1", None)]
    assert "new" in [field.name for field in DeltaTable(path).schema().fields]
    verified(home)


def test_a_column_of_another_type_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    schema = arrow_schema("window")
    index = schema.get_field_index("title")
    path = make_table(home, "window", schema.set(index, pa.field("title", pa.int64())))
    spool = Spool.of(home)
    spool.append([window(1)])
    spool.append([frame(1)])
    done = Shipper.of(home).run_once()
    assert set(done.errors) == {"window"}
    assert isinstance(done.errors["window"], LakeRefused)
    assert "'title'" in str(done.errors["window"])
    assert DeltaTable(path).version() == 0
    assert not list(path.rglob("*.parquet"))
    assert len(pending(spool, "window")) == 1
    assert len(ids(home, "screen")) == 1


def test_a_column_of_a_newer_version_in_the_spool_goes_to_extra(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    data: dict[str, Any] = {"title": "t", "colour": ["red"]}
    Spool.of(home).append([Event(stream="window", id=new_id(), at=T0, data=data, extra={"a": 1})])
    ship(home)
    row = rows(home, "window").to_dicts()[0]
    assert row["title"] == "t"
    assert json.loads(row["extra"]) == {"a": 1, "colour": ["red"]}


def test_a_stream_of_a_newer_version_is_said_and_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    event = Event(stream="smell", id=new_id(), at=T0, data={"note": "coffee"})
    spool.append([event])
    spool.append([window(1)])
    done = Shipper.of(home).run_once()
    assert set(done.errors) == {"smell"}
    assert isinstance(done.errors["smell"], Terminal)
    assert "newer version" in done.errors["smell"].hint
    assert len(ids(home, "window")) == 1
    assert [record.fields["id"] for record in pending(spool, "smell")] == [event.id]
    assert set(spool.stats()) == {"smell", "window"}


@pytest.mark.parametrize("checkpoint", [False, True])
def test_verify_sees_that_every_row_of_a_table_is_gone(tmp_path: Path, checkpoint: bool) -> None:
    home = make_home(tmp_path / "home")
    Spool.of(home).append([window(n) for n in range(3)])
    ship(home)
    table = DeltaTable(Path(home.lake_url) / "tables" / "window")
    table.restore(0)
    if checkpoint:
        table.create_checkpoint()
        for path in (Path(home.lake_url) / "tables" / "window" / "_delta_log").glob("*[01].json"):
            path.unlink()
    found = verify(home.lake_url).findings
    assert [finding.kind for finding in found] == ["seq-missing"]
    assert "0 to 2" in found[0].message
    ship(home)
    assert len(ids(home, "window")) == 3
    verified(home)


# -- timeline ------------------------------------------------------------------------------


def slices(start: datetime, count: int, **data: Any) -> list[Event]:
    """An event cut at the grid of five minutes."""
    made: list[Event] = []
    for n in range(count):
        at = to_us(start) + n * 300 * US_PER_S
        cont = made[0].id if made else None
        made.append(new_event("window", at=at, end=at + 300 * US_PER_S, cont=cont, data=data))
    return made


def test_timeline_joins_slices_over_midnight(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    start = datetime(2026, 1, 2, 23, 50, tzinfo=UTC)
    made = slices(start, 4, app="editor", title="late")
    Spool.of(home).append(made)
    ship(home)
    lake = open_lake(home.lake_url)
    found = lake.timeline(start - timedelta(hours=1), start + timedelta(hours=1)).to_dicts()
    assert len(found) == 1
    assert (found[0]["id"], found[0]["text"]) == (made[0].id, "editor · late")
    assert (found[0]["at"], found[0]["end"]) == (start, start + timedelta(minutes=20))
    late = lake.timeline(
        datetime(2026, 1, 3, 0, 3, tzinfo=UTC), datetime(2026, 1, 3, 1, tzinfo=UTC)
    )
    assert late["id"].to_list() == [made[0].id]
    assert lake.timeline(start - timedelta(hours=1), start).height == 0
    assert len(set(rows(home, "window")["date"])) == 2


def test_timeline_is_filtered_and_in_order(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    other = make_home(tmp_path / "other", lake=home.lake_url)
    for owner in (home, other):
        spool = Spool.of(owner)
        spool.append([window(2), window(0)])
        spool.append([frame(1)])
        spool.append([pulse(1)])
        ship(owner)
    lake = open_lake(home.lake_url)
    day = (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC))
    everything = lake.timeline(*day)
    assert everything.height == 6
    assert everything["at"].is_sorted()
    assert set(everything["stream"]) == {"window", "screen"}
    assert set(lake.timeline(*day, streams=["pulse"])["stream"]) == {"pulse"}
    assert lake.timeline(*day, streams=["screen"])["blob"].null_count() == 0
    mine = lake.timeline(*day, devices=[home.device])
    assert set(mine["device"]) == {home.device}
    assert mine.height == 3
    assert lake.timeline(*day, devices=["nobody"]).height == 0
    assert lake.timeline(*day, streams=["audio"]).schema == everything.schema
    assert lake.devices() == sorted([home.device, other.device])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("nonsense", None),
        ("", None),
        ("2026-13-01", None),
        ("2026-01-02", "2026-01-01"),
        (datetime(2026, 1, 2), None),
        (None, None),
        (5, None),
        ("\ud800\x00", None),
        ("2026-01-01", "x" * 10_000),
    ],
)
def test_ranges_that_are_refused(tmp_path: Path, start: Any, end: Any) -> None:
    lake = open_lake(make_home(tmp_path / "home").lake_url)
    with pytest.raises(UsageError) as caught:
        lake.timeline(start, end)
    assert len(str(caught.value)) < 500


def test_unknown_streams_are_refused(tmp_path: Path) -> None:
    lake = open_lake(make_home(tmp_path / "home").lake_url)
    with pytest.raises(UsageError, match="no stream"):
        lake.timeline("2026-01-01", streams=["nonsense"])
    with pytest.raises(UsageError, match="no stream"):
        lake.scan("../window")
    assert lake.scan("window").collect().height == 0
    assert lake.timeline("today").height == 0
    for name in ("", "x" * 64, "../" * 21 + "x", "A" * 64):
        with pytest.raises(UsageError):
            lake.blob(name)


@settings(deadline=None)
@given(st.datetimes() | st.dates() | st.text(), st.none() | st.dates() | st.text())
def test_any_range_is_read_or_refused(start: Any, end: Any) -> None:
    try:
        first, last = span(start, end)
    except UsageError:
        return
    assert first <= last
    assert first.year >= 1900
    assert last.year <= 2200


def test_a_range_has_what_goes_on_in_it_and_not_what_ended_before(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    midnight = datetime(2026, 1, 3, tzinfo=UTC)
    ended = slices(midnight - timedelta(minutes=10), 2, app="editor", title="ended at midnight")
    on = slices(midnight - timedelta(minutes=10), 4, app="shell", title="goes on")
    trip = new_event(
        "sensor",
        at=to_us(midnight - timedelta(hours=30)),
        end=to_us(midnight + timedelta(hours=6)),
        data={"name": "trip", "value": 1.0},
    )
    spool = Spool.of(home)
    spool.append([*ended, *on])
    spool.append([trip])
    ship(home)
    found = open_lake(home.lake_url).timeline(midnight, midnight + timedelta(hours=1))
    assert found.select("id", "at").rows() == [
        (trip.id, midnight - timedelta(hours=30)),
        (on[0].id, midnight),
    ]
    before = open_lake(home.lake_url).timeline(midnight - timedelta(days=1), midnight)
    assert set(before["id"]) == {trip.id, on[0].id, ended[0].id}
