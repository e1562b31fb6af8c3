"""The one door into the spool: what `new_event` returns can be appended, shipped and read back."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifelog_lake.clock import MAX_US, MIN_US, utc
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.events import STREAMS, Event, Type, is_pulled, new_event, new_id, pulled_id
from lifelog_lake.spool import Spool
from lifelog_lake.validate import ListOf, StructOf
from tests.helpers import T0, abandon, make_home, rows, ship, verified

GOOD: dict[str, Any] = {"stream": "window", "at": T0, "data": {"app": "a"}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"stream": "nonsense"},
        {"stream": "\ud800"},
        {"stream": None},
        {"stream": ["window"]},
        {"stream": "../window"},
        {"at": None},
        {"at": datetime(2026, 1, 1)},
        {"at": MAX_US},
        {"end": T0 - 1},
        {"end": float("nan")},
        {"data": None},
        {"data": [1]},
        {"extra": [1]},
        {"id": "\ud800"},
        {"id": "a\x00b"},
        {"id": 5},
        {"id": "x" * 1000},
        {"cont": "\ud800"},
        {"tz": "\udfff"},
        {"tz": 5},
        {"media_type": "a\x00"},
        {"blob": "../../../etc/passwd"},
        {"blob": "A" * 64},
        {"blob": "a" * 63},
        {"blob": "a" * 64 + "\n"},
        {"blob": 5},
        {"blob": "a" * 64, "blob_bytes": -1},
        {"blob": "a" * 64, "blob_bytes": True},
        {"blob": "a" * 64, "blob_bytes": "5"},
    ],
)
def test_what_no_writer_could_hold_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        new_event(**{**GOOD, **wrong})


def test_times_may_be_aware_datetimes() -> None:
    at: Any = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert new_event("window", at=at, end=at, data={}).at == T0


def test_ids() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(set(made))
    assert uuid.UUID(made[0]).version == 7
    assert not is_pulled(made[0])
    assert is_pulled(pulled_id("server", "bucket", "1"))
    assert pulled_id("a", "b") == pulled_id("a", "b")
    assert len({pulled_id("a", "b"), pulled_id("ab", ""), pulled_id("b", "a")}) == 3


def values(type_: Type) -> st.SearchStrategy[Any]:
    """Whatever a column may be given, fitting or not."""
    if isinstance(type_, ListOf):
        return st.lists(values(type_.item) | st.none(), max_size=3)
    if isinstance(type_, StructOf):
        return st.fixed_dictionaries(
            {}, optional={name: values(field) for name, field in type_.fields.items()}
        )
    if type_ == "string":
        return st.text(st.characters(codec=None), max_size=12)
    if type_ == "bool":
        return st.booleans()
    if type_ == "timestamp":
        return st.integers(MIN_US, MAX_US - 1)
    if type_ == "float64":
        return st.floats() | st.integers()
    return st.integers(-(2**63) - 1, 2**63)


@st.composite
def events(draw: st.DrawFn) -> Event | None:
    """An event of any stream, None if it was refused."""
    stream = draw(st.sampled_from(sorted(STREAMS)))
    types = STREAMS[stream].types
    data = draw(
        st.fixed_dictionaries(
            {},
            optional={
                name: st.none() | values(type_) | values("string") for name, type_ in types.items()
            },
        )
    )
    at = draw(st.integers(MIN_US, MAX_US - 10**6) | st.integers(T0, T0 + 10**12))
    try:
        return new_event(
            stream,
            at=at,
            end=draw(st.none() | st.integers(at, at + 10**6)),
            tz=draw(st.sampled_from([None, "Europe/Berlin"])),
            cont=draw(st.none() | st.just(new_id())),
            data=data,
            extra=draw(
                st.none()
                | st.dictionaries(
                    st.text(max_size=3), st.none() | st.floats() | st.text(max_size=3)
                )
            ),
        )
    except InvalidEvent:
        return None


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(events(), min_size=10, max_size=60))
def test_what_is_accepted_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, made: list[Event | None]
) -> None:
    home = make_home(tmp_path_factory.mktemp("events") / "home")
    spool = Spool.of(home)
    accepted = [event for event in made if event is not None]
    for event in accepted:
        spool.append([event])
    abandon(spool)
    ship(home)
    for stream in {event.stream for event in accepted}:
        there = {row["id"]: row for row in rows(home, stream).to_dicts()}
        for event in accepted:
            if event.stream == stream:
                assert_same(there.pop(event.id), event)
        assert not there
    verified(home)


def assert_same(row: dict[str, Any], event: Event) -> None:
    assert row["at"] == utc(event.at)
    assert row["date"] == utc(event.at).date()
    assert row["end"] == (None if event.end is None else utc(event.end))
    assert row["cont"] == event.cont
    assert row["tz"] == (event.tz or row["tz"])
    assert (None if row["extra"] is None else json.loads(row["extra"])) == event.extra
    for name, type_ in STREAMS[event.stream].types.items():
        assert row[name] == expected(type_, event.data.get(name)), name


def expected(type_: Type, value: Any) -> Any:
    """A spooled value as polars gives it back."""
    if value is None:
        return None
    if isinstance(type_, ListOf):
        return [expected(type_.item, item) for item in value]
    if isinstance(type_, StructOf):
        return {name: expected(field, value.get(name)) for name, field in type_.fields.items()}
    return utc(value) if type_ == "timestamp" else value


def test_a_hostile_row_between_good_ones_stops_nobody(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    spool = Spool.of(home)
    hostile = {"app": "\ud800\x00", "title": float("nan"), "bucket": {"a": [2**70]}, "x\udfff": 1}
    spool.append([new_event(**GOOD), new_event("window", at=T0, data=hostile), new_event(**GOOD)])
    ship(home)
    there = rows(home, "window").to_dicts()
    assert [row["app"] for row in there] == ["a", "\ufffd\ufffd", "a"]
    extra = json.loads(there[1]["extra"])
    assert extra["title"] == "nan"
    assert extra["bucket"] == {"a": [str(2**70)]}
    assert extra["x\ufffd"] == 1
    assert len(extra["_repaired"]) >= 4
    verified(home)
