"""The digest of rows: whatever their order and their pieces, but every value counts."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from lifelog_lake.lake.digest import digest

ROWS = pa.table(
    {
        "text": pa.array(["a", "b", None, "", "a"]),
        "number": pa.array([1, -1, 0, None, 1], pa.int64()),
        "share": pa.array([0.5, -0.0, float("nan"), None, 0.5]),
        "flag": pa.array([True, False, None, True, True]),
        "at": pa.array([datetime(2026, 1, n, tzinfo=UTC) for n in range(1, 6)]),
        "day": pa.array([date(2026, 1, 1), None, date(2026, 1, 2), None, None]),
        "list": pa.array([[1, 2], [], None, [None], [1, 2]], pa.list_(pa.int64())),
        "struct": pa.array([{"x": 1}, {"x": None}, None, {"x": 0}, {"x": 1}]),
    }
)


def test_order_and_pieces_do_not_count() -> None:
    for order in ([4, 3, 2, 1, 0], [2, 0, 1, 4, 3]):
        assert digest(ROWS.take(order)) == digest(ROWS)
    pieces = pa.concat_tables([ROWS.slice(0, 2), ROWS.slice(2, 0), ROWS.slice(2)])
    assert digest(pieces) == digest(ROWS)
    assert digest(ROWS.select(list(reversed(ROWS.column_names)))) == digest(ROWS)


def test_how_often_a_row_is_there_counts() -> None:
    twice = pa.concat_tables([ROWS, ROWS.slice(0, 1)])
    other = pa.concat_tables([ROWS, ROWS.slice(1, 1)])
    assert len({digest(ROWS), digest(twice), digest(other), digest(ROWS.slice(1))}) == 4
    assert digest(ROWS.slice(0, 0))[0] == 0


@pytest.mark.parametrize("name", ROWS.column_names)
def test_null_and_every_value_count(name: str) -> None:
    """Each cell in turn takes the value of each other row."""
    column = ROWS[name].to_pylist()
    place = ROWS.schema.get_field_index(name)
    for row in range(len(column)):
        for value in [*column, None]:
            if repr(value) == repr(column[row]):
                continue
            changed = [*column[:row], value, *column[row + 1 :]]
            table = ROWS.set_column(place, name, pa.array(changed, ROWS[name].type))
            assert digest(table) != digest(ROWS), (row, value)


def test_a_value_counts_for_its_column_and_row() -> None:
    first = pa.table({"a": ["x", "y"], "b": ["y", "x"]})
    assert digest(first) != digest(pa.table({"a": ["y", "x"], "b": ["y", "x"]}))
    assert digest(first) != digest(pa.table({"a": ["x", "x"], "b": ["y", "y"]}))
    # Swapped rows are the same rows.
    assert digest(first) == digest(pa.table({"a": ["y", "x"], "b": ["x", "y"]}))


def test_columns_without_any_value() -> None:
    empty = pa.table({"a": pa.nulls(3, pa.string()), "b": pa.nulls(3, pa.int64())})
    assert digest(empty)[0] == 3
    assert digest(empty) != digest(empty.slice(1))
