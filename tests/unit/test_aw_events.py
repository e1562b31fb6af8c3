"""ActivityWatch's events as slices: the same rows however often and whenever they are read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.aw_client import Bucket, iso_ms
from collectors.aw_events import AwEvent, Rules, Slicer, parse
from lifelog_lake.collect.slices import GRID_US
from lifelog_lake.errors import InvalidEvent
from lifelog_lake.events import Event
from tests.fixtures.aw import T0_MS, event

BUCKET = Bucket(id="aw-watcher-window_host", type="currentwindow", host="host", updated=None)
S = 1_000_000


def slicer(**rules: Any) -> Slicer:
    return Slicer("window", BUCKET, Rules(**rules))


def aw(duration_s: float, at_ms: int = T0_MS, **data: object) -> AwEvent:
    return parse(event(at_ms, duration_s, **(data or {"app": "a"})))


def spans(rows: list[Event]) -> list[tuple[int, int | None]]:
    return [(row.at, row.end) for row in rows]


@given(
    offset_ms=st.integers(0, GRID_US // 1000),
    looks=st.lists(st.tuples(st.integers(0, 1_000_000), st.booleans()), max_size=8),
    last_ms=st.integers(0, 1_000_000),
)
def test_however_it_grew_its_rows_join_and_reading_it_again_adds_nothing(
    offset_ms: int, looks: list[tuple[int, bool]], last_ms: int
) -> None:
    """``looks``: how long it was, and whether it was (wrongly, perhaps) taken for finished."""
    start_ms = T0_MS // 300_000 * 300_000 + offset_ms
    cutter = slicer()
    rows: list[Event] = []
    written = None
    grown = [*sorted(looks), (max([last_ms, *(length for length, _ in looks)]), True)]
    for length_ms, finished in grown:
        for row in cutter.rows(aw(length_ms / 1000, start_ms), written, finished=finished):
            rows.append(row)
            written = row.end
    whole = aw(grown[-1][0] / 1000, start_ms)
    assert rows[0].at == whole.start
    assert rows[-1].end == whole.end
    assert [row.end for row in rows[:-1]] == [row.at for row in rows[1:]]
    assert len({row.id for row in rows}) == len(rows)
    assert [row.cont for row in rows] == [None] + [rows[0].id] * (len(rows) - 1)
    for row in rows:
        assert row.end is not None
        assert row.at // GRID_US == max(row.at, row.end - 1) // GRID_US
    again = list(cutter.rows(whole, None, finished=True))
    assert {row.id for row in again} <= {row.id for row in rows}
    if not any(finished for _, finished in grown[:-1]):  # nothing of it was written too early
        assert [(row.id, row.at, row.end) for row in again] == [
            (row.id, row.at, row.end) for row in rows
        ]


def test_ids_hold_what_survives_an_export_and_nothing_else() -> None:
    first = aw(10, app="a", title="b", n={"y": 1, "x": [1.5, None]})
    raw = event(T0_MS, 99, title="b", n={"x": [1.5, None], "y": 1}, app="a") | {"id": 77}
    ids = [next(iter(slicer().rows(e, None, finished=True))).id for e in (first, parse(raw))]
    assert ids[0] == ids[1]
    other = Slicer(
        "window", Bucket(id=BUCKET.id, type=BUCKET.type, host="other", updated=None), Rules()
    )
    different = [
        next(iter(other.rows(first, None, finished=True))).id,
        next(iter(slicer().rows(aw(10, T0_MS + 1, app="a"), None, finished=True))).id,
        next(iter(slicer().rows(aw(10, app="a", title="c"), None, finished=True))).id,
    ]
    assert len({ids[0], *different}) == 4


def test_a_growing_event_is_written_when_it_is_long_enough() -> None:
    cutter = slicer(min_duration_us=400 * S)
    start_ms = T0_MS // 300_000 * 300_000 + 200_000
    assert list(cutter.rows(aw(399, start_ms), None, finished=False)) == []
    assert list(cutter.rows(aw(399, start_ms), None, finished=True)) == []
    rows = list(cutter.rows(aw(401, start_ms), None, finished=False))
    assert [end and end % GRID_US for _, end in spans(rows)] == [0, 0]


def test_names_without_a_column_are_kept() -> None:
    page = Slicer("web", BUCKET, Rules())
    data = {"url": "u", "tabCount": 2, "tab_count": 9, "bucket": "theirs", "more": [1]}
    (row,) = page.rows(aw(1, **data), None, finished=True)
    assert row.data == {"url": "u", "tab_count": 2, "bucket": BUCKET.id}
    assert row.extra == {"tab_count": 9, "bucket": "theirs", "more": [1]}


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"timestamp": "2026-01-02T03:04:05Z"},
        event(T0_MS, -1),
        event(T0_MS, 1e12),
        event(T0_MS, 1) | {"duration": True},
        event(T0_MS, 1) | {"duration": "1"},
        event(T0_MS, 1) | {"duration": float("nan")},
        event(T0_MS, 1) | {"data": None},
        event(T0_MS, 1) | {"timestamp": "2026-01-02T03:04:05"},
        event(T0_MS, 1) | {"timestamp": "0001-01-01T00:00:00+14:00"},
        event(T0_MS, 1) | {"timestamp": "9999-12-31T23:59:59Z"},
        event(T0_MS, 1) | {"timestamp": 5},
    ],
)
def test_what_is_no_event_is_refused(raw: object) -> None:
    with pytest.raises(InvalidEvent):
        parse(raw)


def test_times_are_asked_for_in_ms() -> None:
    assert iso_ms(T0_MS) == "2026-01-02T03:04:05.678Z"
    assert iso_ms(0) == "1970-01-01T00:00:00.000Z"
