"""What comes from outside is repaired with a recorded reason or refused: never lost or fatal."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifelog_lake.clock import MAX_US, MIN_US
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.validate import (
    MAX_ROW_BYTES,
    REPAIRED,
    ListOf,
    StructOf,
    clean_row,
    clean_text,
    clean_time,
)

TYPES: dict[str, Any] = {
    "text": "string",
    "count": "int64",
    "share": "float64",
    "on": "bool",
    "when": "timestamp",
    "tags": ListOf("string"),
    "labels": ListOf(StructOf({"key": "string", "value": "string"})),
}


def cleaned(data: Any, extra: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    row, rest = clean_row(TYPES, data, extra)
    orjson.dumps((row, rest))
    return row, rest or {}


@pytest.mark.parametrize(
    ("given_text", "kept", "reason"),
    [
        ("plain", "plain", None),
        ("naïve 日本 🙂", "naïve 日本 🙂", None),
        ("", "", None),
        ("a\ud800b", "a\ufffdb", "lone surrogate"),
        ("\ud83d\ude42", "🙂", "lone surrogate"),
        ("a\x00b", "a\ufffdb", "NUL"),
        ("\x00\udfff", "\ufffd\ufffd", "NUL replaced, lone surrogate"),
        ("\ufeffbom", "\ufeffbom", None),
        ("\ufeff\ud800", "\ufeff\ufffd", "lone surrogate"),
    ],
)
def test_text(given_text: str, kept: str, reason: str | None) -> None:
    found, why = clean_text(given_text)
    assert found == kept
    assert (why is None) == (reason is None)
    assert reason is None or reason in str(why)
    row, rest = cleaned({"text": given_text})
    assert row["text"] == kept
    assert (REPAIRED in rest) == (reason is not None)


class NoOffset(tzinfo):
    """A zone that can't say where it is."""

    def utcoffset(self, _: datetime | None, /) -> timedelta | None:
        return None

    def dst(self, _: datetime | None, /) -> timedelta | None:
        return None

    def tzname(self, _: datetime | None, /) -> str | None:
        return None


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 2),
        datetime(2026, 1, 2, tzinfo=NoOffset()),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        MIN_US - 1,
        MAX_US,
        10**30,
        1.5,
        True,
        None,
        "2026-01-02",
        date(2026, 1, 2),
        math.nan,
    ],
)
def test_times_that_are_refused(value: object) -> None:
    with pytest.raises(InvalidEvent):
        clean_time(value, "at")


def test_times_are_exact() -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    assert clean_time(datetime(1970, 1, 1, 5, 30, 0, 1, zone), "at") == 1
    assert clean_time(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), "at") == -1
    assert clean_time(MIN_US, "at") == MIN_US


@pytest.mark.parametrize(
    ("column", "value", "kept"),
    [
        ("text", 5, 5),
        ("text", ["a"], ["a"]),
        ("count", "5", "5"),
        ("count", 1.0, 1.0),
        ("count", True, True),
        ("count", 2**63, str(2**63)),
        ("share", math.nan, "nan"),
        ("share", -math.inf, "-inf"),
        ("share", 2**60, 2**60),
        ("share", "x", "x"),
        ("on", 1, 1),
        ("when", "2026", "2026"),
        ("when", datetime(2026, 1, 2), "2026-01-02T00:00:00"),
        ("tags", "abc", "abc"),
        ("tags", ["a", 1], ["a", 1]),
        ("labels", [{"key": "a", "other": 1}], [{"key": "a", "other": 1}]),
        ("labels", [5], [5]),
    ],
)
def test_a_value_of_another_type_moves_to_extra_with_its_reason(
    column: str, value: object, kept: object
) -> None:
    row, rest = cleaned({column: value, "text" if column != "text" else "count": None})
    assert row == {}
    assert rest[column] == kept
    assert type(rest[column]) is type(kept)
    assert any(reason.startswith(f"{column}:") for reason in rest[REPAIRED])


def test_null_empty_and_zero_are_kept_apart() -> None:
    row, rest = cleaned(
        {"text": "", "count": 0, "share": -0.0, "on": False, "tags": [], "labels": [None, {}]}
    )
    assert row == {
        "text": "", "count": 0, "share": 0.0, "on": False, "tags": [],
        "labels": [None, {"key": None, "value": None}],
    }  # fmt: skip
    assert math.copysign(1, row["share"]) == -1
    assert rest == {}


def test_unknown_columns_are_kept_null_too() -> None:
    row, rest = cleaned({"new": {"a": [1, None]}, "void": None, "text": "t"}, {"more": ""})
    assert row == {"text": "t"}
    assert rest == {"new": {"a": [1, None]}, "void": None, "more": ""}


@pytest.mark.parametrize(
    "mapping",
    [
        {"a\x00": 1, "a\ufffd": 2},
        dict(zip(("k\ud800", "k\udbff"), (1, 2), strict=True)),
        {1: 1, "1": 2},
        {True: 1, "True": 2},
        {None: 1, "None": 2},
    ],
)
def test_keys_that_become_equal_lose_nothing(mapping: dict[Any, int]) -> None:
    _, rest = cleaned({"unknown": mapping})
    assert sorted(rest["unknown"].values()) == [1, 2]
    assert rest[REPAIRED]
    _, rest = cleaned(mapping)
    reasons = rest.pop(REPAIRED)
    assert sorted(rest.values()) == [1, 2]
    assert reasons
    _, rest = cleaned({}, mapping)
    rest.pop(REPAIRED)
    assert sorted(rest.values()) == [1, 2]


