"""What was recorded elsewhere in a pause doesn't come in after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifelog_lake.clock import US_PER_S
from lifelog_lake.collect.paused_time import without_paused
from lifelog_lake.errors import UsageError
from lifelog_lake.events import Event, new_event, pulled_id
from lifelog_lake.pause import clear_pause, pauses, set_pause
from tests.helpers import T0, FixedClock

MINUTE_US = 60 * US_PER_S


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(T0)


def test_pauses_are_remembered_as_they_were(tmp_path: Path, clock: FixedClock) -> None:
    assert pauses(tmp_path, clock) == []
    set_pause(tmp_path, clock, 600)
    clock.now_us += MINUTE_US
    assert pauses(tmp_path, clock) == [(T0, T0 + MINUTE_US)], "the one in force, up to now"
    assert clear_pause(tmp_path, clock)
    clock.now_us += MINUTE_US
    set_pause(tmp_path, clock)
    clock.now_us += MINUTE_US
    set_pause(tmp_path, clock, 60)  # takes its place
    clock.now_us += 60 * MINUTE_US  # runs out by itself
    ends = [0, 1, 2, 3, 3, 4]
    spans = [
        (T0 + a * MINUTE_US, T0 + b * MINUTE_US) for a, b in zip(ends[::2], ends[1::2], strict=True)
    ]
    assert pauses(tmp_path, clock) == spans


def test_a_pause_that_never_came_into_force_counts_for_nothing(
    tmp_path: Path, clock: FixedClock
) -> None:
    set_pause(tmp_path, clock)
    (tmp_path / "run" / "pause.json").unlink()  # as if killed between the two files
    clock.now_us += MINUTE_US
    assert pauses(tmp_path, clock) == []


def test_a_memory_that_cannot_be_read_is_told(tmp_path: Path, clock: FixedClock) -> None:
    (tmp_path / "pauses.json").write_text("{")
    with pytest.raises(UsageError, match=r"pauses\.json can't be read"):
        pauses(tmp_path, clock)


def row(begin: int, end: int | None, *, pulled: bool = True) -> Event:
    key = pulled_id("test", str(begin)) if pulled else None
    return new_event("afk", at=T0 + begin, end=None if end is None else T0 + end, id=key, data={})


def test_what_we_saw_ourselves_is_left_as_it_is() -> None:
    seen = row(0, 10, pulled=False)
    assert without_paused([seen], [(T0, T0 + 10)]) == [seen]


def test_moments_are_in_a_pause_or_not() -> None:
    moments = [row(at, end) for at in (0, 5, 10) for end in (at, None)]
    assert without_paused(moments, [(T0 + 5, T0 + 10)]) == moments[:2] + moments[4:]


PAUSES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=5).map(
    lambda given: [(T0 + begin, T0 + begin + length) for begin, length in given]
)


@given(st.integers(0, 60), st.integers(1, 30), PAUSES)
def test_just_what_lies_outside_of_pauses_is_kept(
    begin: int, length: int, paused: list[tuple[int, int]]
) -> None:
    event = row(begin, begin + length)
    parts = without_paused([event], paused)
    kept = [at for part in parts for at in range(part.at, part.end or 0)]
    wanted = [
        at
        for at in range(event.at, event.end or 0)
        if not any(since <= at < until for since, until in paused)
    ]
    assert kept == wanted
    assert len({part.id for part in parts}) == len(parts)
    for part in parts:
        assert (part.id, part.cont) == (
            (event.id, None) if part.at == event.at else (part.id, event.id)
        )
    assert parts == without_paused([event], paused), "the same whenever it is read"


def test_a_pause_whose_file_was_damaged_is_remembered_too(
    tmp_path: Path, clock: FixedClock
) -> None:
    set_pause(tmp_path, clock)
    (tmp_path / "run" / "pause.json").write_text("{")
    clock.now_us += MINUTE_US
    assert clear_pause(tmp_path, clock)
    assert pauses(tmp_path, clock) == [(T0, T0 + MINUTE_US)]