def test_data_and_extra_of_one_name_are_both_kept() -> None:
    _, rest = cleaned({"unknown": 1, "count": "misfit"}, {"unknown": 2, "count": 3})
    rest.pop(REPAIRED)
    assert sorted(map(str, rest.values())) == ["1", "2", "3", "misfit"]


def test_reasons_of_an_earlier_repair_are_kept() -> None:
    _, rest = cleaned({"text": "\x00"}, {REPAIRED: ["before"]})
    assert rest[REPAIRED][0] == "before"
    assert len(rest[REPAIRED]) == 2


def nested(levels: int, *, mapping: bool) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value} if mapping else [value]
    return value


@pytest.mark.parametrize("mapping", [False, True])
@pytest.mark.parametrize("column", ["unknown", "text", "tags", "labels", "count"])
def test_deep_nesting_is_refused_without_recursion(column: str, mapping: bool) -> None:
    with pytest.raises(InvalidEvent, match="nested deeper"):
        cleaned({column: nested(100_000, mapping=mapping)})
    with pytest.raises(InvalidEvent, match="nested deeper"):
        cleaned({}, {column: nested(100_000, mapping=mapping)})
    assert cleaned({"unknown": nested(30, mapping=mapping)})[1]["unknown"]


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidEvent):
        cleaned({"unknown": value})


@pytest.mark.parametrize("digits", [20, 1000, 1300, 4000, 4299, 4301, 5000, 9800, 20_000])
def test_huge_integers_are_text_or_refused(digits: int) -> None:
    value = 10**digits
    for data in ({"unknown": value}, {"count": value}, {"share": value}):
        try:
            _, rest = cleaned(data)
        except InvalidEvent:
            assert digits > 1200
        else:
            assert digits < 1300
            assert next(iter(rest.values())) == "1" + "0" * digits
    if digits > 1300:
        with pytest.raises(InvalidEvent):
            cleaned({"unknown": {value: 1}})


def test_oversized_rows_are_refused_and_the_largest_kept() -> None:
    with pytest.raises(InvalidEvent, match="larger than a row"):
        cleaned({"text": "x" * MAX_ROW_BYTES})
    with pytest.raises(InvalidEvent, match="larger than a row"):
        cleaned({"text": "\x01" * (MAX_ROW_BYTES // 4)})
    assert len(cleaned({"text": "x" * (MAX_ROW_BYTES - 100)})[0]["text"]) == MAX_ROW_BYTES - 100


@pytest.mark.parametrize("value", [b"x", bytearray(b"x"), memoryview(b"x"), {1}, object(), 1j])
def test_what_json_lacks_is_refused(value: object) -> None:
    for data in ({"unknown": value}, {"unknown": [value]}, {"text": value}, {"tags": value}):
        with pytest.raises(InvalidEvent):
            cleaned(data)
    with pytest.raises(InvalidEvent):
        cleaned({}, {"a": {"b": value}})


@pytest.mark.parametrize("key", [b"k", (1, 2), 1j, frozenset()])
def test_keys_that_have_no_text_are_refused(key: object) -> None:
    for data in ({key: 1}, {"unknown": {key: 1}}, {"labels": [{key: 1}]}):
        with pytest.raises(InvalidEvent):
            cleaned(data)


@pytest.mark.parametrize("data", [None, [], "text", 5, [("a", 1)]])
def test_data_that_is_no_mapping_is_refused(data: object) -> None:
    with pytest.raises(InvalidEvent):
        cleaned(data)
    if data is not None:
        with pytest.raises(InvalidEvent):
            cleaned({}, data)


def test_subclasses_of_plain_types_are_plain_afterwards() -> None:
    class Words(str):
        __slots__ = ()

    data = {"text": Words("t"), "share": np.float64(0.5), "u": np.float64(1.5), "w": Words("v")}
    row, rest = cleaned(data)
    assert type(row["text"]) is str
    assert type(row["share"]) is float
    assert type(rest["u"]) is float
    assert type(rest["w"]) is str


TEXTS = st.text(st.characters(codec=None), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.dates()
VALUES = st.recursive(
    SCALARS | st.datetimes() | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(TYPES)) | TEXTS, VALUES, max_size=6), VALUES)
def test_anything_is_kept_or_refused(data: dict[str, Any], extra: Any) -> None:
    try:
        row, rest = clean_row(TYPES, data, extra)
    except InvalidEvent:
        return
    assert orjson.loads(orjson.dumps((row, rest))) == [row, rest]
    given_names = len([name for name in data if name not in TYPES or data[name] is not None])
    kept = len(row) + len([name for name in rest or {} if name != REPAIRED])
    assert kept >= given_names + len([name for name in extra or {} if name != REPAIRED]) - (
        REPAIRED in data
    )
